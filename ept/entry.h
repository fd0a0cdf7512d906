/* SPDX-License-Identifier: MIT */
/*
 * Entries: what the 64 bits of a slot mean, decoded and encoded.
 *
 * An entry that the hardware does not see (bits 2:0 clear, which means "not present" to Intel's
 * EPT and AMD's nested paging alike, and all other bits ignored):
 *
 *	 2:0   0
 *	 5:3   kind
 *	 8:6   permissions, as EPT_R|W|X
 *	 11:9  memory type
 *	 51:12 the frame's address, inverted: a CPU that looks ahead past the clear present bit
 *	       (L1TF) finds an address where no memory is
 *	 52    requested: somebody waits for this page
 *	 53    tracked: to be mapped write-protected, for dirty tracking
 *
 * A slot that is all zero is NONE.
 */
#ifndef EPT_ENTRY_H
#define EPT_ENTRY_H

#include "ept/format.h"

enum ept_kind {
	EPT_NONE = 0, /* nothing is mapped */
	EPT_ABSENT,   /* memory that has not arrived; keeps its frame */
	EPT_FILLING,  /* one owner is writing the page's contents */
	EPT_POISON,   /* the memory is lost */
	EPT_FROZEN,   /* an exclusive change is under way; look again */
	EPT_PRESENT,  /* a leaf that the hardware sees */
	EPT_TABLE,    /* points to a table one level down */
	EPT_KINDS,
};

#define ENTRY_KIND_SHIFT    3
#define ENTRY_KIND_MASK     (UINT64_C(7) << ENTRY_KIND_SHIFT)
#define ENTRY_PERMS_SHIFT   6
#define ENTRY_PERMS_MASK    (UINT64_C(7) << ENTRY_PERMS_SHIFT)
#define ENTRY_MEMTYPE_SHIFT 9
#define ENTRY_MEMTYPE_MASK  (UINT64_C(7) << ENTRY_MEMTYPE_SHIFT)
#define ENTRY_FRAME_MASK    UINT64_C(0x000ffffffffff000)
#define ENTRY_REQUESTED     (UINT64_C(1) << 52)
#define ENTRY_TRACKED       (UINT64_C(1) << 53)
#define ENTRY_HIDDEN_BITS   UINT64_C(7) /* clear in whatever the hardware shall not see */

_Static_assert((ENTRY_KIND_MASK & ENTRY_PERMS_MASK) == 0, "fields overlap");
_Static_assert(((ENTRY_KIND_MASK | ENTRY_PERMS_MASK) & ENTRY_MEMTYPE_MASK) == 0, "fields overlap");
_Static_assert(((ENTRY_KIND_MASK | ENTRY_PERMS_MASK | ENTRY_MEMTYPE_MASK) & ENTRY_FRAME_MASK) == 0,
	       "fields overlap");
_Static_assert(((ENTRY_REQUESTED | ENTRY_TRACKED) & ENTRY_FRAME_MASK) == 0, "fields overlap");

/* An entry, decoded. `frame` is the leaf's frame, or the table. */
struct ept_state {
	enum ept_kind kind;
	enum pg_level level;
	hpa_t frame;
	unsigned int perms;
	enum ept_memtype memtype;
	bool requested;
	bool tracked;
	bool accessed;
	bool dirty;
};

static inline enum ept_kind entry_kind(const struct ept_format *fmt, uint64_t e,
				       enum pg_level level)
{
	if (!(e & fmt->seen))
		return (enum ept_kind)(e >> ENTRY_KIND_SHIFT & 7);
	return level == PG_LEVEL_4K || (e & fmt->large) ? EPT_PRESENT : EPT_TABLE;
}

/* What a hidden entry says besides kind and frame, as an index: permissions and memory type. */
#define ENTRY_RIGHTS 64

static inline unsigned int entry_rights(uint64_t e)
{
	return e >> ENTRY_PERMS_SHIFT & (ENTRY_RIGHTS - 1);
}

_Static_assert(ENTRY_MEMTYPE_SHIFT == ENTRY_PERMS_SHIFT + 3, "one index of six bits");

/* The frame of an entry that the hardware does not see. */
static inline uint64_t entry_hidden_frame(uint64_t e)
{
	return ~e & ENTRY_FRAME_MASK;
}

/* The same entry, of another kind. Both kinds are hidden. */
static inline uint64_t entry_with_kind(uint64_t e, enum ept_kind kind)
{
	return (e & ~ENTRY_KIND_MASK) | (uint64_t)kind << ENTRY_KIND_SHIFT;
}

/* Encodes an entry of any kind but TABLE at s->level. */
uint64_t entry_encode(const struct ept_format *fmt, const struct ept_state *s);

/* Decodes whatever is there, at whatever level it was found. */
struct ept_state entry_decode(const struct ept_format *fmt, uint64_t e, enum pg_level level);

static inline uint64_t entry_table(const struct ept_format *fmt, hpa_t table)
{
	return (table.v & fmt->addr) | fmt->table;
}

const char *entry_kind_name(enum ept_kind kind);

#endif
