/* SPDX-License-Identifier: MIT */
/*
 * Where a payload's parts lie. Read by the C compiler, by the linker script and (rewritten as
 * NASM definitions) by the assembler: plain numbers only.
 *
 *	GUEST_LOAD    header, code, read-only data	may be executed
 *	GUEST_TABLES  page tables			may be read
 *	GUEST_DATA    data, one page for each vCPU	may be written
 *	GUEST_STACKS  one stack for each vCPU, vCPU 0's on top; the lowest page of each is a
 *		      guard and not mapped
 *	GUEST_END
 *
 * This needs EFER.NXE to be set, and CR0.WP to be of any use.
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define GUEST_LOAD   0x200000 /* 2 MiB aligned: one page table covers the image */
#define GUEST_TABLES 0x209000
#define GUEST_DATA   0x210000
#define GUEST_STACKS 0x220000
#define GUEST_END    0x230000

#define GUEST_STACK_BYTES  0x4000      /* the guard page included */
#define GUEST_MAPPED_BYTES 0x100000000 /* that the page tables map, from gpa 0, 1:1 */

#define GUEST_CS 0x08
#define GUEST_DS 0x10

#endif
