/* SPDX-License-Identifier: MIT */
/* From the firmware's world into ours: page tables, stack, descriptors, frames, then all CPUs. */
#include "boot/base/refuse.h"
#include "boot/bringup/bringup.h"
#include "hv/base/console.h"
#include "hv/base/ending.h"
#include "hv/base/startup.h"
#include "hv/hv.h"
#include "mm/apic.h"
#include "mm/kmap.h"
#include "mm/machine.h"
#include "mm/x86.h"

/* linker.ld: each is page-aligned. */
extern const char image_text[], image_text_end[];
extern const char image_rodata[], image_rodata_end[];
extern const char image_data[], image_data_end[];

static struct boot_info *the_info;
static struct boot_plan *the_plan;

static void map(uint64_t va, hpa_t pa, uint64_t bytes, unsigned int rights, const char *what)
{
	int err = kmap_map(va, pa, bytes, rights);

	if (err)
		refuse("the page tables cannot map %s at 0x%lx (error %d)", what, va, -err);
}

static void map_section(const char *start, const char *end, unsigned int rights, const char *what)
{
	map((uintptr_t)start, hpa((uintptr_t)start), (uint64_t)(end - start), rights, what);
}

static void map_descriptors(const struct boot_plan *plan)
{
	hpa_t pa = plan->frames;

	for (unsigned int i = 0; i < plan->described.n; i++) {
		const struct boot_range *r = &plan->described.r[i];
		uint64_t bytes = r->frames * sizeof(struct frame);

		map(FRAMES_MAP + r->pfn * sizeof(struct frame), pa, bytes, KMAP_W,
		    "the frame descriptors");
		pa.v += bytes;
	}
}

static void map_all(const struct boot_info *info, struct boot_plan *plan)
{
	map_section(image_text, image_text_end, KMAP_X, "the code");
	map_section(image_rodata, image_rodata_end, KMAP_R, "the constants");
	map_section(image_data, image_data_end, KMAP_W, "the data");
	ranges_remove(&plan->ram, info->image_base >> PAGE_SHIFT, info->image_bytes >> PAGE_SHIFT);
	for (unsigned int i = 0; i < plan->ram.n; i++) {
		hpa_t pa = hpa(plan->ram.r[i].pfn << PAGE_SHIFT);

		map((uintptr_t)direct(pa), pa, plan->ram.r[i].frames << PAGE_SHIFT, KMAP_W,
		    "memory");
	}
	map_descriptors(plan);
	map(APIC_MAP, apic_base(), PAGE_SIZE, KMAP_W | KMAP_UC, "the local APIC");
}

static void frames_init(struct boot_info *info, const struct boot_plan *plan)
{
	const struct ranges *usable = &plan->usable;
	const struct boot_range *last = &plan->described.r[plan->described.n - 1];

	frame_pool_init(&machine_frames, (struct frame *)FRAMES_MAP, 0, last->pfn + last->frames,
			DIRECT_MAP, CLEAVE_DEBUG);
	table_cache_init(&machine_tables, &machine_frames);
	for (unsigned int i = 0; i < usable->n; i++) {
		if (frame_add(&machine_frames, usable->r[i].pfn, usable->r[i].frames))
			refuse("the frame allocator does not take %lu frames at 0x%lx",
			       usable->r[i].frames, usable->r[i].pfn << PAGE_SHIFT);
		info->range[i] = usable->r[i];
	}
	info->nranges = usable->n;
	info->ram_frames = ranges_frames(usable);
	if (usable->beyond)
		con_printf("cleave: %lu MiB of memory from 16 TiB on stay unused: frames are "
			   "counted in 32 bits\n",
			   usable->beyond * PAGE_SIZE / MIB);
	if (usable->dropped)
		con_printf("cleave: %lu KiB of memory stay unused: it is in too many pieces\n",
			   usable->dropped * PAGE_SIZE / KIB);
}

static void say_left_out(const struct cpu_list *list)
{
	if (list->misfit.n)
		con_printf("cleave: %u CPUs are left out: APIC IDs like %lu do not fit %s mode\n",
			   list->misfit.n, list->misfit.first, list->x2apic ? "x2APIC" : "xAPIC");
	if (list->doubled.n)
		con_printf("cleave: %u CPUs are listed twice, like APIC ID %lu: taken once\n",
			   list->doubled.n, list->doubled.first);
	if (list->no_room.n)
		con_printf("cleave: %u CPUs are left out: Cleave drives %u\n", list->no_room.n,
			   MAX_CPUS);
}

static void start_others(struct boot_info *info, struct boot_plan *plan)
{
	unsigned int limit = info->config.cpus ? info->config.cpus : MAX_CPUS;

	say_left_out(&plan->cpus);
	plan->cpus.n = MIN(plan->cpus.n, limit);
	ncpus = 1;
	ap_start_all(plan, info->tsc_khz);
	info->cpus = ncpus;
	for (unsigned int i = 0; i < ncpus; i++)
		info->apic_id[i] = cpus[i].apic_id;
}

/* On our own page tables and on the boot CPU's own stack. */
static _Noreturn void entered(void)
{
	kmap_entered();
	cpu_load(&cpus[0]);
	idt_seal();
	startup_mark(STARTUP_TABLES);
	frames_init(the_info, the_plan);
	startup_mark(STARTUP_FRAMES);
	apic_init();
	start_others(the_info, the_plan);
	ap_release();
	startup_mark(STARTUP_OTHERS);
	hv_main(the_info);
}

/* The instruction after the load of CR3 is in the image, which both address spaces map 1:1. */
static _Noreturn void switch_to(uint64_t cr3, uintptr_t stack_top, void (*to)(void))
{
	__asm__ volatile("mov %0, %%cr3\n\t"
			 "mov %1, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%2"
			 :
			 : "r"(cr3), "r"(stack_top), "r"(to)
			 : "memory");
	__builtin_unreachable();
}

void enter(struct boot_info *info, struct boot_plan *plan)
{
	the_info = info;
	the_plan = plan;
	console_init();
	if (kmap_init(plan->early, plan->nearly, cpu_gib_pages()))
		refuse("no memory for the page tables");
	map_all(info, plan);
	idt_build();
	cpu_prepare(0, plan->cpus.apic_id[0]);
	ap_prepare(plan->trampoline);
	x86_wrmsr(MSR_EFER, x86_rdmsr(MSR_EFER) | EFER_NXE);
	switch_to(kmap_cr3(), cpus[0].stack_top, entered);
}
