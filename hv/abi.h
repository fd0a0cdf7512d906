/* SPDX-License-Identifier: MIT */
/*
 * The contract between a payload and the hypervisor: the one header that both include.
 *
 * A payload is a flat image with this header at its first byte. It is copied to `load_gpa` of a
 * guest whose memory starts at gpa 0 and begins, on each vCPU, at `entry`: 64-bit mode, CPL 0,
 * paging on with CR3 = `cr3` (tables that are part of the image), flat segments, interrupts off,
 * no IDT, no TSS, RDI = index of the vCPU, RSP = stack_top - index * stack_bytes, all other
 * registers 0. All vCPUs begin at once.
 *
 * A hypercall: RAX = number, RDI, RSI, RDX = arguments; the result comes back in RAX, all other
 * registers are kept. The instruction is VMCALL where CPUID 0x40000001 says ABI_CALL_VMCALL in
 * EAX, VMMCALL where it says ABI_CALL_VMMCALL; CPUID 0x40000000 has "CleaveCleave" in EBX, ECX,
 * EDX. An unknown number, or arguments that make no sense, return ABI_BAD. Only 64-bit code at CPL
 * 0 calls: in any other mode, and at any other privilege level, the instruction raises #UD, as
 * where there is no hypervisor, and nothing is done.
 *
 * There are no devices: no interrupt comes, whether they are on or off; ports read as ones and take
 * no strings (#UD). Touching memory that is lost is a machine check: #MC and bank 0, as the CPU's
 * maker has it, if CR4.MCE is set; otherwise the vCPU is stopped.
 */
#ifndef HV_ABI_H
#define HV_ABI_H

#define ABI_MAGIC        0x5453455547564c43 /* "CLVGUEST", little endian */
#define ABI_VERSION      1
#define ABI_CPUID_BASE   0x40000000
#define ABI_CALL_VMCALL  0
#define ABI_CALL_VMMCALL 1
#define ABI_BAD          (~0ull)
#define ABI_VCPUS_MAX    4
#define ABI_PUTS_MAX     128 /* bytes of one ABI_PUTS */

/* Offsets in the header, in bytes, for the assembler; the struct below says the same. */
#define ABI_HEADER_BYTES 64

enum abi_call {
	ABI_PARAM = 0, /* (id): enum abi_param; returns its value */
	ABI_PUTS = 1,  /* (gpa, bytes): prints ASCII text; page-crossing is fine; returns 0 */
	ABI_READY = 2, /* (): this vCPU's memory is prepared: a migration may begin; returns 0 */
	ABI_PASS = 3,  /* (pass, chain): one pass over the memory is done; returns ABI_GO_ON/STOP */
	ABI_WRONG = 4, /* (gpa, expected, found): wrong data; the run has failed; returns 0 */
	ABI_DONE = 5,  /* (verdict, steps, pages_written): enum abi_verdict; does not return */
	ABI_MIGRATE =
		6, /* (): the guest wants to be migrated now (config: trigger=guest); returns 0 */
	ABI_DISCARD = 7, /* (gpa, bytes): gives up the contents of whole pages, which are zeros from
			    then on; returns 0 */
	ABI_VOUCH = 8,   /* (gpa, base, step): what the page contains when the guest ends: word i is
			    base + i * step; step is odd, or base = step = 0; once for a page of the
			    work area; returns 0 */
	ABI_OWN = 9, /* (gpa, bytes): pages below the work area that the guest writes freely: its
			data and stacks; once; returns 0 */
};

enum {
	ABI_GO_ON = 0,
	ABI_STOP = 1
};

enum abi_verdict {
	ABI_OK = 0,
	ABI_WRONG_DATA = 1,  /* some page was not what it should be */
	ABI_WRONG_CHAIN = 2, /* the hash chain broke */
	ABI_WRONG_TRAP = 3,  /* an exception that was not expected */
};

enum abi_param {
	ABI_P_SEED = 0,       /* of the pages' contents */
	ABI_P_REGION = 1,     /* bytes of guest memory, from gpa 0 */
	ABI_P_WORK_START = 2, /* gpa, 4 KiB aligned: the payload's memory begins here */
	ABI_P_WORK_BYTES = 3, /* and has this many bytes */
	ABI_P_STRIDE = 4,     /* bytes from one used page to the next; 4096: all are used */
	ABI_P_VCPUS = 5,      /* how many */
};

#ifndef __NASM__
struct abi_header {
	unsigned long long magic;
	unsigned int version;
	unsigned int vcpus_max;          /* that it has stacks for */
	unsigned long long load_gpa;     /* 4 KiB aligned */
	unsigned long long image_bytes;  /* in the file */
	unsigned long long memory_bytes; /* in memory; zero beyond image_bytes */
	unsigned long long entry;        /* gpa = virtual address: the image maps itself 1:1 */
	unsigned long long cr3;
	unsigned int stack_bytes;      /* of each vCPU */
	unsigned int stack_top_offset; /* from load_gpa: top of vCPU 0's stack, 16-byte aligned */
};
#endif

#endif
