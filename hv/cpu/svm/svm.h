/* SPDX-License-Identifier: MIT */
/*
 * SVM: the VMCB and the numbers that Cleave uses. AMD64 APM vol. 2, chapter "Secure Virtual
 * Machine" and appendices B (layout of the VMCB) and C (exit codes).
 */
#ifndef HV_SVM_H
#define HV_SVM_H

#include "hv/cpu/control.h"
#include "hv/cpu/vcpu.h"

#define MSR_VM_CR       0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117
#define VM_CR_SVMDIS    (1u << 4)

/* CPUID 0x8000000a EDX */
#define SVM_NPT    (1u << 0)
#define SVM_NRIP   (1u << 3)
#define SVM_DECODE (1u << 7)

/* Intercepts: word 0 (offset 0), of writes to control registers */
#define I0_CR4_WRITE (1u << 20)

/* Intercepts: word 1, of reads and writes of DR0 to DR7 */
#define I1_DRS 0x00ff00ffu

/* Intercepts: word 3 (offset 0x0c), word 4 (0x10) */
#define I3_INTR          (1u << 0)
#define I3_CR0_SEL_WRITE (1u << 5) /* of other bits than TS and MP */
#define I3_NMI           (1u << 1)
#define I3_SMI           (1u << 2)
#define I3_INIT          (1u << 3)
#define I3_VINTR         (1u << 4)
#define I3_RDPMC         (1u << 15)
#define I3_CPUID         (1u << 18)
#define I3_IRET          (1u << 20)
#define I3_INVD          (1u << 22)
#define I3_HLT           (1u << 24)
#define I3_INVLPGA       (1u << 26)
#define I3_IO            (1u << 27)
#define I3_MSR           (1u << 28)
#define I3_SHUTDOWN      (1u << 31)
#define I4_VMRUN         (1u << 0)
#define I4_VMMCALL       (1u << 1)
#define I4_VMLOAD        (1u << 2)
#define I4_VMSAVE        (1u << 3)
#define I4_STGI          (1u << 4)
#define I4_CLGI          (1u << 5)
#define I4_SKINIT        (1u << 6)
#define I4_RDTSCP        (1u << 7)
#define I4_ICEBP         (1u << 8)
#define I4_WBINVD        (1u << 9)
#define I4_MONITOR       (1u << 10)
#define I4_MWAIT         (3u << 11)
#define I4_XSETBV        (1u << 13)
#define I4_RDPRU         (1u << 14)

#define TLB_NOTHING    0u
#define TLB_ALL        1u
#define TLB_THIS_GUEST 3u

#define V_TPR          15u
#define V_IRQ          (1u << 8) /* an interrupt of the guest's waits */
#define V_IGN_TPR      (1u << 20)
#define V_INTR_MASKING (1u << 24) /* the host's IF governs the host's interrupts */
#define NP_ENABLE      1u

/* EVENTINJ and EXITINTINFO */
#define EVENT_VALID     (1u << 31)
#define EVENT_HAS_ERROR (1u << 11)
#define EVENT_TYPE(e)   ((e) >> 8 & 7)
#define EVENT_INTR      0u
#define EVENT_NMI       2u
#define EVENT_EXCEPTION 3u
#define EVENT_SOFTWARE  4u

/* EXITINFO1 of a write to a control register: 3:0 the general register, if it was a MOV */
#define CR_IS_MOV (UINT64_C(1) << 63)

/* EXITINFO1 of a nested page fault: as a page fault's error code */
#define NPF_WRITE (1u << 1)
#define NPF_FETCH (1u << 4)

enum svm_exit {
	SVM_CR4_WRITE = 0x14,
	SVM_DR_READ = 0x20, /* + register */
	SVM_DR_WRITE = 0x30,
	SVM_EXCEPTION = 0x40, /* + vector */
	SVM_INTR = 0x60,
	SVM_NMI = 0x61,
	SVM_SMI = 0x62,
	SVM_INIT = 0x63,
	SVM_VINTR = 0x64,
	SVM_CR0_SEL_WRITE = 0x65,
	SVM_RDPMC = 0x6f,
	SVM_CPUID = 0x72,
	SVM_IRET = 0x74,
	SVM_INVD = 0x76,
	SVM_HLT = 0x78,
	SVM_INVLPGA = 0x7a,
	SVM_IO = 0x7b,
	SVM_MSR = 0x7c,
	SVM_SHUTDOWN = 0x7f,
	SVM_VMRUN = 0x80,
	SVM_VMMCALL = 0x81,
	SVM_VMLOAD = 0x82,
	SVM_SKINIT = 0x86,
	SVM_RDTSCP = 0x87,
	SVM_ICEBP = 0x88,
	SVM_WBINVD = 0x89,
	SVM_MONITOR = 0x8a,
	SVM_MWAIT = 0x8b,
	SVM_MWAIT_ARMED = 0x8c,
	SVM_XSETBV = 0x8d,
	SVM_RDPRU = 0x8e,
	SVM_NPF = 0x400,
};
#define SVM_INVALID 0xffffffffu /* compare the low half: some implementations do not extend it */

