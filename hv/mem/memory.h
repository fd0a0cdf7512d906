/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory: the second stage, the frames behind it, and what brings absent pages in. It
 * knows of no vCPU.
 *
 * Use only this CPU's handle and gather: mem_handle(), mem_gather(). See "what a caller owes" in
 * ept/ept.h.
 */
#ifndef HV_MEM_MEMORY_H
#define HV_MEM_MEMORY_H

#include "ept/ept.h"
#include "hv/base/smp.h"
#include "hv/mem/backing.h"
#include "hv/mem/pager.h"
#include "hv/mem/tlb.h"
#include "mm/percpu.h"

/* The machine's kind of second stage, from the vendor. */
struct stage2 {
	const struct ept_format *format;
	enum pg_level leaf_max;               /* the largest leaf that the CPU has */
	void (*flush)(const struct ept *ept); /* forgets on this CPU what it cached */
};

struct memory {
	const char *name; /* the VM's, for messages */
	unsigned int vm;  /* its number, for the trace */
	const struct stage2 *stage2;
	bool tables_reserved, ept_made;
	struct ept ept;
	struct tlb tlb;
	struct ept_gather gather[MAX_CPUS];

	struct backing backing;
	bool zeroed;     /* absent pages, unless discarded, have zeros in their frames */
	gfn_t zero_next; /* until then: those before it have */
	uint64_t frames; /* from gfn 0 on, as it was made */
	gfn_t end;       /* behind all that is mapped: grows where memory moves */
	struct pager pager;

	/* Does a vCPU wait for one of its pages? From whoever has vCPUs; NULL: nobody has. */
	bool (*waited_for)(const struct memory *mem);

	_Atomic(_Atomic uint64_t *) logged; /* the dirty log's bitmap, where the hardware logs */
	_Atomic uint64_t singles;           /* 4 KiB frames of its own: hv/mem/private.h */

	/* Its relatives: hv/mem/family.h. */
	_Atomic unsigned int cloning; /* clones of it are being made */
	bool shares;                  /* another memory uses, or used, its frames, too */
	unsigned int sharers;         /* memories that write to this one's frames: */
	struct memory *first_sharer;
	struct memory *root, *next_sharer; /* it is a sharer of root */
};

/**
 * mem_make() - make memory of `frames` frames, all absent, in blocks of `backing`, or of 2 MiB if
 * no 1 GiB block is free: see mem->backing.level.
 * @mem: zeroed, but for its name and waited_for
 * @nx: large leaves are not executable: see ept_set_nx()
 * Return: 0; or -ENOMEM, EPT_FULL after printing what was missing. Call mem_end() in any case.
 */
int must_check mem_make(struct memory *mem, const struct stage2 *stage2, uint64_t frames,
			enum pg_level backing, bool nx);

/**
 * mem_zero() - fill the next frames with zeros, so that zeros which arrive later in large pieces
 * cost nothing. Call it before anything arrives, and until all have them.
 * @frames: how many at the most
 * Return: have all frames zeros now?
 */
bool mem_zero(struct memory *mem, uint64_t frames);

/* As mem_make(), with nothing mapped and no backing: provide both. Its largest leaf is that of
 * `model`. */
int must_check mem_make_like(struct memory *mem, const struct memory *model);

/* Gives everything back. Call it when no CPU runs this memory any more. */
void mem_end(struct memory *mem);

static inline struct memory *mem_of(struct ept *ept)
{
	return (struct memory *)((char *)ept - offsetof(struct memory, ept));
}

static inline struct ept_cpu *mem_handle(struct memory *mem)
{
	return ept_cpu(&mem->ept, cpu_id());
}

static inline struct ept_gather *mem_gather(struct memory *mem)
{
	return &mem->gather[cpu_id()];
}

/* Stands outside of the second stage for a moment and acknowledges flushes. Call it between two
 * tries of what EPT_BUSY refused: see "who may change a slot" in ept/ept.h. */
static inline void mem_pass(struct memory *mem)
{
	tlb_quiesce(&mem->tlb, cpu_id());
	cpu_pass();
}

/* The 4 KiB contents of the page at gfn, or NULL if it is not present. */
void *mem_page(const struct memory *mem, gfn_t gfn);

/* The frame of the page at gfn. @s: ept_lookup(gfn) */
static inline hpa_t state_frame(const struct ept_state *s, gfn_t gfn)
{
	return hpa(s->frame.v + ((gfn & (level_frames(s->level) - 1)) << PAGE_SHIFT));
}

/* The first page behind the entry that maps gfn. @s: ept_lookup(gfn) */
static inline gfn_t state_end(const struct ept_state *s, gfn_t gfn)
{
	return ALIGN_DOWN(gfn, level_frames(s->level)) + level_frames(s->level);
}

/* Notes in the dirty log that these pages may be dirty. Call it after any write, discard or move
 * but a vCPU's: the hardware logs those. Ignores addresses behind the memory, and everything while
 * no log is kept. */
void mem_note_dirty(struct memory *mem, gfn_t gfn, uint64_t frames);

#endif
