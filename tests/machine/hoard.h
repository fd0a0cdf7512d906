/* SPDX-License-Identifier: MIT */
/* Taking the machine's free memory away, so that something runs out of it. */
#ifndef TESTS_MACHINE_HOARD_H
#define TESTS_MACHINE_HOARD_H

/* Takes free blocks of at least this order, all that there are or that it has room for. */
void hoard_take(unsigned int least);

/* Gives all of it back. Nothing was written to the blocks, and to fill them with junk would take
 * long. NULL, or what went wrong. */
const char *hoard_give(void);

#endif