#define VMCB_ATTR_LONG (1u << 9) /* CS: 64-bit code */

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes; /* 7:0 as bits 47:40 of a descriptor, 11:8 as its bits 55:52 */
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* Control area */
	uint32_t intercept_cr, intercept_dr, intercept_exceptions, intercept3, intercept4;
	uint8_t unused1[0x40 - 0x14];
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, unused2[3];
	uint64_t v_intr;
	uint64_t interrupt_shadow;
	uint64_t exit_code, exit_info1, exit_info2;
	uint64_t exit_int_info;
	uint64_t np_enable;
	uint8_t unused3[0xa8 - 0x98];
	uint64_t event_inject;
	uint64_t n_cr3;
	uint64_t lbr_virt;
	uint32_t clean, unused4;
	uint64_t next_rip;
	uint8_t unused5[0x400 - 0xd0];
	/* State-save area */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t unused6[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t unused7;
	uint64_t efer;
	uint8_t unused8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t unused9[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t unused10[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t unused11[0x668 - 0x648];
	uint64_t pat;
	uint8_t unused12[0x1000 - 0x670];
} __attribute__((packed, aligned(4096)));

_Static_assert(offsetof(struct vmcb, iopm) == 0x40, "VMCB layout");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "VMCB layout");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB layout");
_Static_assert(offsetof(struct vmcb, event_inject) == 0xa8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB layout");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB layout");
_Static_assert(sizeof(struct vmcb) == 4096, "VMCB layout");

/* The CPU's features; identical on all CPUs. */
struct svm_features {
	uint32_t asids;
	bool nrip, decode, gib_pages;
	bool loses_interrupts; /* where a virtual interrupt waits: svm_window() */
};

extern struct svm_features svm;

/* GS base, which VMRUN does not switch. */
struct svm_gs {
	uint64_t guest, host;
};

/* The VMCB whose guest this CPU holds, and the one that keeps the host's own state. */
struct svm_cpu {
	struct svm_gs gs;
	struct vmcb *current;
	hpa_t host;
	hpa_t inside;     /* DUE_COME_IN is clear: the VMCB whose guest's TR and so on it holds */
	unsigned int due; /* what the next entry has to do first */
} __attribute__((aligned(CACHE_LINE)));

#define DUE_COME_IN  1u /* svm_come_in() */
#define DUE_FLUSH    2u
#define DUE_NO_FLUSH 4u /* the last entry flushed: this one shall not */

extern struct svm_cpu svm_cpus[MAX_CPUS];

/* --- svm_cpu.c ----------------------------------------------------------------------------- */

int svm_probe(void);
int svm_enable(void);
enum pg_level svm_leaf_max(void);
bool svm_has_dirty(void);
bool svm_nx_rule(void);
void svm_flush(const struct ept *ept);

/* --- svm_world.c --------------------------------------------------------------------------- */

/* Makes this CPU hold what VMLOAD loads of the current guest; gives it back to the host, and to the
 * VMCB what VMSAVE saves. */
void svm_come_in(hpa_t vmcb);
void svm_leave(void);

/* --- svm_vmcb.c ---------------------------------------------------------------------------- */

int svm_create(struct vcpu *vcpu);
void svm_destroy(struct vcpu *vcpu);
void svm_load(struct vcpu *vcpu);
void svm_activate(struct vcpu *vcpu);
void svm_deactivate(struct vcpu *vcpu);
void svm_debug(struct vcpu *vcpu, bool own);
void svm_save(struct vcpu *vcpu);
void svm_peek(const struct vcpu *vcpu, struct guest_state *s);

/* --- svm_event.c --------------------------------------------------------------------------- */

void svm_inject(struct vcpu *vcpu, unsigned int vector, int64_t error);
/* Delivers an event again, at the next entry, whose delivery the exit interrupted. */
void svm_keep_event(struct vmcb *b);
/* Did the exception that exited interrupt its own delivery? */
bool svm_met_itself(const struct vmcb *b, uint32_t vector);
bool svm_was_delivering(const struct vcpu *vcpu);
bool svm_open(const struct vcpu *vcpu);
void svm_interrupt(struct vcpu *vcpu, unsigned int vector);
bool svm_window(struct vcpu *vcpu, bool on);
bool svm_nmi_open(const struct vcpu *vcpu);
void svm_nmi(struct vcpu *vcpu);
/* The guest returns from the handler of an NMI: others may follow. */
void svm_nmi_over(struct vcpu *vcpu);
unsigned int svm_cr8(const struct vcpu *vcpu);
void svm_set_cr8(struct vcpu *vcpu, unsigned int value);
bool svm_interrupts_on(const struct vcpu *vcpu);
uint64_t svm_rip(const struct vcpu *vcpu);
bool svm_in_kernel(const struct vcpu *vcpu);
/* Moves RIP on, with all that belongs to that but debug exceptions. */
void svm_step_over(struct vmcb *b, unsigned int length);
void svm_skip(struct vcpu *vcpu, const struct vcpu_exit *exit);

/* --- svm_run.c ----------------------------------------------------------------------------- */

void svm_run(struct vcpu *vcpu, const struct vcpu_rare *rare);
void svm_dump(void);

#endif
