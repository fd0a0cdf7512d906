/* SPDX-License-Identifier: MIT */
/* In-machine cases about the state of vCPUs. */
#include "tests/machine/cases.h"

#include "hv/base/string.h"
#include "mm/percpu.h"
#include "tests/machine/lab.h"

#define FOR_EVER 8 /* the payload `bad`: vCPU 0 loops, the others are done at once */
#define TURNS    50

/* What peek() left out: it is not the vendor's. */
static void take_common(struct guest_state *s, const struct guest_state *from)
{
	memcpy(s->dr, from->dr, sizeof(s->dr));
	s->xstate = from->xstate;
}

static const char *seen_as_saved(struct vcpu *vcpu)
{
	static struct guest_state seen;

	MUST(vcpu->loaded, "the vCPU is not loaded");
	vendor->peek(vcpu, &seen);
	MUST(vcpu->loaded, "looking at the vCPU unloaded it");
	vcpu_put(vcpu);
	take_common(&seen, &vcpu->state);
	MUST(!memcmp(&seen, &vcpu->state, sizeof(seen)), "what was seen is not what was saved");
	MUST(seen.rip && seen.cr3 && seen.gpr[RSP] && seen.seg[SEG_CS].selector,
	     "what was seen is empty");
	return NULL;
}

/* Both vCPUs are on one CPU: one of them is current when the other one is looked at. */
static const char *loaded_vcpu_is_seen(struct lab *lab)
{
	struct vcpu *vcpu = lab->vm->vcpu;
	struct guest_state seen;

	if (ncpus > 1)
		return "skip: a vCPU is looked at on its own CPU, and the case runs on the first one";
	lab->at_hand = true;
	TRY(lab_start(lab, "bad", FOR_EVER, 8 * MIB, 4 * MIB, PAGE_SIZE));
	for (unsigned int i = 0; i < TURNS; i++)
		(void)lab_turn(lab);
	vendor->peek(&vcpu[1], &seen);
	vendor->peek(&vcpu[0], &seen);
	MUST(vendor->rip(&vcpu[0]) == seen.rip, "the current vCPU's RIP is another");
	MUST(vendor->in_kernel(&vcpu[0]), "a payload is in 64-bit code at CPL 0");
	TRY(seen_as_saved(&vcpu[1]));
	(void)lab_turn(lab);
	return seen_as_saved(&vcpu[0]);
}

CASES_VCPU(LAB_JOB)
