/* SPDX-License-Identifier: MIT */
/*
 * What hardware makes of the 64 bits of a second-stage entry, written down from the manuals and
 * from nothing else: no mask and no function of ept/ is used. One file for each vendor.
 */
#ifndef TESTS_HOST_MODEL_BITS_H
#define TESTS_HOST_MODEL_BITS_H

#include "mm/types.h"

enum bits_sort {
	BITS_HIDDEN, /* nothing is here, for this hardware */
	BITS_TABLE,
	BITS_LEAF,
};

/* An entry as hardware reads it. */
struct bits {
	enum bits_sort sort;
	uint64_t frame;       /* address of the table, or of the leaf's first byte */
	unsigned int perms;   /* 1 read, 2 write, 4 execute: what this entry lets through */
	unsigned int memtype; /* of a leaf: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC- */
	bool accessed;
	bool dirty;
};

struct hardware {
	const char *name;
	uint64_t accessed; /* the bits that it sets */
	uint64_t dirty;

	/* @level: of the entry, 1 (4 KiB) to 4. */
	struct bits (*read)(uint64_t e, unsigned int level);

	/**
	 * wrong() - what this hardware refuses in a visible entry, or what Cleave never asks for.
	 * @phys_bits: width of the machine's physical addresses
	 * Return: NULL, or what is wrong. Hidden entries are never wrong.
	 */
	const char *(*wrong)(uint64_t e, unsigned int level, unsigned int phys_bits);
};

extern const struct hardware hardware_intel;
extern const struct hardware hardware_amd;

/* Bits high:low of an entry, shifted down. */
static inline uint64_t field(uint64_t e, unsigned int high, unsigned int low)
{
	return e << (63 - high) >> (63 - high + low);
}

/* Number of the lowest address bit of a leaf. */
static inline unsigned int leaf_shift(unsigned int level)
{
	return 12 + 9 * (level - 1);
}

/* The address in bits 51:low. */
static inline uint64_t address(uint64_t e, unsigned int low)
{
	return field(e, 51, low) << low;
}

#endif
