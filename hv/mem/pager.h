/* SPDX-License-Identifier: MIT */
/*
 * The pager: brings a guest's absent memory in. On a fault the page comes at once if its source has
 * it at hand; otherwise it is asked for, and the vCPU waits. Whoever polls the source places what
 * has come. Ranges that become complete collapse, as the policy says.
 *
 * Fresh memory has a pager, too: its source is zeros.
 */
#ifndef HV_MEM_PAGER_H
#define HV_MEM_PAGER_H

#include <stdatomic.h>

#include "mm/types.h"

struct memory;
struct page_reply;
struct page_source;
struct policy;

/* Counted by each CPU for itself. In 4 KiB frames where not said otherwise. */
#define PAGER_STATS(X)                                                                             \
	X(data_frames, "pages placed with contents")                                               \
	X(zero_frames, "pages placed as zeros")                                                    \
	X(at_hand, "pages with contents, placed within the fault itself")                          \
	X(pieces_at_hand, "faults that zeros, or a larger piece, at hand have answered")           \
	X(demand, "placements that a vCPU had asked for")                                          \
	X(background, "placements that nobody had asked for yet")                                  \
	X(duplicates, "copies that came too late and were dropped")                                \
	X(placed_4k, "placements of 4 KiB")                                                        \
	X(placed_2m, "placements of 2 MiB")                                                        \
	X(placed_1g, "placements of 1 GiB")                                                        \
	X(place_cycles_4k, "cycles of placing 4 KiB, contents included")                           \
	X(place_cycles_2m, "cycles of placing 2 MiB, contents included")                           \
	X(place_cycles_1g, "cycles of placing 1 GiB, contents included")                           \
	X(collapse_cycles, "cycles of collapsing, flushes included")                               \
	X(collapsed, "tables that collapsed")                                                      \
	X(refilled, "discarded pages that came back as zeros")                                     \
	X(copied, "private copies of pages")                                                       \
	X(reused, "private pages that nobody else referred to any more")                           \
	X(copy_cycles, "cycles of making them, flushes included")                                  \
	X(starved, "placements put off for want of a table page")                                  \
	X(source_full, "requests that the source had no room for")

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

#define PAGER_DEFERRED 32

struct pager {
	struct page_source *source;
	enum pg_level piece; /* size of the pieces in which zeros at hand are placed */
	const struct policy *policy;
	uint64_t arrive;  /* frames that are asked for at once, and come at once */
	gfn_t last_fault; /* the latest page that somebody asked the source for */

	/* The boot CPU's: how long urgent answers waited behind other work. */
	bool urgent;       /* what it took last was one */
	uint64_t work;     /* bytes of other work since it last looked for them */
	uint64_t work_max; /* most bytes between two looks */
	uint64_t late_max; /* longest that one waited to be taken, cycles */

	/* The boot CPU's, while it writes a large piece: it looks for urgent answers in between.
	 * What becomes complete by them collapses when the piece is published, as a collapse may
	 * flush. */
	void (*between)(struct memory *mem, unsigned int cpu);
	bool holding; /* a large page is claimed just now */
	bool serving; /* urgent answers, in between */
	unsigned int ndeferred;
	struct {
		gfn_t gfn;
		enum pg_level level;
	} deferred[PAGER_DEFERRED];

	struct pager_counters stats[MAX_CPUS];
};

/* Only its own CPU writes a counter: no locked instruction, but one, so that no reader sees half of
 * it. */
static inline void pager_count(_Atomic uint64_t *counter, uint64_t n)
{
	__asm__("addq %1, %0" : "+m"(*counter) : "er"(n) : "cc");
}

/* @arrive: frames that come at once: 1, or a power of two */
void pager_init(struct memory *mem, struct page_source *source, enum pg_level piece,
		uint64_t arrive, const struct policy *policy);

/* --- faults of vCPUs ------------------------------------------------------------------------ */

#define LATENCY_BUCKETS 64 /* bucket n: [2^n, 2^(n+1)) cycles; 0 and 1 share the first one */

/* Of one vCPU. */
struct fault_stats {
	uint64_t faults;       /* second-stage faults */
	uint64_t spurious;     /* of these: the page was there by the time we looked */
	uint64_t waits;        /* of these: the vCPU left the CPU until the page was there, */
	uint64_t wait_cycles;  /* for so long */
	uint64_t block_cycles; /* all that it waited for pages, those at hand included */
	uint64_t block_max;    /* longest single wait, cycles */
	uint64_t latency[LATENCY_BUCKETS];
};

/* Notes that a vCPU had to wait for a page for so many cycles. */
static inline void fault_waited(struct fault_stats *stats, uint64_t cycles)
{
	stats->latency[63u - (unsigned int)__builtin_clzll(cycles | 1)]++;
	stats->block_cycles += cycles;
	if (__builtin_expect(cycles > stats->block_max, 0))
		stats->block_max = cycles;
}

enum pager_answer {
	PAGER_RESUME,
	PAGER_WAIT,   /* the page will come */
	PAGER_WILD,   /* outside of the guest's memory */
	PAGER_DENIED, /* the guest may not do this there */
	PAGER_POISON, /* the page is lost */
	PAGER_NOMEM   /* no frame for a copy of its own */
};

/**
 * pager_fault() - a vCPU on this CPU faulted.
 * @access: of EPT_R, EPT_W, EPT_X
 * @stats: the vCPU's; a wait that is over within the call is noted there
 */
enum pager_answer pager_fault(struct memory *mem, unsigned int cpu, gpa_t at, unsigned int access,
			      struct fault_stats *stats) __attribute__((nonnull));

/* --- without a vCPU ------------------------------------------------------------------------- */

/**
 * pager_bring() - bring the page at gfn in, for an access of the hypervisor's own.
 * Return: 0: it was placed; EPT_HERE, EPT_NOT_HERE: look again; EPT_BUSY: it is on its way;
 * EPT_LOST, EPT_UNMAPPED, -ENOMEM.
 */
int must_check pager_bring(struct memory *mem, unsigned int cpu, gfn_t gfn);

/* Places what vCPUs and the hypervisor wait for, as far as it has come. Boot CPU only. */
void pager_poll(struct memory *mem);

/* --- sums ----------------------------------------------------------------------------------- */

void pager_sum(const struct memory *mem, struct pager_stats *sum);

/* Frames that have been placed, or were given up before: what nobody will send any more. */
uint64_t pager_settled(const struct memory *mem);

#endif
