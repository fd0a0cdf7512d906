/* SPDX-License-Identifier: MIT */
/*
 * Intel's extended page tables (SDM vol. 3C, "EPT Translation Mechanism", tables of the formats of
 * EPT entries):
 *
 *	 2:0  read, write, execute
 *	 5:3  memory type          (leaf)
 *	 6    ignore the guest's PAT (leaf)
 *	 7    this is a leaf       (above 4 KiB)
 *	 8    accessed, 9 dirty    (where EPTP bit 6 enables them)
 *	 51:12 address
 */
#include "ept/format.h"

#define INTEL_MEMTYPE_SHIFT 3
#define INTEL_IGNORE_PAT    (UINT64_C(1) << 6)
#define INTEL_LARGE         (UINT64_C(1) << 7)
#define INTEL_ACCESSED      (UINT64_C(1) << 8)
#define INTEL_DIRTY         (UINT64_C(1) << 9)
#define INTEL_ADDR          UINT64_C(0x000ffffffffff000)

_Static_assert(EPT_R == 1 && EPT_W == 2 && EPT_X == 4, "permissions are the hardware's own bits");

/* The guest's PAT is ignored: its memory is plain RAM, whatever it makes of it. */
static uint64_t intel_leaf(enum pg_level level, unsigned int perms, enum ept_memtype memtype)
{
	return perms | (uint64_t)memtype << INTEL_MEMTYPE_SHIFT | INTEL_IGNORE_PAT |
	       (level > PG_LEVEL_4K ? INTEL_LARGE : 0);
}

static unsigned int intel_perms(uint64_t leaf)
{
	return leaf & EPT_RWX;
}

static enum ept_memtype intel_memtype(uint64_t leaf, enum pg_level level)
{
	(void)level;
	return (enum ept_memtype)(leaf >> INTEL_MEMTYPE_SHIFT & 7);
}

const struct ept_format ept_format_intel = {
	.name = "EPT",
	.top = PG_LEVEL_512G,
	.index_bits = 9,
	.leaf_levels = 1 << PG_LEVEL_4K | 1 << PG_LEVEL_2M | 1 << PG_LEVEL_1G,
	.seen = EPT_RWX,
	.large = INTEL_LARGE,
	.addr = INTEL_ADDR,
	.accessed = INTEL_ACCESSED,
	.dirty = INTEL_DIRTY,
	.table = EPT_RWX,
	.memtypes = 1 << EPT_UC | 1 << EPT_WC | 1 << EPT_WT | 1 << EPT_WP | 1 << EPT_WB,
	.leaf = intel_leaf,
	.perms_of = intel_perms,
	.memtype_of = intel_memtype,
};
