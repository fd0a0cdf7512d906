/* SPDX-License-Identifier: MIT */
/*
 * vCPUs. While a vCPU is loaded, the hardware has its state; otherwise `state` has it: all that a
 * guest can see of its CPU. So copy that struct to move a vCPU.
 */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include "hv/cpu/cpuid.h"
#include "hv/cpu/mca.h"
#include "hv/cpu/vendor.h"
#include "hv/cpu/xstate.h"
#include "hv/mem/memory.h"
#include "hv/platform/lapic.h"
#include "hv/platform/platform.h"

enum gpr {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
	GPRS
};

enum segment {
	SEG_ES,
	SEG_CS,
	SEG_SS,
	SEG_DS,
	SEG_FS,
	SEG_GS,
	SEG_LDTR,
	SEG_TR,
	SEGMENTS
};

/* Attributes as the VMCS has them (SDM vol. 3C, "Guest Register State"). */
#define ATTR_DPL      (3u << 5)
#define ATTR_PRESENT  (1u << 7)
#define ATTR_LONG     (1u << 13) /* CS: 64-bit code */
#define ATTR_UNUSABLE (1u << 16)

struct segment_state {
	uint16_t selector;
	uint16_t unused;
	uint32_t attributes;
	uint32_t limit;
	uint32_t unused2;
	uint64_t base;
};

/* An event whose delivery an exit interrupted: deliver it again. Format of the VM-entry
 * interruption information (SDM vol. 3C, "VM-Entry Controls for Event Injection"). */
struct pending_event {
	uint32_t info; /* bit 31: valid */
	uint32_t error;
	uint32_t length; /* of the instruction, for software interrupts */
	uint32_t unused;
};

struct guest_state {
	uint64_t gpr[GPRS];
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t dr[4], dr6, dr7;
	uint64_t efer, pat;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t tsc_offset;
	struct segment_state seg[SEGMENTS];
	uint64_t gdt_base, idt_base;
	uint32_t gdt_limit, idt_limit;
	uint32_t interruptibility; /* SDM vol. 3C, "Guest Non-Register State" */
	uint32_t unused;
	uint64_t pending_debug; /* likewise; VMX only */
	struct pending_event event;
	struct mca_state mca;
	struct xstate xstate;
	/* Of a vCPU with a platform. */
	struct lapic lapic;
	struct platform_msrs msrs;
	uint64_t nmi_masked; /* SVM: the handler of an NMI has not returned yet */
};

enum vcpu_run_state {
	VCPU_OFF,     /* not started yet */
	VCPU_RUNNING, /* can run */
	VCPU_WAITING, /* for the page at wait_gfn */
	VCPU_HALTED,  /* executed HLT; nothing will wake it */
	VCPU_IDLE,    /* executed HLT; an interrupt wakes it */
	VCPU_PARKED,  /* waits for a start-up message (SIPI) */
	VCPU_DONE,    /* called ABI_DONE */
	VCPU_DEAD,    /* stopped by a fault that the guest cannot handle */
};

struct vcpu_stats {
	uint64_t by[EXIT_REASONS]; /* exits for each reason */
	uint64_t interrupts;       /* that were delivered */
	uint64_t calls_faulted;    /* hypercalls that lacked a page */
	uint64_t machine_checks;   /* raised for lost pages */
	struct fault_stats wait;   /* second-stage faults, and how long they kept it waiting */
};

/* What others ask of a vCPU: vcpu->asks. It looks before each entry. */
#define ASK_INTERRUPT  1u /* its local APIC may have something to deliver */
#define ASK_NMI        2u
#define ASK_INIT       4u
#define ASK_START      8u /* at the page whose number is in ASK_PAGE */
#define ASK_PAGE       0xff000000u
#define ASK_PAGE_SHIFT 24

struct vm;

struct vcpu {
	struct guest_state state;
	struct vm *vm;
	struct memory *mem; /* the VM's */
	unsigned int index; /* in the VM */
	unsigned int cpu;   /* that it runs on */
	bool system;        /* its guest is a whole system: vm->platform is there */
	enum vcpu_run_state run;
	bool loaded;          /* the hardware has its state */
	bool debug;           /* the CPU holds its debug registers: vendor->debug() */
	_Atomic bool running; /* within vcpu_run() */
	_Atomic bool logging; /* the hardware logs what it writes: vm->mem.logged */
	_Atomic uint32_t asks;

	gfn_t wait_gfn;
	uint64_t wait_since; /* TSC */
	uint64_t slice_end;  /* TSC; 0: it has no slice */
	uint64_t timer_at;   /* TSC at which its APIC's timer ends; 0: it is not armed */
	uint64_t look_at;    /* TSC at which to see whether it takes interrupts; 0: no need */
	uint64_t until;      /* TSC at which it exits by itself: the earliest of these; 0: never */
	bool wakes_open;     /* IDLE: RFLAGS.IF */
	unsigned int idle_cr8;

	/* From its hypercalls. */
	_Atomic bool ready;
	uint64_t verdict, steps, pages_written, chain, passes;
	uint64_t wrong_gpa, wrong_expected, wrong_found, wrong_count;
	const char *death; /* why it is DEAD */
	struct vcpu_exit last_exit;

	struct vcpu_stats stats;
	struct cpuid_kept cpuid; /* emulate_keep_cpuid() */

	/* The vendor's own. */
	hpa_t hw_page; /* VMCS or VMCB */
	bool hw_launched;
	uint64_t hw_rsp;       /* the stack pointer that the next exit will load */
	bool hw_timer;         /* VMX: the timer is on */
	bool hw_window;        /* it exits as soon as it takes interrupts */
	uint64_t hw_deadline;  /* that deadline, TSC */
	unsigned int hw_tag;   /* VPID or ASID */
	hpa_t hw_log;          /* where the hardware logs writes */
	unsigned int hw_storm; /* exceptions in a row that their own delivery raised again */
};

