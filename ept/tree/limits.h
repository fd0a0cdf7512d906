/* SPDX-License-Identifier: MIT */
/* What an address space can hold: the arguments of the functions in ept/. */
#ifndef EPT_TREE_LIMITS_H
#define EPT_TREE_LIMITS_H

#include "ept/ept.h"

static inline bool gfn_range_ok(const struct ept *ept, gfn_t gfn, uint64_t frames)
{
	uint64_t space = ept->walk.space;

	return frames && frames <= space && gfn <= space - frames;
}

/* Frames that an entry can point to. */
static inline bool backing_ok(const struct ept *ept, hpa_t backing, uint64_t frames)
{
	return IS_ALIGNED(backing.v, PAGE_SIZE) && backing.v < ept->backing_end &&
	       frames <= (ept->backing_end - backing.v) >> PAGE_SHIFT;
}

static inline bool memtype_ok(const struct ept *ept, enum ept_memtype memtype)
{
	return (unsigned int)memtype < 8 && ept->fmt->memtypes >> memtype & 1;
}

/* Rights that a leaf can give: one without any would look hidden, hardware refuses "write, but not
 * read" as a misconfiguration, and not every format can keep a guest from reading what it runs. A
 * large leaf that may not be executed needs some right that is left. */
static inline bool perms_ok(const struct ept *ept, unsigned int perms)
{
	if (!perms || (perms & ~(unsigned int)EPT_RWX) || (perms & EPT_W && !(perms & EPT_R)) ||
	    (ept->nx && perms == EPT_X))
		return false;
	return ept->fmt->perms_of(ept->fmt->leaf(PG_LEVEL_4K, perms, EPT_WB)) == perms;
}

#endif
