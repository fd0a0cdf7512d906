/* SPDX-License-Identifier: MIT */
/*
 * The seam between the hypervisor and the CPU's maker: what VMX and SVM do differently, and
 * nothing else. Everything behind it speaks of exits as the enum below names them.
 */
#ifndef HV_VENDOR_H
#define HV_VENDOR_H

#include "ept/ept.h"
#include "hv/cpu/mca.h"

struct vcpu;
struct guest_state;

enum exit_reason {
	EXIT_STAGE2,    /* gpa, access: nothing is mapped there, or not so */
	EXIT_MISCONFIG, /* gpa: an entry that the hardware rejects: our own fault */
	EXIT_CPUID,
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_GP, /* a value or a register that the instruction may not have */
	EXIT_IO, /* port, size, out */
	EXIT_HLT,
	EXIT_CALL,   /* VMCALL or VMMCALL */
	EXIT_TRIPLE, /* triple fault */
	EXIT_KICK,   /* an interrupt for the host */
	EXIT_SLICE,  /* the time slice is over */
	EXIT_LOG,    /* the log of writes is full */
	EXIT_UD,     /* an instruction that this guest does not have */
	EXIT_RETRY,  /* dealt with: enter again */
	EXIT_STORM,  /* an exception met itself on its way again and again: no end is in sight */
	EXIT_BROKEN, /* the hardware refused to run the guest; code */
};

/* Access of a second-stage fault, in EPT_R|W|X. */
struct vcpu_exit {
	enum exit_reason reason;
	unsigned int access;
	gpa_t gpa;
	uint64_t code;       /* the hardware's own number of the reason */
	unsigned int length; /* of the instruction, bytes; where it is to be stepped over */
	uint16_t port;
	uint8_t size;
	bool out;
};

/* The exceptions that Cleave takes first; #MC is in hv/cpu/mca.h. */
enum {
	EXCEPTION_DB = 1,
	EXCEPTION_AC = 17
};

enum {
	INJECT_NO_ERROR = -1
};

struct vendor {
	const char *name;
	const struct ept_format *format;
	const char *flush_name; /* what it calls a flush of the second stage on one CPU */

	/* Can this machine do it? -ENODEV after printing what is missing. Boot CPU only. */
	int (*probe)(void);
	/* The largest leaf that the CPU has. */
	enum pg_level (*leaf_max)(void);
	/* Does it set accessed and dirty bits? */
	bool (*has_dirty)(void);
	/* Can it log what it sets dirty bits for? NULL: no. Then log(), for the current vCPU: begin
	 * or end; and drain(): mem_note_dirty() for all that was logged so far. */
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

	/* vcpu->state to the hardware, before a vCPU first runs on this CPU. */
	void (*load)(struct vcpu *vcpu);
	/* Make a loaded vCPU the current one of this CPU, with the registers that the hardware does
	 * not switch by itself at each exit; and take these from it again. */
	void (*activate)(struct vcpu *vcpu);
	void (*deactivate)(struct vcpu *vcpu);
	/* The hardware's state to vcpu->state; it can be loaded elsewhere then. */
	void (*save)(struct vcpu *vcpu);
	/* The same to *s, of a vCPU that stays loaded: for reports. What the hardware does not
	 * hold, and all of a vCPU that is not current, is as vcpu->state has it. Call it on the CPU
	 * that the vCPU is loaded on, while it is loaded. */
	void (*peek)(const struct vcpu *vcpu, struct guest_state *s);

	/* Runs the current vCPU until it exits. `deadline`: TSC value, or 0. */
	void (*run)(struct vcpu *vcpu, uint64_t deadline, struct vcpu_exit *exit);
	/* Raises an exception in the guest at the next entry. */
	void (*inject)(struct vcpu *vcpu, unsigned int vector, int64_t error);
	/* Did the last exit interrupt the delivery of an event? inject() takes its place then. */
	bool (*was_delivering)(const struct vcpu *vcpu);
	/* CR4 as the current vCPU sees it. */
	uint64_t (*cr4)(const struct vcpu *vcpu);
	/* Where the current vCPU stands. */
	uint64_t (*rip)(const struct vcpu *vcpu);
	/* Does the current vCPU execute 64-bit code at CPL 0? */
	bool (*in_kernel)(const struct vcpu *vcpu);
	/* Completes the instruction that exited: RIP moves behind it, what it shadowed is open
	 * again, RFLAGS.RF is clear, and a single step is due where RFLAGS.TF is set. */
	void (*skip)(struct vcpu *vcpu, const struct vcpu_exit *exit);
	/* MSRs that the hardware switches with the guest. -ENOENT: not one of these; -EINVAL: #GP.
	 */
	int (*rdmsr)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
	int (*wrmsr)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
	/* Forgets on this CPU what it cached of a second stage. */
	void (*flush)(const struct ept *ept);
	/* Prints the current vCPU's state that matters. */
	void (*dump)(void);

	const struct mca_kind *mca; /* machine checks as this maker has them */
	unsigned int call_abi;      /* hv/abi.h: ABI_CALL_* */
};

extern const struct vendor vendor_vmx;
extern const struct vendor vendor_svm;

/* The one that this machine has. */
extern const struct vendor *vendor;

/* Chooses and probes. -ENODEV after a line that says what is missing. */
int vendor_init(void);

#endif
