/* SPDX-License-Identifier: MIT */
/* The hypervisor's own life: find the vendor, switch every CPU on, do the configured runs. */
#include "hv/hv.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/ending.h"
#include "hv/base/panic.h"
#include "hv/base/smp.h"
#include "hv/base/startup.h"
#include "hv/base/trace.h"
#include "hv/base/trace_stream.h"
#include "hv/config/changed.h"
#include "hv/cpu/vendor.h"
#include "hv/job/jobs.h"
#include "hv/mem/backing.h"
#include "hv/monitor/monitor.h"
#include "hv/net/net.h"
#include "mm/apic.h"
#include "mm/kmap.h"
#include "mm/lock.h"
#include "mm/machine.h"
#include "mm/percpu.h"

#define SKIP "skip: "

void hv_trap(struct trap_frame *frame)
{
	switch (frame->vector) {
	case VECTOR_KICK:
		(void)cpu_kicked(false);
		apic_eoi();
		return;
	case VECTOR_TIMER:
		apic_eoi();
		return;
	case VECTOR_SPURIOUS:
		return;
	case VECTOR_NMI:
		if (panic_elsewhere())
			x86_stop();
		if (cpu_kicked(true))
			return;
		break;
	default:
		/* The firmware or a device had it in store: nobody waits for it. */
		if (frame->vector >= VECTOR_FIRST) {
			apic_eoi();
			return;
		}
		break;
	}
	panic_trap(frame);
}

_Noreturn void hv_cpu_main(void)
{
	cpu_idle();
}

static void enable_here(void *arg)
{
	*(int *)arg = vendor->enable();
}

static int enable_all(void)
{
	int err = vendor->enable();

	for (unsigned int cpu = 1; cpu < ncpus && !err; cpu++) {
		cpu_start(cpu, enable_here, &err);
		cpu_wait(cpu);
	}
	return err;
}

static const struct job *find_job(const char *name)
{
	for (size_t i = 0; i < njobs; i++)
		if (!__builtin_strcmp(jobs[i].name, name))
			return &jobs[i];
	return NULL;
}

/* Reports what a run took and did not give back. */
static const char *leak(uint64_t free_before, uint64_t tables_before)
{
	table_cache_drain(&machine_tables);
	if (machine_tables.in_use != tables_before)
		return "table pages were not given back";
	if (machine_frames.free != free_before)
		return "frames were not given back";
	return frame_pool_check(&machine_frames);
}

/* Prints the run, so that a log says by itself what it shows. */
static void print_run(const struct run_config *config)
{
	char text[CONFIG_TEXT_MAX] = "";

	config_put_changed(config, text);
	con_printf("cleave: run %s:%s\n", config->name, text[0] ? text : " all by default");
}

static bool do_run(const struct run_config *config, const struct boot_info *info)
{
	const struct job *job = find_job(config->job);
	uint64_t free_before, tables_before = machine_tables.in_use;
	const char *why;

	if (info->config.verbose)
		print_run(config);
	table_cache_drain(&machine_tables);
	free_before = machine_frames.free;
	if (!job) {
		con_printf("cleave: case %s: FAIL there is no job '%s' in this image\n",
			   config->name, config->job);
		return false;
	}
	why = job->run(config, info);
	if (!why)
		why = leak(free_before, tables_before);
	if (!why) {
		con_printf("cleave: case %s: pass\n", config->name);
		return true;
	}
	if (!__builtin_memcmp(why, SKIP, sizeof(SKIP) - 1)) {
		con_printf("cleave: case %s: skip %s\n", config->name, why + sizeof(SKIP) - 1);
		return true;
	}
	con_printf("cleave: case %s: FAIL %s\n", config->name, why);
	return false;
}

static volatile bool debugger_awaited; /* tools/gdb clears it */

/* Where the symbols are is said before all else: breakpoints can be anywhere after this. */
static void await_debugger(uint64_t image_base)
{
	debugger_awaited = true;
	con_printf("cleave: image at 0x%llx: waiting for a debugger to clear debugger_awaited\n",
		   (unsigned long long)image_base);
	while (debugger_awaited)
		cpu_relax();
}

/* From here on all rely on this: no page is both writable and executable. */
static void check_own_pages(void)
{
	uint64_t bad = 0;
	const char *why = kmap_check(&bad);

	if (why)
		panic("the hypervisor's own page tables: 0x%llx: %s", (unsigned long long)bad, why);
}

_Noreturn void hv_main(struct boot_info *info)
{
	bool pass = true;

	trace_init();
	clock_khz = info->tsc_khz;
	panic_image_base = info->image_base;
	if (info->config.debugger)
		await_debugger(info->image_base);
	check_own_pages();
	ept_rmap_init(&machine_rmap, &machine_frames);
	con_printf("cleave: %u CPU%s, %llu MiB free, TSC %llu kHz\n", ncpus, ncpus == 1 ? "" : "s",
		   (unsigned long long)(machine_frames.free * PAGE_SIZE / MIB),
		   (unsigned long long)clock_khz);
	if (vendor_init() || enable_all())
		ending(false);
	/* Ends time slices on SVM, and the sleep of CPUs. */
	apic_timer_calibrate(us_to_cycles(1000));
	backing_init();
	if (net_open(&info->config))
		ending(false);
	con_printf("cleave: second stage: %s, leaves up to %s\n", vendor->format->name,
		   vendor->leaf_max() == PG_LEVEL_1G ? "1 GiB" : "2 MiB");
	if (info->config.trace == TRACE_ALL)
		trace_stream_begin(vendor->format->name);
	monitor_open(info->config.monitor, info->config.live);
	startup_mark(STARTUP_HYPERVISOR);
	for (unsigned int i = 0; i < info->config.nruns; i++) {
		pass &= do_run(&info->config.run[i], info);
		startup_report(info->config.verbose);
	}
	monitor_close();
	ending(pass);
}
