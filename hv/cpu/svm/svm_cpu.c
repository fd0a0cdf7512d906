/* SPDX-License-Identifier: MIT */
/* The CPU's features, and switching SVM on (APM vol. 2, "Enabling SVM", "Determining Support for
 * SVM"; vol. 3, CPUID functions 8000_0001h and 8000_000Ah). */
#include "hv/cpu/svm/svm.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "mm/apic.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define CPUID_SVM      (1u << 2)  /* 8000_0001h ECX */
#define CPUID_FSGSBASE (1u << 0)  /* 7 EBX */
#define CPUID_GIB_PAGE (1u << 26) /* 8000_0001h EDX */

struct svm_features svm;
struct svm_cpu svm_cpus[MAX_CPUS];

static hpa_t hsave_page[MAX_CPUS];

/* QEMU's software CPU: "TCGTCGTCGTCG". */
static bool is_tcg(void)
{
	struct cpuid c = x86_cpuid(0x40000000, 0);

	return c.ebx == 0x54474354 && c.ecx == 0x43544743 && c.edx == 0x47435447;
}

int svm_probe(void)
{
	struct cpuid c = x86_cpuid(0x8000000a, 0);

	if (!(x86_cpuid(0x80000001, 0).ecx & CPUID_SVM))
		return -ENODEV;
	if (x86_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		con_printf(
			"cleave: SVM is switched off in the firmware's setup: enable \"SVM mode\" "
			"there\n");
		return -ENODEV;
	}
	if (!(c.edx & SVM_NPT)) {
		con_printf("cleave: this CPU has no nested paging, which Cleave needs\n");
		return -ENODEV;
	}
	if (x86_cpuid(0, 0).eax < 7 || !(x86_cpuid(7, 0).ebx & CPUID_FSGSBASE)) {
		con_printf("cleave: this CPU has no FSGSBASE, which Cleave needs with SVM\n");
		return -ENODEV;
	}
	svm.asids = c.ebx;
	svm.nrip = c.edx & SVM_NRIP;
	svm.decode = svm.nrip && c.edx & SVM_DECODE;
	svm.gib_pages = x86_cpuid(0x80000001, 0).edx & CPUID_GIB_PAGE;
	svm.loses_interrupts = is_tcg();
	if (!svm.gib_pages)
		con_printf("cleave: this CPU has no 1 GiB pages: using 2 MiB\n");
	if (svm.asids < 2) {
		con_printf(
			"cleave: this CPU has %u ASIDs, and a guest needs one besides the host's\n",
			svm.asids);
		return -ENODEV;
	}
	return 0;
}

int svm_enable(void)
{
	unsigned int me = cpu_id();

	hsave_page[me] = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	svm_cpus[me].host = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	if (hsave_page[me].v == HPA_NONE.v || svm_cpus[me].host.v == HPA_NONE.v)
		return -ENOMEM;
	svm_cpus[me].due = DUE_COME_IN;
	svm_cpus[me].gs.host = (uintptr_t)this_cpu();
	x86_write_cr4(x86_read_cr4() | CR4_FSGSBASE);
	x86_wrmsr(MSR_EFER, x86_rdmsr(MSR_EFER) | EFER_SVME);
	x86_wrmsr(MSR_VM_HSAVE_PA, hsave_page[me].v);
	/* The nested tables' memory types are indexes into the host's PAT. */
	x86_wrmsr(MSR_PAT, EPT_AMD_PAT);
	xstate_enable(!svm.decode); /* with them, XSETBV and CR4.OSXSAVE exit */
	/* What VMLOAD gives back to the host: svm_leave(). */
	__asm__ volatile("vmsave" : : "a"(svm_cpus[me].host.v) : "memory");
	return 0;
}

enum pg_level svm_leaf_max(void)
{
	return svm.gib_pages ? PG_LEVEL_1G : PG_LEVEL_2M;
}

/* Nested paging always sets accessed and dirty bits (APM vol. 2, "Nested Paging"). */
bool svm_has_dirty(void)
{
	return true;
}

/* AMD's CPUs change page sizes under code without harm. */
bool svm_nx_rule(void)
{
	return false;
}

/* There is no instruction for it: the next entry does it (APM vol. 2, "TLB Control"). */
void svm_flush(const struct ept *ept)
{
	(void)ept;
	svm_cpus[cpu_id()].due |= DUE_FLUSH;
}
