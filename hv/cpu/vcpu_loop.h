/* SPDX-License-Identifier: MIT */
/*
 * The loop around VM entry, for the vendors' run():
 *
 *	while (vcpu_may_enter(vcpu, tlb, cpu, rare)) {
 *		enter the guest, and say in *exit why it came back;
 *		if (!vcpu_exited(vcpu, exit, rare))
 *			break;
 *	}
 *
 * It is inline, so that an arriving page costs no calls but those of the pager and of the second
 * stage: to the guest all of it is the time that its access takes.
 */
#ifndef HV_VCPU_LOOP_H
#define HV_VCPU_LOOP_H

#include "hv/cpu/vcpu.h"

/* What happens seldom, by hv/cpu/vcpu.c. A vendor knows none of it by name. */
struct vcpu_rare {
	/* Acknowledges a flush that another CPU waits for. */
	void (*catch_up)(struct vcpu *vcpu);
	/* Does what others ask of it: vcpu->asks. False: it leaves. */
	bool (*answer)(struct vcpu *vcpu);
	/* The page does not come, or not now. True: enter again. */
	bool (*fault_left)(struct vcpu *vcpu, const struct vcpu_exit *exit,
			   enum pager_answer answer);
	/* Anything but a second-stage fault. True: enter again. */
	bool (*other_exit)(struct vcpu *vcpu, const struct vcpu_exit *exit);
};

/* Before each entry. @tlb: of its memory. @cpu: this one. False: the vCPU leaves. */
static inline bool vcpu_may_enter(struct vcpu *vcpu, const struct tlb *tlb, unsigned int cpu,
				  const struct vcpu_rare *rare)
{
	if (tlb_behind(tlb, cpu))
		rare->catch_up(vcpu);
	return !atomic_load_explicit(&vcpu->asks, memory_order_relaxed) || rare->answer(vcpu);
}

/* After each exit. False: the vCPU leaves. */
static inline bool vcpu_exited(struct vcpu *vcpu, const struct vcpu_exit *exit,
			       const struct vcpu_rare *rare)
{
	enum pager_answer answer;

	vcpu->stats.by[exit->reason]++;
	if (exit->reason != EXIT_STAGE2)
		return rare->other_exit(vcpu, exit);
	answer = pager_fault(vcpu->mem, vcpu->cpu, gpa(exit->gpa.v), exit->access,
			     &vcpu->stats.wait);
	return answer == PAGER_RESUME || rare->fault_left(vcpu, exit, answer);
}

#endif
