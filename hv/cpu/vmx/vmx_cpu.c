/* SPDX-License-Identifier: MIT */
/*
 * The CPU's features, and switching VMX on (SDM vol. 3C, "Discovering Support for VMX", "Enabling
 * and Entering VMX Operation"; vol. 3D, appendix A).
 */
#include "hv/cpu/vmx/vmx.h"

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define FEATURE_CONTROL_LOCK (1u << 0)
#define FEATURE_CONTROL_VMX  (1u << 2)

#define MSR_ARCH_CAPABILITIES   0x10a
#define PSCHANGE_MC_NO          (1u << 6)
#define CPUID_ARCH_CAPABILITIES (1u << 29) /* leaf 7 EDX */
#define CPUID_HYPERVISOR        (1u << 31) /* leaf 1 ECX */

#define EPTP_WB       6u
#define EPTP_4_LEVELS (3u << 3)
#define EPTP_AD       (1u << 6)

struct vmx_controls vmx;

static hpa_t vmxon_page[MAX_CPUS];

_Noreturn void vmx_failed(const char *instruction, uint64_t operand)
{
	panic("%s failed, operand 0x%llx", instruction, (unsigned long long)operand);
}

static int missing(const char *what)
{
	con_printf("cleave: this CPU has no %s, which Cleave needs\n", what);
	return -ENODEV;
}

/*
 * A control MSR holds the bits that must be 1 in its low half and those that may be 1 in its high
 * half. False: a bit that is wanted may not be set.
 */
static bool choose(uint32_t msr, uint32_t want, uint32_t like, uint32_t *control)
{
	uint64_t allowed = x86_rdmsr(msr);
	uint32_t must = (uint32_t)allowed, may = (uint32_t)(allowed >> 32);

	*control = (want | (like & may) | must) & may;
	return (want & ~may) == 0;
}

static int choose_controls(void)
{
	if (!(x86_rdmsr(MSR_VMX_BASIC) >> 55 & 1))
		return missing("VMX capability MSRs of the \"true\" kind");
	if (!choose(MSR_VMX_TRUE_PINBASED, PIN_EXTINT | PIN_NMI, PIN_PREEMPT, &vmx.pin))
		return missing("exits on interrupts and NMIs (VMX)");
	if (!choose(MSR_VMX_TRUE_PROCBASED,
		    CPU_HLT | CPU_IO | CPU_MSR_BITMAP | CPU_SECONDARY | CPU_TSC_OFFSET | CPU_MWAIT |
			    CPU_MONITOR | CPU_CR8_LOAD | CPU_CR8_STORE | CPU_RDPMC | CPU_MOV_DR,
		    0, &vmx.cpu))
		return missing("secondary controls or MSR bitmaps (VMX)");
	if (!choose(MSR_VMX_PROCBASED2, CPU2_EPT,
		    CPU2_VPID | CPU2_UNRESTRICTED | CPU2_WBINVD | CPU2_PML, &vmx.cpu2))
		return missing("EPT");
	if (!choose(MSR_VMX_TRUE_EXIT,
		    EXITC_HOST_64 | EXITC_SAVE_EFER | EXITC_LOAD_EFER | EXITC_SAVE_PAT |
			    EXITC_LOAD_PAT | EXITC_SAVE_DEBUG,
		    0, &vmx.exit) ||
	    !choose(MSR_VMX_TRUE_ENTRY, ENTRYC_LOAD_EFER | ENTRYC_LOAD_PAT | ENTRYC_LOAD_DEBUG, 0,
		    &vmx.entry))
		return missing("switching of EFER and PAT at VM entry and exit (VMX)");
	vmx.preempt = vmx.pin & PIN_PREEMPT;
	vmx.pin &= ~PIN_PREEMPT; /* switched on where there is a deadline */
	vmx.preempt_shift = x86_rdmsr(MSR_VMX_MISC) & 31;
	vmx.unrestricted = vmx.cpu2 & CPU2_UNRESTRICTED;
	vmx.vpid = vmx.cpu2 & CPU2_VPID;
	vmx.pml = vmx.cpu2 & CPU2_PML;
	vmx.cpu2 &= ~CPU2_PML; /* likewise, where writes are logged */
	return 0;
}

