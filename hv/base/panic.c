/* SPDX-License-Identifier: MIT */
/* Panic. See hv/base/panic.h. */
#include "hv/base/panic.h"

#include <stdatomic.h>
#include <stdarg.h>

#include "hv/base/console.h"
#include "hv/base/ending.h"
#include "hv/base/smp.h"
#include "hv/base/trace.h"
#include "mm/apic.h"
#include "mm/lock.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define TRACE_TAIL 16

uint64_t panic_image_base;

static _Atomic int panicking = -1; /* the CPU that panics first; the others are stopped */

bool panic_elsewhere(void)
{
	int who = atomic_load(&panicking);

	return who >= 0 && who != (int)cpu_id();
}

void panic_begin(void)
{
	int none = -1;

	if (!atomic_compare_exchange_strong(&panicking, &none, (int)cpu_id())) {
		if (none == (int)cpu_id())
			ending(false); /* a panic in a panic: say no more */
		x86_stop();
	}
	for (unsigned int i = 0; i < ncpus; i++)
		if (i != cpu_id())
			apic_nmi(cpus[i].apic_id);
	con_break_lock();
}

_Noreturn void panic_end(void)
{
	for (unsigned int i = 0; i < ncpus; i++)
		trace_print(i, TRACE_TAIL);
	ending(false);
}

_Noreturn void panic(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	panic_begin();
	va_start(ap, fmt);
	(void)fmt_vprint(text, sizeof(text), fmt, ap);
	va_end(ap);
	con_printf("cleave: PANIC on cpu%u: %s\n", cpu_id(), text);
	panic_end();
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	panic_begin();
	con_printf(
		"cleave: PANIC on cpu%u: exception %llu, error 0x%llx, at 0x%llx (image + 0x%llx), cr2 "
		"0x%llx\n",
		cpu_id(), (unsigned long long)f->vector, (unsigned long long)f->error,
		(unsigned long long)f->rip, (unsigned long long)(f->rip - panic_image_base),
		(unsigned long long)x86_read_cr2());
	con_printf("cleave:   rax %016llx rbx %016llx rcx %016llx rdx %016llx\n",
		   (unsigned long long)f->rax, (unsigned long long)f->rbx,
		   (unsigned long long)f->rcx, (unsigned long long)f->rdx);
	con_printf("cleave:   rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n",
		   (unsigned long long)f->rsi, (unsigned long long)f->rdi,
		   (unsigned long long)f->rbp, (unsigned long long)f->rsp);
	con_printf("cleave:   r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n",
		   (unsigned long long)f->r8, (unsigned long long)f->r9, (unsigned long long)f->r10,
		   (unsigned long long)f->r11);
	con_printf("cleave:   r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n",
		   (unsigned long long)f->r12, (unsigned long long)f->r13,
		   (unsigned long long)f->r14, (unsigned long long)f->r15);
	con_printf("cleave:   rflags %llx cr0 %llx cr3 %llx cr4 %llx\n",
		   (unsigned long long)f->rflags, (unsigned long long)x86_read_cr0(),
		   (unsigned long long)x86_read_cr3(), (unsigned long long)x86_read_cr4());
	panic_end();
}
