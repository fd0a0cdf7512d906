/* SPDX-License-Identifier: MIT */
/*
 * What hv/vm/payload.c and hv/cpu/hypercall.c ask of the rest of the hypervisor, on the host: the
 * memory of one guest, page by page there or not, and the console. Included by one file of a
 * program.
 */
#ifndef TESTS_FUZZ_GUEST_MEMORY_H
#define TESTS_FUZZ_GUEST_MEMORY_H

#include <asm/prctl.h>
#include <sanitizer/asan_interface.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/abi.h"
#include "hv/base/console.h"
#include "hv/vm/payload.h"
#include "hv/cpu/vcpu.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/fuzz/fuzz.h"

#define GUEST_PAGES 1024 /* 4 MiB */

static struct vm guest;
static struct vcpu guest_vcpu[ABI_VCPUS_MAX];
static char *guest_memory; /* what lies behind guest.mem.frames pages is poisoned */
static bool guest_there[GUEST_PAGES];
static char guest_said[512]; /* the last line */
static unsigned int guest_lines;

/* The hypervisor finds its CPU through GS, which nothing else uses here. */
static inline void guest_cpu(void)
{
	static struct cpu cpu;

	if (cpu.self)
		return;
	cpu.self = &cpu;
	fuzz_check(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu) == 0);
}

/* Memory of 2 or 4 MiB, of which nothing is there. */
static inline void guest_begin(const struct run_config *config)
{
	static char memory[GUEST_PAGES << PAGE_SHIFT] __attribute__((aligned(PAGE_SIZE)));

	guest_cpu();
	guest_memory = memory;
	guest.name = "fuzz";
	guest.config = config;
	guest.mem.frames = guest.mem.end = config->region >> PAGE_SHIFT;
	guest.nvcpus = config->vcpus;
	guest.vcpu = guest_vcpu;
	__asan_unpoison_memory_region(memory, sizeof(memory));
	__asan_poison_memory_region(memory + config->region, sizeof(memory) - config->region);
	memset(guest_there, 0, sizeof(guest_there));
	guest_lines = 0;
	guest_said[0] = 0;
}

void *mem_page(const struct memory *mem, gfn_t gfn)
{
	fuzz_check(mem == &guest.mem && gfn < mem->frames);
	return guest_there[gfn] ? guest_memory + (gfn << PAGE_SHIFT) : NULL;
}

void con_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fuzz_check(vsnprintf(guest_said, sizeof(guest_said), fmt, ap) < (int)sizeof(guest_said));
	va_end(ap);
	guest_lines++;
}

#endif