static int check_ept(void)
{
	vmx.ept_cap = x86_rdmsr(MSR_VMX_EPT_VPID_CAP);
	if (!(vmx.ept_cap & EPT_CAP_4_LEVELS) || !(vmx.ept_cap & EPT_CAP_WB))
		return missing("EPT with 4 levels and write-back tables");
	if (!(vmx.ept_cap & EPT_CAP_INVEPT) ||
	    !(vmx.ept_cap & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)))
		return missing("INVEPT");
	if (!vmx.preempt)
		con_printf("cleave: this CPU has no VMX preemption timer: guests that share a CPU "
			   "take turns only when they exit\n");
	if (!(vmx.ept_cap & EPT_CAP_2M))
		con_printf("cleave: this CPU has no EPT 2 MiB pages: using 4 KiB\n");
	else if (!(vmx.ept_cap & EPT_CAP_1G))
		con_printf("cleave: this CPU has no EPT 1 GiB pages: using 2 MiB\n");
	vmx.ad = vmx.ept_cap & EPT_CAP_AD;
	vmx.pml = vmx.pml && vmx.ad;
	if (!vmx.ad)
		con_printf("cleave: this CPU has no EPT accessed and dirty bits: every page counts "
			   "as written\n");
	if (!(vmx.ept_cap & EPT_CAP_INVVPID) || !(vmx.ept_cap & EPT_CAP_INVVPID_SINGLE)) {
		vmx.vpid = false;
		vmx.cpu2 &= ~CPU2_VPID;
	}
	return 0;
}

int vmx_probe(void)
{
	int err;

	if (!(x86_cpuid(1, 0).ecx >> 5 & 1))
		return -ENODEV;
	if ((x86_rdmsr(MSR_FEATURE_CONTROL) & (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX)) ==
	    FEATURE_CONTROL_LOCK) {
		con_printf("cleave: VMX is switched off in the firmware's setup: enable \"Intel "
			   "Virtualization Technology\" there\n");
		return -ENODEV;
	}
	vmx.revision = (uint32_t)x86_rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	vmx.cr0_fixed0 = x86_rdmsr(MSR_VMX_CR0_FIXED0);
	vmx.cr0_fixed1 = x86_rdmsr(MSR_VMX_CR0_FIXED1);
	vmx.cr4_fixed0 = x86_rdmsr(MSR_VMX_CR4_FIXED0);
	vmx.cr4_fixed1 = x86_rdmsr(MSR_VMX_CR4_FIXED1);
	err = choose_controls();
	return err ? err : check_ept();
}

int vmx_enable(void)
{
	hpa_t page = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	uint64_t control = x86_rdmsr(MSR_FEATURE_CONTROL);
	bool fail;

	if (page.v == HPA_NONE.v)
		return -ENOMEM;
	vmxon_page[cpu_id()] = page;
	if (!(control & FEATURE_CONTROL_LOCK))
		x86_wrmsr(MSR_FEATURE_CONTROL,
			  control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
	*(volatile uint32_t *)direct(page) = vmx.revision;
	x86_write_cr0((x86_read_cr0() | vmx.cr0_fixed0) & vmx.cr0_fixed1);
	x86_write_cr4((x86_read_cr4() | vmx.cr4_fixed0 | CR4_VMXE) & vmx.cr4_fixed1);
	__asm__ volatile("vmxon %1" : "=@ccbe"(fail) : "m"(page.v) : "memory");
	if (fail)
		vmx_failed("VMXON", page.v);
	if (vmx.ept_cap & EPT_CAP_INVEPT_ALL)
		invept(INVEPT_ALL, 0);
	xstate_enable(false);
	return 0;
}

enum pg_level vmx_leaf_max(void)
{
	if (vmx.ept_cap & EPT_CAP_1G)
		return PG_LEVEL_1G;
	return vmx.ept_cap & EPT_CAP_2M ? PG_LEVEL_2M : PG_LEVEL_4K;
}

bool vmx_has_dirty(void)
{
	return vmx.ad;
}

/*
 * A change of page size under code that runs may end in a machine check on CPUs that do not say
 * they are free of it (SDM vol. 4, IA32_ARCH_CAPABILITIES.PSCHANGE_MC_NO). A hypervisor below us
 * shadows our tables, and keeps the rule itself.
 */
bool vmx_nx_rule(void)
{
	bool told = x86_cpuid(0, 0).eax >= 7 && x86_cpuid(7, 0).edx & CPUID_ARCH_CAPABILITIES;

	if (x86_cpuid(1, 0).ecx & CPUID_HYPERVISOR)
		return false;
	return !told || !(x86_rdmsr(MSR_ARCH_CAPABILITIES) & PSCHANGE_MC_NO);
}

uint64_t vmx_eptp(const struct ept *ept)
{
	return ept->root.v | EPTP_WB | EPTP_4_LEVELS | (vmx.ad ? EPTP_AD : 0);
}

void vmx_flush(const struct ept *ept)
{
	if (vmx.ept_cap & EPT_CAP_INVEPT_SINGLE)
		invept(INVEPT_SINGLE, vmx_eptp(ept));
	else
		invept(INVEPT_ALL, 0);
}
