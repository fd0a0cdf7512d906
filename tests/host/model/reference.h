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
	bool requested;
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
};

/* All NONE. @page: npages records, the caller's. */
void ref_init(struct reference *ref, const struct ept_format *fmt, enum pg_level leaf_max,
	      struct ref_page *page, uint64_t npages);

int ref_map(struct reference *ref, gfn_t gfn, uint64_t frames, uint64_t backing, unsigned int perms,
	    enum ept_memtype memtype, enum ept_kind kind);
void ref_unmap(struct reference *ref, gfn_t gfn, uint64_t frames);
int ref_request(struct reference *ref, gfn_t gfn);
int ref_fill(struct reference *ref, gfn_t gfn, enum pg_level level);
bool ref_publish(struct reference *ref, gfn_t gfn, enum pg_level level, uint8_t content);
void ref_give_up(struct reference *ref, gfn_t gfn, enum pg_level level);
int ref_split(struct reference *ref, gfn_t gfn, enum pg_level level);
int ref_collapse(struct reference *ref, gfn_t gfn, enum pg_level level);
void ref_collapse_range(struct reference *ref, gfn_t gfn, uint64_t frames,
			struct ept_collapse_result *result);
int ref_poison(struct reference *ref, gfn_t gfn);

/* Hardware noted these bits in an entry that maps [gfn, gfn + frames). */
void ref_note(struct reference *ref, gfn_t gfn, uint64_t frames, uint8_t bits);

/* Entries by kind and level, as far as the records tell: all kinds but NONE and TABLE. */
void ref_census(const struct reference *ref, struct ept_census *census);

/* NULL, or how the lookup of gfn differs from its record. `exact`: no late bit is under way. */
const char *ref_compare(const struct reference *ref, gfn_t gfn, const struct ept_state *s,
			bool exact);

#endif
