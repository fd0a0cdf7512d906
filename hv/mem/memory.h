/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory: the second stage, the frames behind it, and what brings absent pages in. It
 * knows of no vCPU.
 *
 * A CPU uses the handle and the gather that are its own: mem_handle(), mem_gather().
 */
#ifndef HV_MEM_MEMORY_H
#define HV_MEM_MEMORY_H

#include "ept/ept.h"
#include "hv/mem/backing.h"
#include "hv/mem/pager.h"
#include "hv/mem/tlb.h"
#include "mm/lock.h"
#include "mm/percpu.h"

/* What the machine's second stage is: the vendor knows. */
struct stage2 {
	const struct ept_format *format;
	enum pg_level leaf_max;               /* the largest leaf that the CPU has */
	void (*flush)(const struct ept *ept); /* forgets on this CPU what it cached */
};

struct memory {
	const char *name; /* the VM's, for messages */
	const struct stage2 *stage2;
	bool tables_reserved, ept_made;
	struct ept ept;
	struct tlb tlb;
	struct ept_gather gather[MAX_CPUS];

	struct backing backing;
	bool zeroed;     /* what is absent and was not discarded has zeros in its frames */
	uint64_t frames; /* from gfn 0 on, as it was made */
	gfn_t end;       /* behind all that is mapped: grows where memory moves */
	struct pager pager;

	_Atomic(_Atomic uint64_t *) logged; /* the dirty log's bitmap, where the hardware logs */
	_Atomic uint64_t singles;           /* 4 KiB frames of its own: hv/mem/private.h */

	/* Its relatives: hv/mem/family.h. */
	_Atomic unsigned int cloning; /* clones of it are being made */
	bool shares;                  /* its frames are, or were, another memory's, too */
	unsigned int sharers;         /* memories that write to this one's frames: */
	struct memory *first_sharer;
	struct memory *root, *next_sharer; /* it is one of these */
};

/**
 * mem_make() - memory of `frames` frames, all of it absent, in blocks of `backing`, or of 2 MiB
 * where no 1 GiB block is free: mem->backing.level says.
 * @mem: zeroed, but for its name; with mem->zeroed its frames are filled with zeros here, so that
 * zeros which arrive later in large pieces cost nothing
 * @nx: large leaves are not executable: see ept_set_nx()
 * Return: 0; or -ENOMEM, -ENOSPC after a line that says what was missing. Call mem_end() then, too.
 */
int must_check mem_make(struct memory *mem, const struct stage2 *stage2, uint64_t frames,
			enum pg_level backing, bool nx);

/* As mem_make(), with nothing mapped and no backing: the caller provides for it. Its largest leaf
 * is that of `model`. */
int must_check mem_make_like(struct memory *mem, const struct memory *model);

/* Gives everything back. No CPU runs it any more. */
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

/* The calling CPU stands outside of the second stage for a moment: between two tries of what was
 * refused because somebody else was at work. */
static inline void mem_pass(struct memory *mem)
{
	tlb_quiesce(&mem->tlb, cpu_id());
	cpu_relax();
}

/* The 4 KiB contents of a guest page that is present, or NULL. */
void *mem_page(const struct memory *mem, gfn_t gfn);

/* The frame behind one page of what an entry maps. @s: what ept_lookup() said of gfn */
static inline hpa_t state_frame(const struct ept_state *s, gfn_t gfn)
{
	return hpa(s->frame.v + ((gfn & (level_frames(s->level) - 1)) << PAGE_SHIFT));
}

/* The first page behind the entry that maps gfn. @s: what ept_lookup() said of gfn */
static inline gfn_t state_end(const struct ept_state *s, gfn_t gfn)
{
	return ALIGN_DOWN(gfn, level_frames(s->level)) + level_frames(s->level);
}

/* Notes in the dirty log that these pages may be dirty. The hardware's log says it for what vCPUs
 * write; whoever else writes, discards or moves memory calls this. Nothing happens if no log is
 * kept, or for addresses behind the memory. */
void mem_note_dirty(struct memory *mem, gfn_t gfn, uint64_t frames);

#endif
