/* SPDX-License-Identifier: MIT */
/*
 * The pager brings a guest's absent memory in. On a fault it places the page at once if the source
 * has it at hand; otherwise it asks for the page, and the vCPU waits. The boot CPU polls the source
 * and places the answers. Complete ranges collapse as the policy says.
 *
 * Fresh memory has a pager, too: its source is zeros.
 */
#ifndef HV_MEM_PAGER_H
#define HV_MEM_PAGER_H

#include <stdatomic.h>

#include "hv/mem/recorder.h"
#include "mm/count.h"
#include "mm/types.h"

struct memory;
struct page_reply;
struct page_source;
struct policy;

/* Each CPU counts for itself. In 4 KiB frames unless said otherwise. */
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
	X(asked, "requests of pages that somebody waits for")                                      \
	X(source_full, "requests that the source had no room for")                                 \
	X(put_off, "complete ranges that the policy collapses later")                              \
	X(found_hot, "ranges that collapse=hot collapsed, as they were hot")                       \
	X(held_back, "looks at which collapse=idle held back, as a vCPU waited")                   \
	X(fetched, "pages asked for, as collapse=density wants their range")

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
	enum pg_level piece; /* size in which zeros at hand are placed */
	const struct policy *policy;
	uint64_t arrive;            /* frames of one request, which come at once */
	enum pg_level arrive_level; /* of the largest entry that they fill */
	gfn_t last_fault;           /* the page last asked for */
	struct recorder touches;    /* for order=record */
	gfn_t wanted, wanted_end;   /* the boot CPU's: what the policy wants before all else */

	/* The boot CPU's: how long urgent answers waited behind other work. */
	uint64_t work;     /* bytes placed since it last looked for them */
	uint64_t work_max; /* most bytes between two looks */
	uint64_t answered; /* requests of pages that somebody waits for, answered wholly */
	uint64_t late_max; /* longest wait of an urgent answer to be taken, cycles */

	/* The boot CPU's, while it writes a large piece: it serves urgent answers in between.
	 * Ranges that they complete collapse after the piece is published: a collapse may flush,
	 * and a claim holder must wait for nobody (see "contents" in ept/ept.h). */
	void (*between)(struct memory *mem, unsigned int cpu);
	bool holding; /* it holds the claim of a large piece */
	bool serving; /* it serves an urgent answer, in between; others wait their turn */
	unsigned int ndeferred;
	struct {
		gfn_t gfn;
		enum pg_level level;
	} deferred[PAGER_DEFERRED];

	struct pager_counters stats[MAX_CPUS];
};

/* @source, @policy: stay the caller's. @arrive: frames of one request: 1, or a power of two */
void pager_init(struct memory *mem, struct page_source *source, enum pg_level piece,
		uint64_t arrive, const struct policy *policy);

/* Has the source answered all requests of pages that somebody waits for? Boot CPU only. */
bool pager_all_answered(const struct memory *mem);

/* --- faults of vCPUs ------------------------------------------------------------------------ */

#define LATENCY_BUCKETS 64 /* bucket n: [2^n, 2^(n+1)) cycles; 0 and 1 share the first one */

/* Of one vCPU. */
struct fault_stats {
	uint64_t faults;       /* second-stage faults */
	uint64_t spurious;     /* of these: the page was there by the time we looked */
	uint64_t waits;        /* of these: the vCPU left the CPU until the page was there */
	uint64_t wait_cycles;  /* of these waits */
	uint64_t block_cycles; /* of all waits for pages, those at hand included */
	uint64_t block_max;    /* longest single wait, cycles */
	uint64_t latency[LATENCY_BUCKETS];
};

/* Notes that a vCPU waited `cycles` for a page. */
static inline void fault_waited(struct fault_stats *stats, uint64_t cycles)
{
	stats->latency[63u - (unsigned int)__builtin_clzll(cycles | 1)]++;
	stats->block_cycles += cycles;
	if (cycles > stats->block_max)
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
 * pager_fault() - answer a second-stage fault of a vCPU on this CPU.
 * @access: of EPT_R, EPT_W, EPT_X
 * @stats: the vCPU's; notes the fault, and a wait that ends within the call
 */
enum pager_answer pager_fault(struct memory *mem, size_t cpu, gpa_t at, unsigned int access,
			      struct fault_stats *stats) __attribute__((nonnull));

/* --- without a vCPU ------------------------------------------------------------------------- */

/**
 * pager_bring() - bring the page at gfn in, for the hypervisor's own access.
 * Return: 0: placed; EPT_HERE, EPT_NOT_HERE: look again; EPT_BUSY: it is on its way; EPT_LOST;
 * EPT_UNMAPPED; -ENOMEM: no table page, or no frame for a private page.
 */
int must_check pager_bring(struct memory *mem, unsigned int cpu, gfn_t gfn);

/* Takes one urgent answer, if one has come, and places it. Boot CPU only. */
void pager_poll(struct memory *mem);

/* --- sums ----------------------------------------------------------------------------------- */

void pager_sum(const struct memory *mem, struct pager_stats *sum);

/* Frames that were placed, lost or given up: nobody will send them any more. */
uint64_t pager_settled(const struct memory *mem);

#endif
