/* SPDX-License-Identifier: MIT */
/*
 * VMLOAD and VMSAVE switch FS, GS, TR, LDTR and the MSRs of SYSCALL and SYSENTER (APM vol. 2,
 * "VMSAVE and VMLOAD Instructions"). Root mode needs none of these but GS base and, for an
 * interrupt, TR: so from its first entry until it leaves the CPU holds the guest's, and the global
 * interrupt flag is off, as each #VMEXIT leaves it. An exception in between is a fault of our own,
 * and finds its stack without TR (boot/bringup/desc.c). To a hypervisor below us each of these
 * instructions may be an exit.
 */
#include "hv/cpu/svm/svm.h"

#include "mm/percpu.h"

void svm_come_in(hpa_t vmcb)
{
	struct svm_cpu *c = &svm_cpus[cpu_id()];

	__asm__ volatile("clgi\n\tvmload\n\trdgsbase %0\n\twrgsbase %1"
			 : "=&r"(c->gs.guest)
			 : "r"(c->gs.host), "a"(vmcb.v)
			 : "memory");
	c->inside = vmcb;
	c->due &= ~DUE_COME_IN;
}

void svm_leave(void)
{
	struct svm_cpu *c = &svm_cpus[cpu_id()];
	uint64_t vmcb = c->inside.v;

	if (c->due & DUE_COME_IN)
		return;
	c->due |= DUE_COME_IN;
	__asm__ volatile("wrgsbase %1\n\tvmsave\n\tmov %2, %%rax\n\tvmload\n\tstgi"
			 : "+a"(vmcb)
			 : "r"(c->gs.guest), "r"(c->host.v)
			 : "memory");
}
