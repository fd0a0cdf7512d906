/* SPDX-License-Identifier: MIT */
/*
 * VMX: what Cleave uses of the capability MSRs, of the bits of controls, and of exit reasons.
 * Numbers: SDM vol. 3D, appendices A (capability MSRs) and C (exit reasons).
 */
#ifndef HV_VMX_H
#define HV_VMX_H

#include "hv/cpu/control.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vmx/vmx_insn.h"

#define MSR_VMX_BASIC          0x480
#define MSR_VMX_PROCBASED      0x482
#define MSR_VMX_MISC           0x485
#define MSR_VMX_CR0_FIXED0     0x486
#define MSR_VMX_CR0_FIXED1     0x487
#define MSR_VMX_CR4_FIXED0     0x488
#define MSR_VMX_CR4_FIXED1     0x489
#define MSR_VMX_PROCBASED2     0x48b
#define MSR_VMX_EPT_VPID_CAP   0x48c
#define MSR_VMX_TRUE_PINBASED  0x48d
#define MSR_VMX_TRUE_PROCBASED 0x48e
#define MSR_VMX_TRUE_EXIT      0x48f
#define MSR_VMX_TRUE_ENTRY     0x490

/* MSR_VMX_EPT_VPID_CAP */
#define EPT_CAP_4_LEVELS       (UINT64_C(1) << 6)
#define EPT_CAP_WB             (UINT64_C(1) << 14)
#define EPT_CAP_2M             (UINT64_C(1) << 16)
#define EPT_CAP_1G             (UINT64_C(1) << 17)
#define EPT_CAP_INVEPT         (UINT64_C(1) << 20)
#define EPT_CAP_AD             (UINT64_C(1) << 21)
#define EPT_CAP_INVEPT_SINGLE  (UINT64_C(1) << 25)
#define EPT_CAP_INVEPT_ALL     (UINT64_C(1) << 26)
#define EPT_CAP_INVVPID        (UINT64_C(1) << 32)
#define EPT_CAP_INVVPID_SINGLE (UINT64_C(1) << 41)

/* Pin-based controls */
#define PIN_EXTINT  (1u << 0)
#define PIN_NMI     (1u << 3)
#define PIN_PREEMPT (1u << 6)

/* Primary processor-based controls */
#define CPU_WINDOW     (1u << 2) /* exit as soon as the guest takes interrupts */
#define CPU_TSC_OFFSET (1u << 3)
#define CPU_HLT        (1u << 7)
#define CPU_MWAIT      (1u << 10)
#define CPU_RDPMC      (1u << 11)
#define CPU_CR8_LOAD   (1u << 19)
#define CPU_CR8_STORE  (1u << 20)
#define CPU_MOV_DR     (1u << 23)
#define CPU_IO         (1u << 24)
#define CPU_MSR_BITMAP (1u << 28)
#define CPU_MONITOR    (1u << 29)
#define CPU_SECONDARY  (1u << 31)

/* Secondary processor-based controls */
#define CPU2_EPT          (1u << 1)
#define CPU2_VPID         (1u << 5)
#define CPU2_WBINVD       (1u << 6)
#define CPU2_UNRESTRICTED (1u << 7)
#define CPU2_PML          (1u << 17)

/* VM-exit and VM-entry controls */
#define EXITC_SAVE_DEBUG  (1u << 2)
#define EXITC_HOST_64     (1u << 9)
#define EXITC_SAVE_PAT    (1u << 18)
#define EXITC_LOAD_PAT    (1u << 19)
#define EXITC_SAVE_EFER   (1u << 20)
#define EXITC_LOAD_EFER   (1u << 21)
#define ENTRYC_LOAD_DEBUG (1u << 2)
#define ENTRYC_GUEST_64   (1u << 9)
#define ENTRYC_LOAD_PAT   (1u << 14)
#define ENTRYC_LOAD_EFER  (1u << 15)

/* Interruption information */
#define INTR_VALID       (1u << 31)
#define INTR_HAS_ERROR   (1u << 11)
#define INTR_TYPE(info)  ((info) >> 8 & 7)
#define INTR_TYPE_EXT    0u
#define INTR_TYPE_NMI    2u
#define INTR_TYPE_HW     3u
#define INTR_TYPE_SW_INT 4u
#define INTR_TYPE_INT1   5u /* privileged software exception */
#define INTR_TYPE_SW_EXC 6u

/* Of the pending debug exceptions: beside bits 3:0, breakpoints. */
#define PENDING_BREAKPOINT (UINT64_C(1) << 12)
#define PENDING_STEP       (UINT64_C(1) << 14)

#define BLOCKED_BY_STI    (1u << 0)
#define BLOCKED_BY_MOV_SS (1u << 1)
#define BLOCKED_BY_NMI    (1u << 3)

