/* SPDX-License-Identifier: MIT */
/*
 * Where a Linux kernel goes in a guest's memory, and what it finds there: the 64-bit boot protocol
 * (Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol", and zero-page.rst). The image is
 * foreign input. Pure: the plan is made here, the caller carries it out.
 *
 *	0x10000			struct linux_low: page tables, boot_params, command line, GDT, stack
 *	0x9f000 .. 0x100000	no RAM to the guest; the ACPI tables are there
 *	16 MiB or so		the kernel, at its pref_address
 *	as high as it may	the initrd
 */
#ifndef HV_PLATFORM_BZIMAGE_H
#define HV_PLATFORM_BZIMAGE_H

#include "mm/types.h"

#define LINUX_LOW_GPA     UINT64_C(0x10000)    /* Linux keeps its hands off the first 64 KiB */
#define LINUX_BASE_END    UINT64_C(0x9f000)    /* end of RAM below 1 MiB */
#define LINUX_RAM_END     UINT64_C(0xfec00000) /* and below 4 GiB: APICs have their pages there */
#define LINUX_COMMAND_MAX 2048                 /* bytes of a command line, with its 0 */

#define LINUX_CS 0x10 /* __BOOT_CS and __BOOT_DS, in the GDT of the plan */
#define LINUX_DS 0x18

/* The structures in low memory, as they will lie there from LINUX_LOW_GPA on. */
struct linux_low {
	uint64_t pml4[512], pdpt[512], pd[4][512]; /* the first 4 GiB, one to one */
	uint8_t boot_params[4096];
	char command_line[LINUX_COMMAND_MAX];
	uint64_t gdt[4];
	uint8_t stack[2048 - 4 * 8];
};

_Static_assert(sizeof(struct linux_low) == 8 * PAGE_SIZE &&
		       LINUX_LOW_GPA + sizeof(struct linux_low) <= LINUX_BASE_END,
	       "whole pages, in RAM");

struct linux_piece {
	uint64_t gpa;
	const void *data;
	uint64_t bytes;
};

struct linux_input {
	const void *kernel; /* a bzImage */
	uint64_t kernel_bytes;
	const void *initrd; /* may be NULL, with 0 bytes */
	uint64_t initrd_bytes;
	const char *command_line; /* without a 0; may be NULL, with 0 bytes */
	size_t command_line_bytes;
	uint64_t region;         /* bytes of guest memory, from gpa 0; a multiple of 4 KiB */
	struct linux_piece acpi; /* the tables, RSDP first, page aligned in LINUX_BASE_END .. 1 MiB;
				    0 bytes: none */
	uint32_t tsc_khz;        /* 0: the guest must find out by itself */
};

#define LINUX_PIECES_MAX 4

struct linux_plan {
	struct linux_piece piece[LINUX_PIECES_MAX]; /* in rising order; their data is the input's,
						       and `low` */
	unsigned int npieces;
	uint64_t rip, rsi, cr3, stack; /* addresses; `stack` is 16-byte aligned */
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

/**
 * linux_plan() - read a kernel image and decide where everything goes.
 * @in: not changed; nothing outside of its buffers is read
 * @low: is written; a piece of the plan points to it
 * @plan: valid if NULL was returned
 *
 * The caller copies each piece to its gpa; all other guest memory may hold anything, but the e820
 * map tells the guest that it is there: RAM is all of the region except LINUX_BASE_END .. 1 MiB and
 * LINUX_RAM_END .. 4 GiB. Then vCPU 0 begins in 64-bit mode with paging (CR3 = `cr3`), CS =
 * LINUX_CS, DS = ES = SS = LINUX_DS, GDTR = `gdt_base` and `gdt_limit`, RIP = `rip`, RSI = `rsi`,
 * RSP = `stack`, interrupts off, RBX = RBP = RDI = 0.
 *
 * "tsc_early_khz=N" stands before the caller's command line unless that has one: boot.rst wants a
 * loader's own options first, and a kernel without a timer to measure by never comes up without.
 *
 * Return: NULL, or a sentence without a full stop that says what is wrong and what helps.
 */
const char *must_check linux_plan(const struct linux_input *in, struct linux_low *low,
				  struct linux_plan *plan);

#endif
