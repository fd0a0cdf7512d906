/* SPDX-License-Identifier: MIT */
/*
 * AMD: APM vol. 2, "Long-Mode Page Translation", figures of PML4E, PDPE, PDE and PTE for 4-Kbyte,
 * 2-Mbyte and 1-Gbyte pages; "Page-Translation-Table Entry Fields"; "Nested Paging".
 */
#include "ept/format.h"
#include "tests/host/model/bits.h"

static bool is_leaf(uint64_t e, unsigned int level)
{
	return level == 1 || field(e, 7, 7);
}

/* "Page-Attribute Table Mechanism": PWT, PCD and PAT choose one of the register's eight bytes. */
static unsigned int type_by_pat(uint64_t e, unsigned int level)
{
	unsigned int pat = level == 1 ? 7 : 12;
	unsigned int index = (unsigned int)(field(e, 4, 3) | field(e, pat, pat) << 2);

	return EPT_AMD_PAT >> 8 * index & 0xff;
}

static struct bits amd_read(uint64_t e, unsigned int level)
{
	struct bits b = { .sort = BITS_HIDDEN };

	if (!field(e, 0, 0))
		return b;
	/* All accesses that a guest makes count as a user's: without U/S nothing gets through. */
	if (field(e, 2, 2))
		b.perms = (unsigned int)(1 | field(e, 1, 1) << 1 | !field(e, 63, 63) << 2);
	b.accessed = field(e, 5, 5);
	if (!is_leaf(e, level)) {
		b.sort = BITS_TABLE;
		b.frame = address(e, 12);
		return b;
	}
	b.sort = BITS_LEAF;
	b.frame = address(e, leaf_shift(level));
	b.memtype = type_by_pat(e, level);
	b.dirty = field(e, 6, 6);
	return b;
}

static const char *wrong_table(uint64_t e, unsigned int level)
{
	if (level == 4 && field(e, 8, 7))
		return "bits 8:7 of a PML4E must be zero";
	if (field(e, 4, 3))
		return "a table would not be read as write-back memory";
	if (!field(e, 1, 1) || field(e, 63, 63))
		return "a table takes rights away from all below it";
	if (field(e, 6, 6) || field(e, 11, 8) || field(e, 62, 52))
		return "a table has bits that nobody asked for";
	return NULL;
}

static const char *wrong_leaf(uint64_t e, unsigned int level)
{
	if (level == 2 && field(e, 20, 13))
		return "bits 20:13 of a 2-Mbyte PDE must be zero";
	if (level == 3 && field(e, 29, 13))
		return "bits 29:13 of a 1-Gbyte PDPE must be zero";
	/* Global; available to software, of which Cleave uses 56:53; protection key. */
	if (field(e, 11, 8) || field(e, 52, 52) || field(e, 62, 57))
		return "a leaf has bits that nobody asked for";
	return NULL;
}

static const char *amd_wrong(uint64_t e, unsigned int level, unsigned int phys_bits)
{
	if (!field(e, 0, 0))
		return NULL;
	if (!field(e, 2, 2))
		return "a guest's access counts as a user's, and U/S is clear";
	if (phys_bits < 52 && field(e, 51, phys_bits))
		return "the address is wider than the machine's";
	return level < 4 && is_leaf(e, level) ? wrong_leaf(e, level) : wrong_table(e, level);
}

const struct hardware hardware_amd = {
	.name = "AMD",
	.accessed = UINT64_C(1) << 5,
	.dirty = UINT64_C(1) << 6,
	.read = amd_read,
	.wrong = amd_wrong,
};