/* Basic exit reasons (SDM vol. 3D, appendix C) */
enum vmx_reason {
	VMX_EXCEPTION = 0,
	VMX_EXTINT = 1,
	VMX_TRIPLE = 2,
	VMX_WINDOW = 7,
	VMX_CPUID = 10,
	VMX_GETSEC = 11,
	VMX_HLT = 12,
	VMX_INVD = 13,
	VMX_RDPMC = 15,
	VMX_VMCALL = 18,
	VMX_VMCLEAR = 19,
	VMX_VMXON = 27,
	VMX_CR = 28,
	VMX_DR = 29,
	VMX_IO = 30,
	VMX_RDMSR = 31,
	VMX_WRMSR = 32,
	VMX_MWAIT = 36,
	VMX_MONITOR = 39,
	VMX_EPT_VIOLATION = 48,
	VMX_EPT_MISCONFIG = 49,
	VMX_INVEPT = 50,
	VMX_PREEMPT = 52,
	VMX_INVVPID = 53,
	VMX_WBINVD = 54,
	VMX_XSETBV = 55,
	VMX_VMFUNC = 59,
	VMX_PML_FULL = 62,
};

/* The controls that this CPU allows, chosen at probe; identical on all CPUs. */
struct vmx_controls {
	uint32_t revision; /* of the VMCS */
	uint32_t pin, cpu, cpu2, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1; /* bits that must be 1, that may be 1 */
	uint64_t cr4_fixed0, cr4_fixed1;
	uint64_t ept_cap;
	unsigned int preempt_shift; /* the timer counts TSC >> this */
	bool unrestricted, preempt, vpid, ad, pml;
};

extern struct vmx_controls vmx;

/* --- vmx_cpu.c ----------------------------------------------------------------------------- */

int vmx_probe(void);
int vmx_enable(void);
enum pg_level vmx_leaf_max(void);
bool vmx_has_dirty(void);
bool vmx_nx_rule(void);
void vmx_flush(const struct ept *ept);
uint64_t vmx_eptp(const struct ept *ept);

/* --- vmx_vmcs.c ---------------------------------------------------------------------------- */

int vmx_create(struct vcpu *vcpu);
void vmx_destroy(struct vcpu *vcpu);
void vmx_load(struct vcpu *vcpu);
void vmx_activate(struct vcpu *vcpu);
void vmx_deactivate(struct vcpu *vcpu);
void vmx_debug(struct vcpu *vcpu, bool own);
/* Writes the primary processor-based controls as the vCPU's state wants them. */
void vmx_write_cpu(const struct vcpu *vcpu);
void vmx_save(struct vcpu *vcpu);
void vmx_peek(const struct vcpu *vcpu, struct guest_state *s);

/* --- vmx_log.c ----------------------------------------------------------------------------- */

bool vmx_has_log(void);
void vmx_log(struct vcpu *vcpu, bool on);
void vmx_drain(struct vcpu *vcpu);

/* --- vmx_msr.c ----------------------------------------------------------------------------- */

/* Its physical address. */
uintptr_t vmx_msr_bitmap(void);
/* Makes the current vCPU's SYSCALL find its MSRs, if it may execute one. */
void vmx_load_syscall_msrs(struct vcpu *vcpu);
int vmx_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int vmx_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* --- vmx_cr.c ------------------------------------------------------------------------------ */

/* Writes CR0 and CR4 as the guest sees them; forces what VMX needs. */
void vmx_load_crs(const struct guest_state *s);
/* The current vCPU's registers, as it sees them. */
struct control vmx_control(const struct vcpu *vcpu);
uint64_t vmx_get_cr0(void);
uint64_t vmx_get_cr4(void);
/* Makes the access to a control register that exited; does not skip it. False: #GP. */
bool vmx_cr_access(struct vcpu *vcpu);

/* --- vmx_event.c --------------------------------------------------------------------------- */

void vmx_inject(struct vcpu *vcpu, unsigned int vector, int64_t error);
/* Delivers the exception that exited, of this VMCS_INTR_INFO, to the guest. */
void vmx_pass_on(struct vcpu *vcpu, uint32_t info, unsigned int length);
/* Delivers an event again, at the next entry: the exit interrupted it. @info: VMCS_IDTV_INFO */
void vmx_keep_event(uint32_t idtv);
bool vmx_was_delivering(const struct vcpu *vcpu);
bool vmx_open(const struct vcpu *vcpu);
void vmx_interrupt(struct vcpu *vcpu, unsigned int vector);
bool vmx_window(struct vcpu *vcpu, bool on);
bool vmx_nmi_open(const struct vcpu *vcpu);
void vmx_nmi(struct vcpu *vcpu);
bool vmx_interrupts_on(const struct vcpu *vcpu);
uint64_t vmx_rip(const struct vcpu *vcpu);
bool vmx_in_kernel(const struct vcpu *vcpu);
void vmx_skip(struct vcpu *vcpu, const struct vcpu_exit *exit);

/* --- vmx_run.c ----------------------------------------------------------------------------- */

void vmx_run(struct vcpu *vcpu, const struct vcpu_rare *rare);
void vmx_dump(void);

void vmx_exit_point(void); /* vmx_enter.asm: where HOST_RIP points; not to be called */

#endif