/* All its exits. While it runs, a little of this and that moment. */
static inline uint64_t vcpu_exits(const struct vcpu *vcpu)
{
	uint64_t n = 0;

	for (unsigned int r = 0; r < EXIT_REASONS; r++)
		n += __atomic_load_n(&vcpu->stats.by[r], __ATOMIC_RELAXED);
	return n;
}

/* Is it told of XSAVE? */
static inline bool vcpu_has_xsave(const struct vcpu *vcpu)
{
	return vcpu->system && xstate_components();
}

/* The second stage of its VM. */
static inline struct ept *vcpu_ept(const struct vcpu *vcpu)
{
	return &vcpu->mem->ept;
}

/* --- vcpu_reset.c: states in which a vCPU begins -------------------------------------------- */

/* A payload: see hv/abi.h. */
void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t cr3, uint64_t stack);

/* An operating system's boot vCPU, as above, with a table of segments: code is 0x10, data 0x18.
 * @info: in RSI. The others are parked: vcpu_park(). */
struct vcpu_boot {
	uint64_t entry, cr3, stack, info;
	uint64_t gdt;       /* gpa */
	uint32_t gdt_limit; /* its last byte */
};
void vcpu_reset_boot(struct vcpu *vcpu, const struct vcpu_boot *boot);

/* As after INIT: what that does not change stays (SDM vol. 3A, "Processor State After Reset"). The
 * vCPU is not loaded. */
void vcpu_park(struct vcpu *vcpu);

/* Real mode, at the first byte of the page. @page: 0 to 255, of 4 KiB */
void vcpu_start_at(struct vcpu *vcpu, unsigned int page);

/* --- vcpu.c, vcpu_switch.c ------------------------------------------------------------------- */

/* Runs a vCPU on this CPU until `cycles` have passed (0: no limit), until it waits or ends, or its
 * VM shall stop. Join vcpu->mem->tlb first: see tlb_join(). */
void vcpu_run(struct vcpu *vcpu, uint64_t cycles);

/* Can a waiting vCPU run again? True: also counts its wait. */
bool vcpu_wait_over(struct vcpu *vcpu);

/* Makes this CPU hold the vCPU's registers; loads its state first if necessary. */
void vcpu_switch_to(struct vcpu *vcpu);

/* Saves the vector registers that this CPU holds of a vCPU, so that root mode may use them: they
 * come back before the vCPU runs again. */
void vcpu_lend_registers(void);

/* Saves the vCPU's state, if it is loaded. Call it on the CPU that holds it. */
void vcpu_put(struct vcpu *vcpu);

/* Counts exceptions that Cleave delivers. @met_itself: the delivery of the same one raised it.
 * True: so many in a row that the guest makes no progress. */
static inline bool vcpu_is_storm(struct vcpu *vcpu, bool met_itself)
{
	enum {
		STORM = 100
	};

	vcpu->hw_storm = met_itself ? vcpu->hw_storm + 1 : 0;
	return vcpu->hw_storm >= STORM;
}

/* --- emulate.c: what a guest asks the platform for ----------------------------------------- */

void emulate_cpuid(struct vcpu *vcpu);
/* Settles what CPUID tells it. Call it when the VM has all its vCPUs, and again when it becomes a
 * system. */
void emulate_keep_cpuid(struct vcpu *vcpu);
/* False: #GP. */
bool emulate_rdmsr(struct vcpu *vcpu);
/* *stay: false: the vCPU shall leave: who is to answer shares its CPU. */
bool emulate_wrmsr(struct vcpu *vcpu, bool *stay);
bool emulate_xsetbv(struct vcpu *vcpu);
void emulate_io(struct vcpu *vcpu, const struct vcpu_exit *exit);

/* --- interrupt.c: what comes from outside to a vCPU with a platform --------------------------- */

/* Before an entry: delivers what it was asked to, or has it exit as soon as it can be. False: it
 * must not be entered now. */
bool vcpu_answer(struct vcpu *vcpu);

/* The moment vcpu->until has come: ends its timer, if it is that. False: its slice is over. */
bool vcpu_time(struct vcpu *vcpu);

/* Does an interrupt or a message wake it? Then it is VCPU_RUNNING. @vcpu: IDLE or PARKED, and of
 * this CPU */
bool vcpu_wakes(struct vcpu *vcpu);

/* Sets vcpu->until. */
void vcpu_set_until(struct vcpu *vcpu);

/* Moves what is on its way to a vCPU whose state has moved: messages, its timer, its sleep. Nobody
 * runs either of them. */
void vcpu_move_asks(const struct vcpu *from, struct vcpu *to);

/* It executed HLT, and stands behind it: IDLE until vcpu_wakes(). */
void vcpu_sleep(struct vcpu *vcpu);

/* Its local APIC has changed. False: the vCPU shall leave: who is to answer shares its CPU. */
bool vcpu_after_lapic(struct vcpu *vcpu, enum lapic_answer answer, uint64_t value);

/* --- hypercall.c --------------------------------------------------------------------------- */

enum call_answer {
	CALL_OK,
	CALL_MISSING, /* memory that the call reads has not arrived; changed no register */
	CALL_DONE     /* ABI_DONE: this vCPU is done */
};

/* @missing: for CALL_MISSING, an address in the missing page; call again when that is here */
enum call_answer must_check hypercall(struct vcpu *vcpu, gpa_t *missing);

#endif
