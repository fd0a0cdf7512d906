/* SPDX-License-Identifier: MIT */
/*
 * The toy format's bits: 0 visible (readable), 1 not writable, 2 not executable, 5:3 memory type of
 * a 4 KiB leaf, 6 accessed, 7 dirty, 51:12 address, 59:57 memory type of a large leaf,
 * 60 large, 61 table.
 */
#include "tests/host/model/toy.h"

#define TOY_VISIBLE           UINT64_C(1)
#define TOY_READ_ONLY         (UINT64_C(1) << 1)
#define TOY_NO_EXECUTE        (UINT64_C(1) << 2)
#define TOY_MEMTYPE_SHIFT     3
#define TOY_ADDR              UINT64_C(0x000ffffffffff000)
#define TOY_ACCESSED          (UINT64_C(1) << 6)
#define TOY_DIRTY             (UINT64_C(1) << 7)
#define TOY_BIG_MEMTYPE_SHIFT 57
#define TOY_LARGE             (UINT64_C(1) << 60)
#define TOY_TABLE             (UINT64_C(1) << 61)

static uint64_t toy_leaf(enum pg_level level, unsigned int perms, enum ept_memtype memtype)
{
	bool large = level > PG_LEVEL_4K;

	return TOY_VISIBLE | (perms & EPT_W ? 0 : TOY_READ_ONLY) |
	       (perms & EPT_X ? 0 : TOY_NO_EXECUTE) | (large ? TOY_LARGE : 0) |
	       (uint64_t)memtype << (large ? TOY_BIG_MEMTYPE_SHIFT : TOY_MEMTYPE_SHIFT);
}

static unsigned int toy_perms(uint64_t leaf)
{
	return EPT_R | (leaf & TOY_READ_ONLY ? 0 : EPT_W) | (leaf & TOY_NO_EXECUTE ? 0 : EPT_X);
}

static enum ept_memtype toy_memtype(uint64_t leaf, enum pg_level level)
{
	unsigned int shift = level > PG_LEVEL_4K ? TOY_BIG_MEMTYPE_SHIFT : TOY_MEMTYPE_SHIFT;

	return (enum ept_memtype)(leaf >> shift & 7);
}

const struct ept_format ept_format_toy = {
	.name = "toy",
	.top = PG_LEVEL_1G,
	.index_bits = 2,
	.leaf_levels = 1 << PG_LEVEL_4K | 1 << PG_LEVEL_2M | 1 << PG_LEVEL_1G,
	.seen = TOY_VISIBLE,
	.large = TOY_LARGE,
	.addr = TOY_ADDR,
	.accessed = TOY_ACCESSED,
	.dirty = TOY_DIRTY,
	.table = TOY_VISIBLE | TOY_TABLE,
	.memtypes = 1 << EPT_UC | 1 << EPT_WC | 1 << EPT_WT | 1 << EPT_WP | 1 << EPT_WB,
	.leaf = toy_leaf,
	.perms_of = toy_perms,
	.memtype_of = toy_memtype,
};
