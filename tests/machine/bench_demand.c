/* SPDX-License-Identifier: MIT */
/*
 * Demand paging, as a rate: vCPUs read pages for the first time, and each has to come from another
 * VM, after the latency of the source. vcpus=, work= and latency= say how many, how much, how late;
 * seed=77 lets all vCPUs read the same pages, else each has its own. With seed=78 only the last
 * page of each 2 MiB has to come: the others are there, as 4 KiB leaves.
 *
 * Between the first entry and the first character after the last page, nothing else happens: a mark
 * says so to whoever watches from below, such as tests/nested/cost.py.
 */
#include "hv/abi.h"
#include "hv/policy/policy.h"
#include "hv/source/source.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/vm/make.h"
#include "hv/vm/load.h"
#include "hv/vm/run.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/bench.h"

#define LAST 78         /* of each 2 MiB */
#define MARK 0x434c5645 /* a leaf of CPUID that no CPU has; tests/nested/cost.py knows it */

struct demand {
	const struct run_config *config;
	struct vm *from, *to;
	struct source_vm source;
	uint64_t done[ABI_VCPUS_MAX]; /* TSC at which the vCPU was seen to have ended */
};

/* Pages that are not zero, one by one. */
static const char *populate(const struct demand *d)
{
	struct ept_cpu *me = ept_cpu(&d->from->mem.ept, cpu_id());
	gfn_t gfn = d->config->work_start >> PAGE_SHIFT;
	gfn_t end = gfn + (d->config->work >> PAGE_SHIFT);

	for (; gfn < end; gfn++) {
		struct ept_claim claim;

		if (ept_fill(me, gfn, PG_LEVEL_4K, &claim))
			return "a page could not be filled";
		__builtin_memset(direct(claim.frame), 1 + (int)(gfn & 0x7f), PAGE_SIZE);
		(void)ept_publish(me, &claim);
	}
	return NULL;
}

/* As if all but the last page of each 2 MiB had arrived. */
static const char *fill_all_but_last(const struct demand *d)
{
	struct ept_cpu *me = ept_cpu(&d->to->mem.ept, cpu_id());
	gfn_t gfn = d->config->work_start >> PAGE_SHIFT;
	gfn_t end = gfn + (d->config->work >> PAGE_SHIFT);

	for (; gfn < end; gfn++) {
		struct ept_claim claim;

		if ((gfn + 1) % level_frames(PG_LEVEL_2M) == 0)
			continue;
		if (ept_fill(me, gfn, PG_LEVEL_4K, &claim))
			return "a page could not be filled";
		(void)ept_publish(me, &claim);
	}
	return NULL;
}

static void note_ends(struct demand *d)
{
	for (unsigned int i = 0; i < d->to->nvcpus; i++)
		if (!d->done[i] && d->to->vcpu[i].run == VCPU_DONE)
			d->done[i] = clock_now();
}

/* CPUID leaves a virtual machine, wherever it is one; the subleaf counts the benchmarks. */
static void mark(void)
{
	static uint32_t marks;

	con_drain();
	(void)x86_cpuid(MARK, ++marks);
}

static const char *run(struct demand *d)
{
	uint64_t begun = clock_now();
	bool in_time = true;

	mark();
	vm_start(d->to);
	while (in_time && !vm_over(d->to)) {
		tlb_quiesce(&d->to->mem.tlb, cpu_id());
		pager_poll(&d->to->mem);
		if (ncpus == 1)
			(void)vm_turn(d->to);
		else
			cpu_relax();
		note_ends(d);
		in_time = cycles_to_us(clock_now() - begun) / 1000 < d->config->timeout_ms;
	}
	note_ends(d);
	vm_stop(d->to);
	for (unsigned int i = 0; i < d->to->nvcpus; i++)
		if (d->to->vcpu[i].run != VCPU_DONE)
			return "a vCPU did not finish";
	return NULL;
}

static void print(const struct demand *d)
{
	const struct vm *vm = d->to;
	uint64_t last = 0, faults = 0, own[ABI_VCPUS_MAX] = { 0 };
	struct pager_stats s;

	pager_sum(&vm->mem, &s);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		uint64_t cycles = d->done[i] - vm->first_entry;

		own[i] = cycles;
		last = MAX(last, d->done[i]);
		faults += vm->vcpu[i].stats.wait.faults;
		con_printf("cleave: demand: vCPU %u: %llu pages, %llu per second\n", i,
			   (unsigned long long)vm->vcpu[i].steps,
			   (unsigned long long)(vm->vcpu[i].steps * 1000000 /
						MAX(cycles_to_us(cycles), UINT64_C(1))));
	}
	last -= vm->first_entry;
	con_printf("cleave: demand: all: %llu pages, %llu per second\n",
		   (unsigned long long)s.data_frames,
		   (unsigned long long)(s.data_frames * 1000000 /
					MAX(cycles_to_us(last), UINT64_C(1))));
	con_printf("cleave-json: {\"bench\":\"demand\",\"second_stage\":\"%s\",\"vcpus\":%u,"
		   "\"overlap\":%u,\"latency_us\":%u,\"pages\":%llu,\"faults\":%llu,"
		   "\"cycles\":%llu,\"us\":%llu,\"vcpu_cycles\":[%llu,%llu,%llu,%llu]}\n",
		   vendor->format->name, vm->nvcpus, d->config->seed == BENCH_OVERLAP,
		   d->config->latency_us, (unsigned long long)s.data_frames,
		   (unsigned long long)faults, (unsigned long long)last,
		   (unsigned long long)cycles_to_us(last), (unsigned long long)own[0],
		   (unsigned long long)own[1], (unsigned long long)own[2],
		   (unsigned long long)own[3]);
}

static const char *measure(struct demand *d, const struct boot_info *info)
{
	const struct source_pace pace = { .latency = us_to_cycles(d->config->latency_us),
					  .arrive = 1 };
	const char *why = populate(d);

	if (why)
		return why;
	source_vm_init(&d->source, &d->from->mem.ept, d->from->mem.frames, &pace);
	pager_init(&d->to->mem, &d->source.source, PG_LEVEL_4K, 1, policy_of(d->config->policy));
	why = vm_load_payload_named(d->to, info, "touch");
	if (!why && d->config->seed == LAST)
		why = fill_all_but_last(d);
	if (!why)
		why = run(d);
	if (!why)
		print(d);
	return why;
}

const char *bench_demand_job(const struct run_config *config, const struct boot_info *info)
{
	static struct demand d;
	const char *why = "no memory for the VMs";

	d = (struct demand){ .config = config };
	d.to = vm_create("demand", config, config->backing);
	d.from = d.to ? vm_create("source", config, PG_LEVEL_2M) : NULL;
	if (d.from)
		why = measure(&d, info);
	if (d.from)
		vm_destroy(d.from);
	if (d.to)
		vm_destroy(d.to);
	return why;
}
