/* SPDX-License-Identifier: MIT */
/*
 * The pager: brings a VM's absent memory in. On a fault the page comes at once if its source has it
 * at hand; otherwise it is asked for, and the vCPU waits. Whoever polls the source places what has
 * come. Ranges that become complete collapse, as the policy says.
 *
 * A fresh VM has a pager, too: its source is zeros.
 */
#ifndef HV_PAGER_H
#define HV_PAGER_H

#include "hv/config/config.h"
#include "hv/source.h"

#define PAGER_QUEUE 256 /* complete ranges of one CPU that wait for the budget, power of two */

/* Counted by each CPU for itself. In 4 KiB frames where not said otherwise. */
#define PAGER_STATS(X)                                                                             \
	X(data_frames, "pages placed with contents")                                               \
	X(zero_frames, "pages placed as zeros")                                                    \
	X(at_hand, "pages with contents, placed within the fault itself")                          \
	X(demand, "placements that a vCPU had asked for")                                          \
	X(background, "placements that nobody had asked for yet")                                  \
	X(duplicates, "copies that came too late and were dropped")                                \
	X(place_cycles, "cycles of claiming and publishing, contents included")                    \
	X(collapse_cycles, "cycles of collapsing, flushes included")                               \
	X(collapsed, "tables that collapsed")                                                      \
	X(refilled, "discarded pages that came back as zeros")                                     \
	X(copied, "private copies of pages")                                                       \
	X(reused, "private pages that nobody else referred to any more")                           \
	X(copy_cycles, "cycles of making them, flushes included")                                  \
	X(starved, "placements put off for want of a table page")

struct pager_counters {
#define X(name, what) _Atomic uint64_t name;
	PAGER_STATS(X)
#undef X
} __attribute__((aligned(CACHE_LINE)));

/* Sums over all CPUs. */
struct pager_stats {
#define X(name, what) uint64_t name;
	PAGER_STATS(X)
#undef X
};

/* Ranges that are complete: one writer, and the CPU that keeps house reads. */
struct pager_queue {
	_Atomic uint32_t head, tail;
	gfn_t gfn[PAGER_QUEUE];
};

struct vm;

struct pager {
	struct vm *vm;
	struct page_source *source;
	enum pg_level piece; /* size of the pieces in which content at hand is placed */
	enum config_policy policy;
	uint64_t frames; /* of the VM's memory */
	gfn_t last_fault;
	struct pager_counters stats[MAX_CPUS];
	struct pager_queue queue[MAX_CPUS];
};

void pager_init(struct pager *p, struct vm *vm, struct page_source *source, enum pg_level piece,
		enum config_policy policy, uint64_t frames);

enum pager_answer {
	PAGER_RESUME,
	PAGER_WAIT,
	PAGER_WILD,
	PAGER_DENIED,
	PAGER_POISON,
	PAGER_NOMEM
};

/**
 * pager_bring() - bring the page at gfn in, for an access of the hypervisor's own.
 * Return: 0: it was placed; -EEXIST, -EAGAIN: look again; -EBUSY: it is on its way; -EHWPOISON,
 * -ENOENT, -ENOMEM.
 */
int must_check pager_bring(struct pager *p, unsigned int cpu, gfn_t gfn);

/* Places what vCPUs and the hypervisor wait for, as far as it has come. Boot CPU only. */
void pager_poll(struct pager *p);

/* A vCPU of the VM faulted at gpa. PAGER_WAIT: the page will come. */
enum pager_answer pager_fault(struct pager *p, struct vcpu *vcpu, const struct vcpu_exit *exit);

/* Places what the source sent, in the largest pieces that fit. */
void pager_place(struct pager *p, unsigned int cpu, const struct page_reply *reply);

/* Places zeros at gfn, one piece, the largest that fits before `end`. Returns where to go on. */
gfn_t pager_place_zeros(struct pager *p, unsigned int cpu, gfn_t gfn, gfn_t end);

/**
 * pager_copy() - the page at gfn, which is private, gets a frame of its own, with the same
 * contents; or keeps the one that it has, if nobody else refers to that any more.
 * Return: 0; -ENOMEM; -EBUSY: the VM is being cloned; or why it could not be frozen: see
 * ept_freeze().
 */
int must_check pager_copy(struct pager *p, unsigned int cpu, gfn_t gfn);

/* Collapses up to n of the ranges that wait. Returns how many it looked at. */
unsigned int pager_collapse_some(struct pager *p, unsigned int cpu, unsigned int n);

/* Ranges that wait for the budget. */
unsigned int pager_backlog(const struct pager *p);

/* Collapses all that can be, in the whole memory. */
void pager_collapse_all(struct pager *p, unsigned int cpu);

void pager_sum(const struct pager *p, struct pager_stats *sum);

/* Frames that have been placed, or were given up before: what nobody will send any more. */
uint64_t pager_settled(const struct pager *p);

#endif
