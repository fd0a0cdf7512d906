/* SPDX-License-Identifier: MIT */
/* Debug registers of a guest. See hv/cpu/debug.h. */
#include "hv/cpu/debug.h"

#include "mm/x86.h"

#define BREAKPOINTS 4
#define ENABLED(i)  (UINT64_C(3) << (2 * (i))) /* locally, globally */
#define KIND(i)     (16 + 4 * (i))
#define LENGTH(i)   (18 + 4 * (i))
#define KIND_IO     2

static bool meets(uint64_t at, uint64_t length_code, uint64_t port, unsigned int size)
{
	static const uint8_t lengths[] = { 1, 2, 8, 4 };
	uint64_t length = lengths[length_code];

	at &= ~(length - 1);
	return at < port + size && port < at + length;
}

void debug_load(const uint64_t dr[4])
{
	x86_write_dr0(dr[0]);
	x86_write_dr1(dr[1]);
	x86_write_dr2(dr[2]);
	x86_write_dr3(dr[3]);
}

void debug_take(uint64_t dr[4])
{
	dr[0] = x86_read_dr0();
	dr[1] = x86_read_dr1();
	dr[2] = x86_read_dr2();
	dr[3] = x86_read_dr3();
}

uint64_t debug_io_match(const uint64_t dr[4], uint64_t dr7, uint16_t port, unsigned int size)
{
	uint64_t hits = 0;

	for (unsigned int i = 0; i < BREAKPOINTS; i++)
		if (dr7 & ENABLED(i) && (dr7 >> KIND(i) & 3) == KIND_IO &&
		    meets(dr[i], dr7 >> LENGTH(i) & 3, port, size))
			hits |= UINT64_C(1) << i;
	return hits;
}

uint64_t debug_io_hits(uint64_t dr7, uint64_t cr4, uint16_t port, unsigned int size)
{
	uint64_t dr[BREAKPOINTS];

	if (!(cr4 & CR4_DE) || !(dr7 & DR7_ENABLED))
		return 0;
	debug_take(dr);
	return debug_io_match(dr, dr7, port, size);
}
