/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own address space: what must fault does, with the exception on a stack of its
 * own, and kmap_check() finds what it is there to find.
 *
 * The forbidden accesses run under a private interrupt table whose page-fault gate goes to
 * recover(): that counts, and resumes at the address that the access had left in RCX.
 */
#include "tests/machine/space.h"

#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define VECTOR_PF 14
#define VECTOR_DF 8
#define VECTORS   256
#define SCRATCH   (MMIO_MAP + 512 * GIB) /* an address that nobody uses */
#define OP_RET    0xc3

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t ist_type;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const char image_text[], image_text_end[], image_rodata[], image_rodata_end[];
extern const char image_data[], image_data_end[];

void space_recover(void);

/* The frame: error code, RIP, CS, RFLAGS, RSP, SS. */
__asm__(".pushsection .text\n"
	"space_recover:\n\t"
	"addq $8, %rsp\n\t"
	"movq %rcx, (%rsp)\n\t"
	"movl $1, %eax\n\t"
	"iretq\n"
	".popsection");

static struct gate gates[VECTORS];
static struct idt_pointer saved;

static void gate_to(unsigned int vector, uintptr_t to)
{
	gates[vector].offset_low = (uint16_t)to;
	gates[vector].offset_mid = (uint16_t)(to >> 16);
	gates[vector].offset_high = (uint32_t)(to >> 32);
}

static void trap_begin(void)
{
	struct idt_pointer idtr = { sizeof(gates) - 1, (uintptr_t)gates };
	uintptr_t to = (uintptr_t)space_recover;

	memcpy(gates, (const void *)this_cpu()->idt, sizeof(gates));
	gate_to(VECTOR_PF, to);
	gate_to(VECTOR_DF, to);
	__asm__ volatile("sidt %0; lidt %1" : "=m"(saved) : "m"(idtr));
}

static void trap_end(void)
{
	__asm__ volatile("lidt %0" : : "m"(saved));
}

static bool read_faults(uint64_t at)
{
	int faulted;

	__asm__ volatile("leaq 1f(%%rip), %%rcx\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "cmpb $0, (%1)\n"
			 "1:"
			 : "=&a"(faulted)
			 : "r"(at)
			 : "rcx", "cc", "memory");
	return faulted;
}

/* Adds zero: where the write is allowed, nothing changes. */
static bool write_faults(uint64_t at)
{
	int faulted;

	__asm__ volatile("leaq 1f(%%rip), %%rcx\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "addb $0, (%1)\n"
			 "1:"
			 : "=&a"(faulted)
			 : "r"(at)
			 : "rcx", "cc", "memory");
	return faulted;
}

/* `at` holds a RET, which takes the address pushed here if it may run at all. */
static bool call_faults(uint64_t at)
{
	uint64_t stack;
	int faulted;

	__asm__ volatile("movq %%rsp, %1\n\t"
			 "leaq 1f(%%rip), %%rcx\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "pushq %%rcx\n\t"
			 "jmp *%2\n"
			 "1:\n\t"
			 "movq %1, %%rsp"
			 : "=&a"(faulted), "=&r"(stack)
			 : "r"(at)
			 : "rcx", "cc", "memory");
	return faulted;
}

/* Pushes onto a full stack: the page fault finds no room there either, and becomes a double fault.
 */
static bool overflow_faults(uint64_t bottom)
{
	uint64_t stack;
	int faulted;

	__asm__ volatile("movq %%rsp, %1\n\t"
			 "leaq 1f(%%rip), %%rcx\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "movq %2, %%rsp\n\t"
			 "pushq %%rcx\n"
			 "1:\n\t"
			 "movq %1, %%rsp"
			 : "=&a"(faulted), "=&r"(stack)
			 : "r"(bottom)
			 : "rcx", "cc", "memory");
	return faulted;
}

/* Does every page of [start, end) have just these rights? */
static bool all_have(const char *start, const char *end, unsigned int rights)
{
	for (const char *at = start; at < end; at += PAGE_SIZE) {
		struct kmap_leaf leaf;

		if (kmap_lookup((uintptr_t)at, &leaf) || leaf.pa.v != (uintptr_t)at ||
		    leaf.rights != rights)
			return false;
	}
	return true;
}

static bool is_mapped(uint64_t va)
{
	struct kmap_leaf leaf;

	return !kmap_lookup(va, &leaf);
}

