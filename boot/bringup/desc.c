/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables: a GDT and a TSS for each CPU, one IDT for all (SDM vol. 3A, "64-Bit Mode Task
 * State Segment" and "Interrupt and Exception Handling in 64-bit Mode").
 *
 * NMIs, double faults and machine checks, which come at any time or for want of a stack, have
 * stacks of their own. Others stay on the one in use (there is no red zone): on SVM an exception of
 * ours may come while TR is a guest's (hv/cpu/svm/svm_world.c), whose TSS must not name a stack. A
 * stack that has reached its guard page ends in a double fault; between the exits of an SVM guest
 * in a triple fault.
 */
#include "boot/base/refuse.h"
#include "boot/bringup/bringup.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define GDT_CODE     UINT64_C(0x00af9b000000ffff) /* 64-bit code, accessed */
#define GDT_DATA     UINT64_C(0x00cf93000000ffff) /* data, accessed */
#define GDT_TSS_FREE UINT64_C(0x0000890000000000)

#define GATE_INTERRUPT 0x8e00 /* present, CPL 0, interrupts off */
#define VECTORS        256
#define VECTOR_NMI     2
#define VECTOR_DF      8
#define VECTOR_MC      18
#define STUB_BYTES     16 /* in boot/bringup/isr.asm */

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* ist[0] is IST 1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_bitmap;
} __attribute__((packed));

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t ist_type;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "a VM exit sets the TSS limit to 103");
_Static_assert(sizeof(struct gate) == 16 && VECTORS * sizeof(struct gate) == PAGE_SIZE,
	       "the IDT is sealed as one page");

static struct {
	uint64_t gdt[SEL_TSS / 8 + 2];
	struct tss tss;
} __attribute__((aligned(CACHE_LINE))) descriptors[MAX_CPUS];

static struct gate idt[VECTORS] __attribute__((aligned(PAGE_SIZE)));

extern const char isr_stubs[]; /* boot/bringup/isr.asm: VECTORS stubs of STUB_BYTES each */

static unsigned int ist_of(unsigned int vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return IST_NMI;
	case VECTOR_DF:
		return IST_DOUBLE_FAULT;
	case VECTOR_MC:
		return IST_MACHINE_CHECK;
	default: /* the stack that is in use */
		return 0;
	}
}

void idt_build(void)
{
	for (unsigned int v = 0; v < VECTORS; v++) {
		uintptr_t stub = (uintptr_t)isr_stubs + v * STUB_BYTES;

		idt[v] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = SEL_CODE,
			.ist_type = (uint16_t)(GATE_INTERRUPT | ist_of(v)),
			.offset_mid = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
}

void idt_seal(void)
{
	if (kmap_protect((uintptr_t)idt, sizeof(idt), KMAP_R))
		refuse("the interrupt table cannot be made read-only");
}

void desc_prepare(struct cpu *cpu, const uintptr_t tops[CPU_STACKS])
{
	uint64_t *gdt = descriptors[cpu->id].gdt;
	struct tss *tss = &descriptors[cpu->id].tss;
	uint64_t base = (uintptr_t)tss;

	*tss = (struct tss){ .io_bitmap = sizeof(*tss) };
	for (unsigned int i = IST_NMI; i < CPU_STACKS; i++)
		tss->ist[i - 1] = tops[i];
	gdt[0] = 0;
	gdt[SEL_CODE / 8] = GDT_CODE;
	gdt[SEL_DATA / 8] = GDT_DATA;
	gdt[SEL_TSS / 8] = GDT_TSS_FREE | (sizeof(*tss) - 1) | (base & 0xffffff) << 16 |
			   (base >> 24 & 0xff) << 56;
	gdt[SEL_TSS / 8 + 1] = base >> 32;
	cpu->gdt = (uintptr_t)gdt;
	cpu->tss = (uintptr_t)tss;
	cpu->idt = (uintptr_t)idt;
}

void desc_load(const struct cpu *cpu)
{
	struct table_pointer gdtr = { sizeof(descriptors[0].gdt) - 1, cpu->gdt };
	struct table_pointer idtr = { sizeof(idt) - 1, cpu->idt };

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %3, %%ds\n\t"
			 "movl %3, %%es\n\t"
			 "movl %3, %%ss\n\t"
			 "movl %4, %%fs\n\t"
			 "movl %4, %%gs\n\t"
			 "lldt %w4\n\t"
			 "ltr %w5\n\t"
			 "lidt %1"
			 :
			 : "m"(gdtr), "m"(idtr), "i"(SEL_CODE), "r"(SEL_DATA), "r"(0), "r"(SEL_TSS)
			 : "rax", "memory");
}
