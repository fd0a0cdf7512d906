/* SPDX-License-Identifier: MIT */
/*
 * Formats as data: what a second-stage entry looks like to one kind of hardware.
 *
 * The walker never sees a bit of a format. It knows four things of an entry, by the masks below:
 * is it visible to the hardware, is it a table, which frame, accessed or dirty. All else goes
 * through leaf() and perms_of()/memtype_of().
 *
 * Entries that the hardware does not see are Cleave's own, with one encoding for all formats: see
 * ept/entry.h.
 */
#ifndef EPT_FORMAT_H
#define EPT_FORMAT_H

#include "mm/types.h"

/* Permissions of a guest to its memory. */
enum {
	EPT_R = 1,
	EPT_W = 2,
	EPT_X = 4,
	EPT_RWX = EPT_R | EPT_W | EPT_X,
};

/* Memory types, numbered as the SDM numbers them (vol. 3A, "Memory Types and Their Properties"). */
enum ept_memtype {
	EPT_UC = 0,
	EPT_WC = 1,
	EPT_WT = 4,
	EPT_WP = 5,
	EPT_WB = 6,
};

struct ept_format {
	const char *name;
	enum pg_level top;        /* level of the root's entries */
	unsigned int index_bits;  /* a table has 2^index_bits entries */
	unsigned int leaf_levels; /* bit n: an entry of level n may be a leaf */
	uint64_t seen;            /* any of these bits set: the hardware sees the entry */
	uint64_t large;           /* set in a leaf above 4 KiB, clear in a table */
	uint64_t addr;            /* the frame's address */
	uint64_t accessed;        /* set by hardware */
	uint64_t dirty;
	uint64_t table;        /* what a table entry has besides the address */
	unsigned int memtypes; /* bit n: a leaf can have memory type n */

	/* A leaf that maps the frame at address 0, accessed and dirty clear. Pure. */
	uint64_t (*leaf)(enum pg_level level, unsigned int perms, enum ept_memtype memtype);
	unsigned int (*perms_of)(uint64_t leaf);
	enum ept_memtype (*memtype_of)(uint64_t leaf, enum pg_level level);
};

/* Frames that an entry of this level maps. */
static inline uint64_t fmt_frames(const struct ept_format *fmt, enum pg_level level)
{
	return UINT64_C(1) << (fmt->index_bits * (level - 1));
}

static inline unsigned int fmt_entries(const struct ept_format *fmt)
{
	return 1u << fmt->index_bits;
}

static inline unsigned int fmt_index(const struct ept_format *fmt, gfn_t gfn, enum pg_level level)
{
	return (gfn >> (fmt->index_bits * (level - 1))) & (fmt_entries(fmt) - 1);
}

/* First frame of the page of `level` that holds gfn. */
static inline gfn_t fmt_base(const struct ept_format *fmt, gfn_t gfn, enum pg_level level)
{
	return ALIGN_DOWN(gfn, fmt_frames(fmt, level));
}

/* Bytes that a leaf of this level maps. */
static inline uint64_t fmt_bytes(const struct ept_format *fmt, enum pg_level level)
{
	return fmt_frames(fmt, level) << PAGE_SHIFT;
}

/* Frames in the whole address space. */
static inline uint64_t fmt_space(const struct ept_format *fmt)
{
	return fmt_frames(fmt, level_above(fmt->top));
}

static inline bool fmt_may_be_leaf(const struct ept_format *fmt, enum pg_level level)
{
	return fmt->leaf_levels >> level & 1;
}

/* The part of a leaf's address field that is its address: formats keep other things in the rest. */
static inline uint64_t fmt_leaf_addr(const struct ept_format *fmt, enum pg_level level)
{
	return fmt->addr & -(fmt_frames(fmt, level) << PAGE_SHIFT);
}

/* SDM vol. 3C, "The Extended Page Table Mechanism (EPT)". */
extern const struct ept_format ept_format_intel;

/* APM vol. 2, "Nested Paging". The PAT that the host must have set while it runs guests. */
extern const struct ept_format ept_format_amd;
#define EPT_AMD_PAT UINT64_C(0x0007010500070406)

#endif
