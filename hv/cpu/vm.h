/* SPDX-License-Identifier: MIT */
/* A VM: its memory, its vCPUs, and what these share. hv/vm/ makes VMs and runs them. */
#ifndef HV_CPU_VM_H
#define HV_CPU_VM_H

#include "hv/config/config.h"
#include "hv/mem/memory.h"
#include "hv/mem/vouch.h"
#include "hv/platform/platform.h"

struct vcpu;

struct vm {
	const char *name;
	unsigned int id;
	const struct run_config *config;
	struct memory mem;

	unsigned int nvcpus;
	struct vcpu *vcpu;         /* nvcpus of them */
	bool shared_cpu[MAX_CPUS]; /* the CPU has other work than one vCPU: use slices */

	struct platform *platform; /* NULL: the guest is a payload; or &platform_own */
	struct platform platform_own;

	struct vouches vouches; /* the guest's word for its pages, where somebody asks for it */

	_Atomic bool stop;            /* all vCPUs leave as soon as they can */
	_Atomic bool asked_to_finish; /* what ABI_PASS answers: enough */
	_Atomic bool wants_migration; /* the guest asked for it */
	_Atomic uint32_t over;        /* vCPUs that are done, halted or dead */
	_Atomic uint64_t first_entry; /* TSC of the first VM entry; 0 before */
	uint64_t stopped_at;          /* vm_state_load(): the source's TSC when it stopped */
};

#endif
