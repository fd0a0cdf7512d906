/* SPDX-License-Identifier: MIT */
/*
 * What the second stage must say, kept in the plainest way there is: one record for each 4 KiB
 * page, no tables. Each function does to the records what its namesake in ept/ does to the tree
 * and returns what that must return.
 */
#ifndef TESTS_HOST_MODEL_REFERENCE_H
#define TESTS_HOST_MODEL_REFERENCE_H

#include "ept/ept.h"

#define REF_ACCESSED 1
#define REF_DIRTY    2

struct ref_page {
	uint64_t frame; /* address of this very page's frame */
	uint8_t kind;
	uint8_t level; /* of the entry that covers it, also if that maps nothing */
	uint8_t perms;
	uint8_t memtype;
	uint8_t executed; /* bit n: the entry of level n became a table because of a fetch */
	bool requested;
	bool tracked;
	bool zero;       /* discarded */
	bool cow;        /* the frame is not its own */
	bool logged;     /* under tracking it was written, and not yet reported */
	bool unreliable; /* its mark is so new that a CPU may still write unseen */
	bool cleared;    /* its dirty bit was, and a CPU may still hold it for set */
	uint8_t must;    /* accessed, dirty: hardware noted it of this page, it may not be lost */
	uint8_t may;     /* or of one that shared an entry with it */
	uint8_t content; /* what the guest must read: see model/world.h */
	uint32_t fills;  /* how often its contents arrived */
};

struct reference {
	const struct ept_format *fmt;
	enum pg_level leaf_max;
	uint64_t npages; /* pages [0, npages) are recorded; nothing is mapped beyond */
	struct ref_page *page;
	bool nx;
	enum ept_track_by track;
	bool recent; /* some page is unreliable or cleared */
};

/* All NONE. @page: npages records, the caller's. */
void ref_init(struct reference *ref, const struct ept_format *fmt, enum pg_level leaf_max,
	      struct ref_page *page, uint64_t npages);

int ref_map(struct reference *ref, gfn_t gfn, uint64_t frames, uint64_t backing, unsigned int perms,
	    enum ept_memtype memtype, enum ept_kind kind);
int ref_unmap(struct reference *ref, gfn_t gfn, uint64_t frames);
int ref_request(struct reference *ref, gfn_t gfn);
int ref_fill(struct reference *ref, gfn_t gfn, enum pg_level level);
bool ref_publish(struct reference *ref, gfn_t gfn, enum pg_level level, uint8_t content);
void ref_give_up(struct reference *ref, gfn_t gfn, enum pg_level level);
int ref_split(struct reference *ref, gfn_t gfn, enum pg_level level);
int ref_collapse(struct reference *ref, gfn_t gfn, enum pg_level level);
void ref_collapse_range(struct reference *ref, gfn_t gfn, uint64_t frames,
			struct ept_collapse_result *result);
int ref_poison(struct reference *ref, gfn_t gfn);

/* --- reference_range.c --- */

int ref_fill_special(struct reference *ref, gfn_t gfn, enum pg_level level, bool zero, bool cow);
int ref_protect(struct reference *ref, gfn_t gfn, uint64_t frames, unsigned int perms);
int ref_discard(struct reference *ref, gfn_t gfn, uint64_t frames);
int ref_poison_range(struct reference *ref, gfn_t gfn, uint64_t frames);
int ref_move(struct reference *ref, gfn_t from, gfn_t to, uint64_t frames);
void ref_split_range(struct reference *ref, gfn_t gfn, uint64_t frames, enum pg_level level,
		     struct ept_split_result *result);
int ref_freeze(struct reference *ref, gfn_t gfn, enum pg_level level);
bool ref_thaw(struct reference *ref, gfn_t gfn, enum pg_level level, uint64_t frame);
int ref_clone(struct reference *ref, struct reference *clone, gfn_t gfn, uint64_t frames,
	      bool private);

/* --- reference_track.c --- */

/* Marks all of [gfn, gfn + frames), or takes the marks away. */
int ref_track(struct reference *ref, gfn_t gfn, uint64_t frames, bool on);
bool ref_tracked(const struct reference *ref);

/**
 * ref_collect() - NULL, or what is wrong with a collection's report.
 * @reported: whether each page of [gfn, gfn + frames) is in it
 */
const char *ref_collect(struct reference *ref, gfn_t gfn, uint64_t frames, const bool *reported,
			bool exact);

/* @dirty: the entry's dirty bit is set: the records only say that it must be, or may. */
int ref_resolve(struct reference *ref, gfn_t gfn, unsigned int access, bool dirty);
int ref_reach(struct reference *ref, gfn_t gfn, unsigned int access, bool dirty);
unsigned int ref_recover_nx(struct reference *ref, gfn_t gfn, uint64_t frames);

/* The flush: from now on no CPU knows old things. */
void ref_flushed(struct reference *ref);

/* --- for its own files --- */

struct span {
	gfn_t start;
	gfn_t end;
};

/* The records of the slot of `level` that covers gfn. */
struct span ref_span(const struct reference *ref, gfn_t gfn, unsigned int level);

/* What covers gfn becomes pieces one level smaller, until they have `level`. */
void ref_shrink(struct reference *ref, gfn_t gfn, unsigned int level, bool executed);

/* What reaches across this edge becomes smaller. */
void ref_cut(struct reference *ref, gfn_t edge);

/* The tables that map something of the range, and nothing any more, go away. */
void ref_drop(struct reference *ref, gfn_t gfn, uint64_t frames);

/* Are the pieces of `level` around gfn all present? */
bool ref_complete(const struct reference *ref, gfn_t gfn, unsigned int level);

/* One table becomes a leaf: 1, 0 (there is none), or why not. */
int ref_collapse_slot(struct reference *ref, gfn_t gfn, unsigned int level, bool undo);

/* Hardware noted these bits in an entry that maps [gfn, gfn + frames). */
void ref_note(struct reference *ref, gfn_t gfn, uint64_t frames, uint8_t bits);

/* Entries by kind and level, as far as the records tell: all kinds but NONE and TABLE. */
void ref_census(const struct reference *ref, struct ept_census *census);

/* What hardware may not let the guest do yet of what the page grants. */
unsigned int ref_withheld(const struct reference *ref, const struct ref_page *p, bool dirty);

/* NULL, or how the lookup of gfn differs from its record. `exact`: no late bit is under way. */
const char *ref_compare(const struct reference *ref, gfn_t gfn, const struct ept_state *s,
			bool exact);

#endif
