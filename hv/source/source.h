/* SPDX-License-Identifier: MIT */
/*
 * Page sources: "give me the pages [gfn, gfn + n)". Another VM on this machine, or nothing but
 * zeros; a network and a file fit the same interface.
 *
 * A source is a stateless server of a frozen image: you may ask twice; answers may come in any
 * order; zeros may come in larger runs than you asked for.
 */
#ifndef HV_SOURCE_H
#define HV_SOURCE_H

#include <stdatomic.h>

#include "ept/ept.h"
#include "hv/mem/bitmap.h"
#include "hv/source/ring.h"

struct page_source;

#define NO_REQUEST UINT64_MAX

struct page_reply {
	gfn_t gfn;
	uint64_t frames;  /* 1 where there is data */
	const void *data; /* the source's 4 KiB, valid until its next call; NULL: zeros */
	bool in_place;    /* the frames hold the contents already: write nothing */
	bool lost;        /* the source has lost the page; 1 frame */
	bool whole;       /* it came in one piece: ops->page() has each page's contents */
};

/* What a source sent. */
struct page_answer {
	struct page_reply reply;
	uint64_t completes; /* gfn of the request that is done by it, or NO_REQUEST */
	bool urgent;        /* somebody waits for it */
	uint64_t late;      /* cycles that an urgent answer has waited to be taken */
};

struct source_ops {
	const char *name;
	/* The contents of the page at gfn, if they are at hand. False: call request(). */
	bool (*now)(struct page_source *source, gfn_t gfn, struct page_reply *reply);
	/* The contents of one page of a piece that came whole. NULL: no piece comes whole. */
	void (*page)(struct page_source *source, gfn_t gfn, struct page_reply *reply);
	/* Asks for pages; urgent ones overtake. -ENOSPC: too much is under way, try again later;
	 * -EINVAL: not pages of the source. */
	int (*request)(struct page_source *source, unsigned int cpu, gfn_t gfn, uint64_t frames,
		       bool urgent);
	/* Takes the next answer that has come, urgent ones first, or only these. False: none has
	 * come. NULL: all is at hand. Call it on one CPU only. */
	bool (*poll)(struct page_source *source, bool urgent_only, struct page_answer *answer);
	/* Cuts what leads to it, or mends it: while it is cut requests are taken, and no answer
	 * comes. Boot CPU only. NULL, as is_cut: it has nothing that could be cut. */
	void (*cut)(struct page_source *source, bool cut);
	bool (*is_cut)(const struct page_source *source);
	/* All pages are here: tells whoever sent them. False: call it again. NULL: nobody waits for
	 * that. Boot CPU only. */
	bool (*over)(struct page_source *source);
};

struct page_source {
	const struct source_ops *ops;
	uint64_t sent;               /* pages with contents in answers, sent one by one */
	const struct bitmap *staged; /* pages whose contents lie in their frames already; or NULL */
};

/* Is the page staged? Then replies that, of all of its 2 MiB if they are. Call it only if
 * source->staged is set. Inline: most sources have none, and nobody shall pay for the call. */
static inline bool source_staged(const struct page_source *source, gfn_t gfn,
				 struct page_reply *reply)
{
	const uint64_t frames = level_frames(PG_LEVEL_2M);

	if (!bitmap_test(source->staged, gfn))
		return false;
	*reply = (struct page_reply){ .gfn = gfn, .frames = 1, .in_place = true };
	if (bitmap_full(source->staged, ALIGN_DOWN(gfn, frames), frames)) {
		reply->gfn = ALIGN_DOWN(gfn, frames);
		reply->frames = frames;
	}
	return true;
}

/* --- source_zero.c ------------------------------------------------------------------------- */

extern struct page_source source_zero;

/* --- source_vm.c --------------------------------------------------------------------------- */

#define SOURCE_BACKGROUND 256 /* requests of the background stream */

/* The pace of a link between the VMs. */
struct source_pace {
	uint64_t latency;  /* cycles to its first page; 0: all pages are at hand */
	uint64_t per_page; /* cycles from one page to the next of a piece that comes whole */
	uint64_t arrive;   /* frames of such a piece; 1: no piece comes whole */
};

struct source_vm {
	struct page_source source;
	struct ept *from; /* the frozen VM's second stage */
	uint64_t frames;  /* of its memory */
	struct source_pace pace;
	struct source_ring urgent[MAX_CPUS];
	struct source_ring background;
	struct source_request urgent_slot[MAX_CPUS][SOURCE_URGENT];
	struct source_request background_slot[SOURCE_BACKGROUND];
};

void source_vm_init(struct source_vm *s, struct ept *from, uint64_t frames,
		    const struct source_pace *pace);

#endif
