/* SPDX-License-Identifier: MIT */
/*
 * A model of what a CPU may remember of a second stage: each translation and each pointer to a
 * table that it ever saw, until a flush (SDM vol. 3C, "Caching Translation Information"). What was
 * not present is never remembered, and a violation drops whatever was remembered for that address.
 *
 * An access walks the tables as hardware does, setting accessed and dirty bits on its way. Where
 * it starts is the test's choice: at the root, at any remembered pointer, or at a remembered
 * translation. So a test can make each stale use happen that the manual allows.
 */
#ifndef TESTS_HOST_MODEL_TLB_H
#define TESTS_HOST_MODEL_TLB_H

#include "ept/ept.h"

#define TLB_LEAVES   96
#define TLB_POINTERS 32

struct tlb_leaf {
	gfn_t gfn;      /* first frame that it maps */
	uint64_t frame; /* address of the first byte */
	uint8_t level;
	uint8_t perms;
	uint8_t memtype;
	bool dirty; /* writes need no walk any more */
};

struct tlb_pointer {
	gfn_t gfn; /* first frame that the table maps */
	hpa_t table;
	uint8_t level; /* of the table's entries */
};

struct tlb {
	bool plain; /* this hardware has no accessed and dirty bits */
	unsigned int nleaves;
	unsigned int npointers;
	unsigned int victim; /* next to be overwritten when there is no room */
	struct tlb_leaf leaf[TLB_LEAVES];
	struct tlb_pointer pointer[TLB_POINTERS];
};

enum tlb_outcome {
	TLB_HIT,
	TLB_VIOLATION, /* not present, or not permitted */
	TLB_FAULT,     /* an entry that hardware refuses, or no table where one is pointed to */
};

struct tlb_access {
	uint64_t frame;    /* address of the 4 KiB frame; HIT only */
	unsigned int sets; /* 1: it set or found set accessed, 2: dirty, in the entry it used */
	bool stale;        /* by a remembered translation, without a walk */
	uint8_t level;     /* of the translation */
};

void tlb_flush(struct tlb *tlb);

/* In how many ways an access to gfn may start. Way 0 is the root. @perms: EPT_R, EPT_W or EPT_X. */
unsigned int tlb_ways_of(const struct tlb *tlb, const struct ept_format *fmt, gfn_t gfn,
			 unsigned int perms);

enum tlb_outcome tlb_access(struct tlb *tlb, const struct ept *ept, gfn_t gfn, unsigned int perms,
			    unsigned int way, struct tlb_access *access);

/* The same for reads and writes. */
static inline unsigned int tlb_ways(const struct tlb *tlb, const struct ept_format *fmt, gfn_t gfn,
				    bool write)
{
	return tlb_ways_of(tlb, fmt, gfn, write ? EPT_W : EPT_R);
}

static inline enum tlb_outcome tlb_use(struct tlb *tlb, const struct ept *ept, gfn_t gfn,
				       bool write, unsigned int way, struct tlb_access *access)
{
	return tlb_access(tlb, ept, gfn, write ? EPT_W : EPT_R, way, access);
}

/* Whether a CPU may still walk through this table page. */
bool tlb_knows_table(const struct tlb *tlb, hpa_t table);

/* A walk from the root that leaves no trace: for asking what hardware would see. */
enum tlb_outcome tlb_peek(const struct ept *ept, gfn_t gfn, struct ept_state *leaf);

#endif
