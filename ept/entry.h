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
 *	 53    tracked: under dirty tracking
 *	 54    zero: its contents were given up, and are zeros: ask nobody for them
 *	 56    the frame is not its own, see below
 *	 57    frozen: it was accessed
 *	 58    frozen: it was dirty
 *
 * A slot that is all zero is NONE.
 *
 * In a leaf that the hardware sees, bits 56:52 are software's in both formats (SDM vol. 3C, formats
 * of EPT entries; APM vol. 2, "Nested Paging"):
 *
 *	 53    tracked: under dirty tracking
 *	 54    writing is granted, but withheld: note the first write, or copy the page
 *	 55    executing is granted, but withheld: the leaf is too large for it (iTLB multihit)
 *	 56    the frame is not its own: another address space uses it, too, so a write needs a
 *	       copy; in a hidden entry, what arrives needs a frame that the caller brings
 */
#ifndef EPT_ENTRY_H
#define EPT_ENTRY_H

#include "ept/format.h"

enum ept_kind {
	EPT_NONE = 0, /* nothing is mapped */
	EPT_ABSENT,   /* memory that has not arrived; keeps its frame */
	EPT_FILLING,  /* one owner is writing the page's contents */
	EPT_POISON,   /* the memory is lost */
	EPT_FROZEN,   /* one owner is changing frame or rights of what was present; it comes back */
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
#define ENTRY_ZERO          (UINT64_C(1) << 54) /* hidden entries */
#define ENTRY_NO_W          (UINT64_C(1) << 54) /* leaves */
#define ENTRY_NO_X          (UINT64_C(1) << 55)
#define ENTRY_COW           (UINT64_C(1) << 56)
#define ENTRY_ACCESSED      (UINT64_C(1) << 57) /* frozen entries */
#define ENTRY_DIRTY         (UINT64_C(1) << 58)
#define ENTRY_SOFTWARE      (ENTRY_TRACKED | ENTRY_NO_W | ENTRY_NO_X | ENTRY_COW) /* of leaves */
#define ENTRY_HIDDEN_BITS   UINT64_C(7) /* clear in whatever the hardware shall not see */

_Static_assert((ENTRY_KIND_MASK & ENTRY_PERMS_MASK) == 0, "fields overlap");
_Static_assert(((ENTRY_KIND_MASK | ENTRY_PERMS_MASK) & ENTRY_MEMTYPE_MASK) == 0, "fields overlap");
_Static_assert(((ENTRY_KIND_MASK | ENTRY_PERMS_MASK | ENTRY_MEMTYPE_MASK) & ENTRY_FRAME_MASK) == 0,
	       "fields overlap");
_Static_assert(((ENTRY_REQUESTED | ENTRY_SOFTWARE | ENTRY_ZERO) & ENTRY_FRAME_MASK) == 0,
	       "fields overlap");
_Static_assert((ENTRY_REQUESTED & (ENTRY_SOFTWARE | ENTRY_ZERO)) == 0 &&
		       (ENTRY_COW & (ENTRY_TRACKED | ENTRY_NO_W | ENTRY_NO_X)) == 0,
	       "fields overlap");

/* An entry, decoded. `frame` is the leaf's frame, or the table. `perms` is what the guest was
 * granted; the hardware allows all of it but `withheld`, which is empty outside of leaves. */
struct ept_state {
	enum ept_kind kind;
	enum pg_level level;
	hpa_t frame;
	unsigned int perms;
	unsigned int withheld; /* of perms, EPT_W and EPT_X */
	enum ept_memtype memtype;
	bool requested;
	bool tracked;
	bool zero;
	bool cow;
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
