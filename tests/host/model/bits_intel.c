/* SPDX-License-Identifier: MIT */
/*
 * Intel: SDM vol. 3C, "EPT Translation Mechanism", tables of the formats of EPT paging-structure
 * entries, and "EPT Misconfigurations". Execute-only is allowed.
 */
#include "tests/host/model/bits.h"

static bool is_leaf(uint64_t e, unsigned int level)
{
	return level == 1 || field(e, 7, 7);
}

static struct bits intel_read(uint64_t e, unsigned int level)
{
	struct bits b = { .sort = BITS_HIDDEN };

	if (!field(e, 2, 0))
		return b;
	b.perms = (unsigned int)field(e, 2, 0);
	b.accessed = field(e, 8, 8);
	if (!is_leaf(e, level)) {
		b.sort = BITS_TABLE;
		b.frame = address(e, 12);
		return b;
	}
	b.sort = BITS_LEAF;
	b.frame = address(e, leaf_shift(level));
	b.memtype = (unsigned int)field(e, 5, 3);
	b.dirty = field(e, 9, 9);
	return b;
}

static const char *wrong_table(uint64_t e, unsigned int level)
{
	if (level == 4 && field(e, 7, 3))
		return "bits 7:3 of a PML4E are reserved";
	if (field(e, 6, 3))
		return "bits 6:3 of an entry that points to a table are reserved";
	if (field(e, 2, 0) != 7)
		return "a table takes rights away from all below it";
	if (field(e, 11, 9) || field(e, 63, 52))
		return "a table has bits that nobody asked for";
	return NULL;
}

static const char *wrong_leaf(uint64_t e, unsigned int level)
{
	uint64_t type = field(e, 5, 3);

	if (type == 2 || type == 3 || type == 7)
		return "the memory type is reserved";
	if (level == 2 && field(e, 20, 12))
		return "bits 20:12 of a PDE for 2 MiB are reserved";
	if (level == 3 && field(e, 29, 12))
		return "bits 29:12 of a PDPTE for 1 GiB are reserved";
	if (!field(e, 6, 6))
		return "the guest's PAT has a say";
	/* Execution in user mode; of the bits 63:52 Cleave uses 56:53. The others verify guest
	 * paging, allow shadow stacks and writes to parts of a page, and suppress #VE. */
	if (field(e, 11, 10) || field(e, 52, 52) || field(e, 63, 57))
		return "a leaf has bits that nobody asked for";
	return NULL;
}

static const char *intel_wrong(uint64_t e, unsigned int level, unsigned int phys_bits)
{
	if (!field(e, 2, 0))
		return NULL;
	if (field(e, 1, 0) == 2)
		return "writable, but not readable";
	if (phys_bits < 52 && field(e, 51, phys_bits))
		return "the address is wider than the machine's";
	return level < 4 && is_leaf(e, level) ? wrong_leaf(e, level) : wrong_table(e, level);
}

const struct hardware hardware_intel = {
	.name = "Intel",
	.accessed = UINT64_C(1) << 8,
	.dirty = UINT64_C(1) << 9,
	.read = intel_read,
	.wrong = intel_wrong,
};
