/* SPDX-License-Identifier: MIT */
/* A VM: its memory, its second stage, its vCPUs. */
#ifndef HV_VM_H
#define HV_VM_H

#include "hv/abi.h"
#include "hv/backing.h"
#include "hv/config/boot_info.h"
#include "hv/pager.h"
#include "hv/tlb.h"
#include "hv/vcpu.h"
#include "mm/lock.h"
#include "mm/percpu.h"

#define SLICE_US 1000 /* of a vCPU that shares its CPU */

struct vm {
	const char *name;
	unsigned int id;
	const struct run_config *config;

	struct backing backing;
	uint64_t frames; /* of guest memory, from gpa 0 */
	bool tables_reserved, ept_made;
	struct ept ept;
	struct tlb tlb;
	struct ept_gather gather[MAX_CPUS];
	struct pager pager;

	unsigned int nvcpus;
	struct vcpu vcpu[ABI_VCPUS_MAX];
	bool shared_cpu[MAX_CPUS]; /* that CPU has more to do than one vCPU: slices are needed */

	_Atomic bool stop;                  /* all vCPUs leave as soon as they can */
	_Atomic bool asked_to_finish;       /* what ABI_PASS answers: enough */
	_Atomic bool wants_migration;       /* the guest asked for it */
	_Atomic uint32_t over;              /* vCPUs that are done, halted or dead */
	_Atomic uint64_t first_entry;       /* TSC of the first VM entry; 0 before */
	_Atomic(_Atomic uint64_t *) logged; /* the dirty log's bitmap, where the hardware logs */

	_Atomic uint64_t singles;     /* 4 KiB frames of its own: hv/frames.h */
	_Atomic unsigned int cloning; /* clones of it are being made: hv/clone.h */
	bool shares;                  /* its memory is, or was, another VM's, too */
	unsigned int sharers;         /* VMs whose memory is this one's: */
	struct vm *first_sharer;
	struct vm *memory_of, *next_sharer; /* it is one of these */
};

static inline struct vm *vm_of(struct ept *ept)
{
	return (struct vm *)((char *)ept - offsetof(struct vm, ept));
}

/**
 * vm_create() - memory of region bytes, all of it absent, in blocks of `backing` (or of 2 MiB where
 * no 1 GiB block is free: vm->backing.level says), and vCPUs that are not loaded anywhere.
 * Return: NULL after a line that says what was missing.
 */
struct vm *vm_create(const char *name, const struct run_config *config, enum pg_level backing);

/* As vm_create(), with nothing mapped and no backing: the caller provides for it. Its largest leaf
 * is that of `model`. */
struct vm *vm_create_like(const struct vm *model, const char *name);

/* Gives everything back. No CPU runs it any more. */
void vm_destroy(struct vm *vm);

/* The vCPU, which is stopped, runs on this CPU from now on; on the boot CPU by vm_turn(). */
void vm_place_vcpu(struct vm *vm, unsigned int index, unsigned int cpu);

/**
 * vm_load_payload() - copy a payload into guest memory and set the vCPUs to its entry.
 * Return: 0, or -EINVAL after a line that says what is wrong with the image.
 */
int must_check vm_load_payload(struct vm *vm, const struct boot_module *module);

/* The same, by the payload's name. NULL, or what went wrong in a few words. */
const char *must_check vm_load_payload_named(struct vm *vm, const struct boot_info *info,
					     const char *name);

/* Lets the other CPUs run the vCPUs that are theirs; with one CPU, vm_turn() does. */
void vm_start(struct vm *vm);

/* Stops all vCPUs and saves their state. */
void vm_stop(struct vm *vm);

/* Gives each vCPU of this CPU its turn. False: none could run. */
bool vm_turn(struct vm *vm);

/* All vCPUs are over with. */
bool vm_over(const struct vm *vm);
bool vm_all_ready(const struct vm *vm);

/* The calling CPU stands outside of the second stage for a moment: between two tries of what was
 * refused with -EBUSY. */
static inline void vm_pass(struct vm *vm)
{
	tlb_quiesce(&vm->tlb, cpu_id());
	cpu_relax();
}

/* Gives back a frame that was the VM's own. */
void vm_frame_free(hpa_t frame);

/* Contents of a guest page if it is present, or NULL. */
void *vm_page(const struct vm *vm, gfn_t gfn);

#endif
