/* SPDX-License-Identifier: MIT */
/* One CPU: what it must be able to do, its control registers, its stacks. */
#include "boot/base/refuse.h"
#include "boot/bringup/bringup.h"
#include "mm/err.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define CPUID1_EDX_MSR  (1u << 5)
#define CPUID1_EDX_APIC (1u << 9)
#define CPUID1_EDX_PAT  (1u << 16)
#define CPUID1_EDX_FXSR (1u << 24)
#define CPUID7_EBX_SMEP (1u << 7)
#define CPUID7_EBX_SMAP (1u << 20)
#define CPUIDX_EDX_NX   (1u << 20)
#define CPUIDX_EDX_1G   (1u << 26)
#define CPUID_EXTENDED  0x80000001

/* The PAT as CPUs come up with it: WB, WT, UC-, UC, twice (SDM vol. 3A, "Page Attribute Table"). */
#define PAT_RESET UINT64_C(0x0007040600070406)

void cpu_require(void)
{
	uint32_t edx = x86_cpuid(1, 0).edx;
	uint32_t extended = x86_cpuid(0x80000000, 0).eax >= CPUID_EXTENDED
				    ? x86_cpuid(CPUID_EXTENDED, 0).edx
				    : 0;

	if (!(edx & CPUID1_EDX_MSR))
		refuse("this CPU has no model-specific registers");
	if (!(edx & CPUID1_EDX_APIC))
		refuse("this CPU has no local APIC, or it is switched off");
	if (!(edx & CPUID1_EDX_PAT) || !(edx & CPUID1_EDX_FXSR))
		refuse("this CPU has no %s", edx & CPUID1_EDX_PAT ? "FXSAVE" : "PAT");
	if (!(extended & CPUIDX_EDX_NX))
		refuse("this CPU has no no-execute pages, or they are switched off");
	if (x86_read_cr4() & CR4_LA57)
		refuse("the firmware runs with 5-level paging, Cleave with 4: switch LA57 off");
}

bool cpu_gib_pages(void)
{
	return x86_cpuid(CPUID_EXTENDED, 0).edx & CPUIDX_EDX_1G;
}

uint64_t cpu_cr0(void)
{
	return CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
}

uint64_t cpu_cr4(void)
{
	uint32_t ebx = x86_cpuid(0, 0).eax >= 7 ? x86_cpuid(7, 0).ebx : 0;

	return CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT |
	       (ebx & CPUID7_EBX_SMEP ? CR4_SMEP : 0) | (ebx & CPUID7_EBX_SMAP ? CR4_SMAP : 0);
}

/* Return: the top of stack `n` of CPU `id`; the pages below and above it are not mapped. */
static uintptr_t stack_make(unsigned int id, unsigned int n)
{
	uint64_t slot = (uint64_t)id * CPU_STACKS + n;
	uint64_t bottom = STACKS + slot * (STACK_BYTES + PAGE_SIZE) + PAGE_SIZE;
	struct kmap_leaf there;

	/* It is there if a CPU before this one got this place and never came up. */
	if (!kmap_lookup(bottom, &there))
		return bottom + STACK_BYTES;
	for (uint64_t at = 0; at < STACK_BYTES; at += PAGE_SIZE) {
		hpa_t page = kmap_page();

		if (page.v == HPA_NONE.v || kmap_map(bottom + at, page, PAGE_SIZE, KMAP_W))
			refuse("not enough memory for the stacks of CPU %u", id);
	}
	return bottom + STACK_BYTES;
}

void cpu_prepare(unsigned int id, uint32_t apic)
{
	struct cpu *cpu = &cpus[id];
	uintptr_t tops[CPU_STACKS];

	for (unsigned int i = 0; i < CPU_STACKS; i++)
		tops[i] = stack_make(id, i);
	cpu->self = cpu;
	cpu->id = id;
	cpu->apic_id = apic;
	cpu->stack_top = tops[STACK_MAIN];
	desc_prepare(cpu, tops);
}

void cpu_load(struct cpu *cpu)
{
	desc_load(cpu);
	x86_wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
	x86_wrmsr(MSR_PAT, PAT_RESET);
	x86_wrmsr(MSR_EFER, (x86_rdmsr(MSR_EFER) | EFER_NXE) & ~(uint64_t)EFER_SCE);
	x86_write_cr0(cpu_cr0());
	x86_write_cr4(cpu_cr4());
	kmap_flush();
}
