/* SPDX-License-Identifier: MIT */
/*
 * The seam between the hypervisor and the CPU's maker: the differences between VMX and SVM, and
 * nothing else. All other code names exits as the enum below does.
 */
#ifndef HV_VENDOR_H
#define HV_VENDOR_H

#include "ept/ept.h"
#include "hv/cpu/mca.h"

struct vcpu;
struct guest_state;
struct vcpu_rare;

enum exit_reason {
	EXIT_STAGE2,    /* gpa, access: not mapped, or without that right */
	EXIT_MISCONFIG, /* gpa: an entry that the hardware rejects: our own fault */
	EXIT_CPUID,
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_GP, /* an operand that the instruction must not have */
	EXIT_IO, /* port, size, out */
	EXIT_HLT,
	EXIT_CALL,   /* VMCALL or VMMCALL */
	EXIT_TRIPLE, /* triple fault */
	EXIT_KICK,   /* an interrupt for the host */
	EXIT_SLICE,  /* the time slice is over */
	EXIT_LOG,    /* the log of writes is full */
	EXIT_UD,     /* an instruction that this guest does not have */
	EXIT_RETRY,  /* handled: enter again */
	EXIT_STORM,  /* an exception's delivery raises it again, without end */
	EXIT_BROKEN, /* the hardware refused to run the guest; code */
	EXIT_WINDOW, /* the guest takes interrupts now */
	EXIT_XSETBV,
	EXIT_REASONS
};

/* Access of a second-stage fault, in EPT_R|W|X. */
struct vcpu_exit {
	enum exit_reason reason;
	unsigned int access;
	gpa_t gpa;
	uint64_t code;       /* the hardware's own number of the reason */
	uint64_t rip;        /* where it exited; not of a second-stage fault */
	unsigned int length; /* of the instruction, bytes; for skip() */
	uint16_t port;
	uint8_t size;
	bool out;
};

/* The exceptions that Cleave intercepts; #MC is in hv/cpu/mca.h. */
enum {
	EXCEPTION_DB = 1,
	VECTOR_NMI = 2,
	EXCEPTION_AC = 17
};

enum {
	INJECT_NO_ERROR = -1
};

struct vendor {
	const char *name;
	const struct ept_format *format;
	const char *flush_name; /* the maker's word for a flush of the second stage on one CPU */

	/* Does this machine have it? -ENODEV after printing what is missing. Boot CPU only. */
	int (*probe)(void);
	/* The largest leaf that the CPU has. */
	enum pg_level (*leaf_max)(void);
	/* Does it set accessed and dirty bits? */
	bool (*has_dirty)(void);
	/* Does the CPU log the pages whose dirty bits it sets? NULL: no, and no log() or drain().
	 * log() begins or ends that for the current vCPU; drain() calls mem_note_dirty() for each
	 * logged page. */
	bool (*has_log)(void);
	void (*log)(struct vcpu *vcpu, bool on);
	void (*drain)(struct vcpu *vcpu);
	/* Must large leaves not be executed (iTLB multihit)? */
	bool (*nx_rule)(void);
	/* On each CPU, once. -ENODEV after printing why not. */
	int (*enable)(void);

	/* Takes and gives back what the hardware needs for one vCPU. -ENOMEM. */
	int (*create)(struct vcpu *vcpu);
	void (*destroy)(struct vcpu *vcpu);

	/* Copies vcpu->state to the hardware. Call it before a vCPU first runs on this CPU. */
	void (*load)(struct vcpu *vcpu);
	/* Make a loaded vCPU the current one of this CPU, and undo that: switch the registers that
	 * the hardware does not switch at each exit. */
	void (*activate)(struct vcpu *vcpu);
	void (*deactivate)(struct vcpu *vcpu);
	/* Loads the current vCPU's debug registers, so that its accesses to them exit no longer; or
	 * takes them to vcpu->state, DR7 too, and lets accesses exit. While they exit, the first
	 * one brings the registers. */
	void (*debug)(struct vcpu *vcpu, bool own);
	/* Copies the hardware's state to vcpu->state. Then any CPU may load the vCPU. */
	void (*save)(struct vcpu *vcpu);
	/* The same to *s, for reports: the vCPU stays loaded. Takes from vcpu->state what the
	 * hardware does not hold, and all of a vCPU that is not current. Call it on the CPU on
	 * which the vCPU is loaded. */
	void (*peek)(const struct vcpu *vcpu, struct guest_state *s);

	/* Runs the current vCPU until it leaves: the loop of hv/cpu/vcpu_loop.h. The guest exits at
	 * vcpu->until at the latest. */
	void (*run)(struct vcpu *vcpu, const struct vcpu_rare *rare);
	/* Gives this CPU back all that root mode needs to take an interrupt, which runs of a guest
	 * leave to the guest. Call it before, and when no run follows. */
	void (*leave)(void);
	/* Raises an exception in the guest at the next entry. */
	void (*inject)(struct vcpu *vcpu, unsigned int vector, int64_t error);
	/* Interrupts for the current vCPU. Does it take one at the next entry? open() says so for
	 * interrupts, nmi_open() for NMIs; then interrupt() and nmi() deliver it. window() makes
	 * it exit with EXIT_WINDOW as soon as it takes interrupts, or no longer; false: this CPU
	 * cannot. */
	bool (*open)(const struct vcpu *vcpu);
	void (*interrupt)(struct vcpu *vcpu, unsigned int vector);
	bool (*window)(struct vcpu *vcpu, bool on);
	bool (*nmi_open)(const struct vcpu *vcpu);
	void (*nmi)(struct vcpu *vcpu);
	/* Its task priority, 0 to 15. */
	unsigned int (*cr8)(const struct vcpu *vcpu);
	void (*set_cr8)(struct vcpu *vcpu, unsigned int value);
	/* RFLAGS.IF of the current vCPU. */
	bool (*interrupts_on)(const struct vcpu *vcpu);
	/* Did the last exit interrupt the delivery of an event? inject() takes its place then. */
	bool (*was_delivering)(const struct vcpu *vcpu);
	/* CR4 as the current vCPU sees it. */
	uint64_t (*cr4)(const struct vcpu *vcpu);
	/* RIP of the current vCPU. */
	uint64_t (*rip)(const struct vcpu *vcpu);
	/* Does the current vCPU execute 64-bit code at CPL 0? */
	bool (*in_kernel)(const struct vcpu *vcpu);
	/* Completes the instruction that exited: moves RIP behind it, ends interrupt shadows,
	 * clears RFLAGS.RF, and raises the single step if RFLAGS.TF is set. */
	void (*skip)(struct vcpu *vcpu, const struct vcpu_exit *exit);
	/* Access to MSRs that the hardware switches with the guest. -ENOENT: not one of these;
	 * -EINVAL: raise #GP. */
	int (*rdmsr)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
	int (*wrmsr)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
	/* Drops what this CPU has cached of a second stage. */
	void (*flush)(const struct ept *ept);
	/* Prints the main fields of the current vCPU's control structure. */
	void (*dump)(void);

	const struct mca_kind *mca; /* this maker's machine checks */
	unsigned int call_abi;      /* hv/abi.h: ABI_CALL_* */
};

extern const struct vendor vendor_vmx;
extern const struct vendor vendor_svm;

/* This machine's vendor, from vendor_init() on. */
extern const struct vendor *vendor;

/* Chooses and probes. -ENODEV after printing what is missing. Boot CPU only. */
int vendor_init(void);

#endif
