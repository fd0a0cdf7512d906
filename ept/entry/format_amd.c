/* SPDX-License-Identifier: MIT */
/*
 * AMD's nested paging (APM vol. 2, "Nested Paging", "Page-Translation Tables in Legacy and Long
 * Mode"): the format of ordinary page tables.
 *
 *	 0     present
 *	 1     writable
 *	 2     user: set everywhere, since a guest's accesses count as a user's
 *	 4:3   PWT, PCD: bits 0 and 1 of the index into the PAT
 *	 5     accessed, 6 dirty (dirty in leaves only)
 *	 7     this is a leaf (above 4 KiB); at 4 KiB, bit 2 of the index into the PAT
 *	 12    bit 2 of the index into the PAT (above 4 KiB)
 *	 51:12 address
 *	 63    no-execute
 *
 * There is no way to forbid reading what is present, so rights always include it.
 */
#include "ept/format.h"

#define AMD_PRESENT   (UINT64_C(1) << 0)
#define AMD_WRITE     (UINT64_C(1) << 1)
#define AMD_USER      (UINT64_C(1) << 2)
#define AMD_PWT       (UINT64_C(1) << 3)
#define AMD_PCD       (UINT64_C(1) << 4)
#define AMD_ACCESSED  (UINT64_C(1) << 5)
#define AMD_DIRTY     (UINT64_C(1) << 6)
#define AMD_LARGE     (UINT64_C(1) << 7)
#define AMD_PAT_4K    (UINT64_C(1) << 7)
#define AMD_PAT_LARGE (UINT64_C(1) << 12)
#define AMD_NX        (UINT64_C(1) << 63)
#define AMD_ADDR      UINT64_C(0x000ffffffffff000)

_Static_assert((AMD_PRESENT & AMD_WRITE & AMD_USER) == 0, "bits overlap");

/* Memory types by index into the PAT, as EPT_AMD_PAT has them. */
static const enum ept_memtype pat[8] = { EPT_WB, EPT_WT, EPT_UC, EPT_UC,
					 EPT_WP, EPT_WC, EPT_UC, EPT_UC };

static unsigned int pat_index(enum ept_memtype memtype)
{
	switch (memtype) {
	case EPT_WB:
		return 0;
	case EPT_WT:
		return 1;
	case EPT_WP:
		return 4;
	case EPT_WC:
		return 5;
	default:
		return 3;
	}
}

static uint64_t amd_leaf(enum pg_level level, unsigned int perms, enum ept_memtype memtype)
{
	unsigned int index = pat_index(memtype);
	bool large = level > PG_LEVEL_4K;

	return AMD_PRESENT | AMD_USER | (perms & EPT_W ? AMD_WRITE : 0) |
	       (perms & EPT_X ? 0 : AMD_NX) | (index & 1 ? AMD_PWT : 0) |
	       (index & 2 ? AMD_PCD : 0) | (large ? AMD_LARGE : 0) |
	       (index & 4 ? (large ? AMD_PAT_LARGE : AMD_PAT_4K) : 0);
}

static unsigned int amd_perms(uint64_t leaf)
{
	return EPT_R | (leaf & AMD_WRITE ? EPT_W : 0) | (leaf & AMD_NX ? 0 : EPT_X);
}

static enum ept_memtype amd_memtype(uint64_t leaf, enum pg_level level)
{
	uint64_t high = level > PG_LEVEL_4K ? AMD_PAT_LARGE : AMD_PAT_4K;

	return pat[(leaf & AMD_PWT ? 1 : 0) | (leaf & AMD_PCD ? 2 : 0) | (leaf & high ? 4 : 0)];
}

const struct ept_format ept_format_amd = {
	.name = "NPT",
	.top = PG_LEVEL_512G,
	.index_bits = 9,
	.leaf_levels = 1 << PG_LEVEL_4K | 1 << PG_LEVEL_2M | 1 << PG_LEVEL_1G,
	.seen = AMD_PRESENT,
	.large = AMD_LARGE,
	.addr = AMD_ADDR,
	.accessed = AMD_ACCESSED,
	.dirty = AMD_DIRTY,
	.table = AMD_PRESENT | AMD_WRITE | AMD_USER,
	.memtypes = 1 << EPT_UC | 1 << EPT_WC | 1 << EPT_WT | 1 << EPT_WP | 1 << EPT_WB,
	.leaf = amd_leaf,
	.perms_of = amd_perms,
	.memtype_of = amd_memtype,
};