static const char *check_sections(const struct boot_info *info)
{
	/* The IDT was data until it was sealed. */
	const char *idt = (const char *)cpus[0].idt;

	if (!all_have(image_text, image_text_end, KMAP_X))
		return "the code is not all mapped to be executed, no more and no less";
	if (!all_have(image_rodata, image_rodata_end, KMAP_R))
		return "the constants are not all mapped to be read, no more and no less";
	if (!all_have(image_data, idt, KMAP_W) || !all_have(idt, idt + PAGE_SIZE, KMAP_R) ||
	    !all_have(idt + PAGE_SIZE, image_data_end, KMAP_W))
		return "the data is not all mapped to be written, but for the interrupt table";
	for (uint64_t at = 0; at < info->image_bytes; at += PAGE_SIZE)
		if (is_mapped((uintptr_t)direct(hpa(info->image_base + at))))
			return "a page of the image is in the direct map";
	return NULL;
}

static const char *check_stacks(void)
{
	for (unsigned int i = 0; i < ncpus; i++) {
		uint64_t top = cpus[i].stack_top, bottom = top - STACK_BYTES;

		if (is_mapped(top) || is_mapped(bottom - PAGE_SIZE))
			return "a stack lacks a guard page";
		for (uint64_t at = bottom; at < top; at += PAGE_SIZE)
			if (!is_mapped(at))
				return "a stack has a hole";
	}
	return NULL;
}

static const char *try_accesses(void)
{
	static uint8_t code[16] = { OP_RET };
	uint64_t on_stack = OP_RET;
	uint64_t bottom = this_cpu()->stack_top - STACK_BYTES;

	if (!read_faults(0) || !read_faults(PAGE_SIZE - 1))
		return "page 0 can be read";
	if (!write_faults((uintptr_t)space_job))
		return "code can be written";
	if (!write_faults((uintptr_t) "constant"))
		return "a constant can be written";
	if (!write_faults(this_cpu()->idt))
		return "the interrupt table can be written";
	if (!read_faults((uintptr_t)direct(hpa((uintptr_t)image_text))))
		return "code is in the direct map";
	if (!call_faults((uintptr_t)code) || !call_faults((uintptr_t)&on_stack))
		return "data can be executed";
	if (!overflow_faults(bottom) || !read_faults(bottom - 1))
		return "the stack runs over";
	/* The same probes where all is allowed: they can tell. */
	if (read_faults((uintptr_t)image_text) || write_faults((uintptr_t)code) ||
	    overflow_faults(bottom + 8))
		return "an access faults that should not";
	return NULL;
}

/* With the frame at `pa` mapped at SCRATCH: does kmap_check() say just this, about that page? */
static bool check_says(hpa_t pa, unsigned int rights, const char *expected)
{
	const char *said;
	uint64_t bad = 0;

	if (kmap_map(SCRATCH, pa, PAGE_SIZE, rights))
		return false;
	said = kmap_check(&bad);
	if (kmap_unmap(SCRATCH, PAGE_SIZE))
		return false;
	return said && expected ? bad == SCRATCH && !strcmp(said, expected) : said == expected;
}

static const char *check_kmap(const struct boot_info *info)
{
	hpa_t ram = hpa(info->range[0].pfn << PAGE_SHIFT);
	hpa_t text = hpa((uintptr_t)image_text);
	uint64_t bad;

	if (kmap_map(SCRATCH, ram, PAGE_SIZE, KMAP_W | KMAP_X) != -EINVAL)
		return "kmap_map() takes a page that can be written and executed";
	if (kmap_map((uintptr_t)image_text, text, PAGE_SIZE, KMAP_R) != -EEXIST)
		return "kmap_map() maps over what is mapped";
	if (kmap_unmap(SCRATCH, PAGE_SIZE) != -ENOENT)
		return "kmap_unmap() finds what is not there";
	if (!check_says(ram, KMAP_W, NULL) || !check_says(ram, KMAP_R | KMAP_UC, NULL))
		return "kmap_check() objects to a page that is all right";
	if (!check_says(ram, KMAP_X, "an executable page is in the direct map, too"))
		return "kmap_check() misses code that can be written through the direct map";
	return kmap_check(&bad);
}

const char *space_job(const struct run_config *config, const struct boot_info *info)
{
	const char *why;
	uint64_t bad;

	(void)config;
	why = kmap_check(&bad);
	if (!why)
		why = check_sections(info);
	if (!why)
		why = check_stacks();
	if (!why)
		why = check_kmap(info);
	if (why)
		return why;
	trap_begin();
	why = try_accesses();
	trap_end();
	return why;
}
