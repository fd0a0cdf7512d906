/* SPDX-License-Identifier: MIT */
/* Benchmarks in the machine: see tests/machine/bench.h. */
#include "tests/machine/bench.h"

#include "hv/policy/policy.h"
#include "hv/source/source.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/vm/make.h"
#include "hv/vm/load.h"
#include "hv/vm/run.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- arrival ------------------------------------------------------------------------------ */

static uint8_t page_to_copy[PAGE_SIZE] __attribute__((aligned(4096)));

static bool in_place_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	(void)source;
	*reply = (struct page_reply){
		.gfn = gfn,
		.frames = 1,
		.in_place = true,
	};
	return true;
}

static bool copy_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	(void)source;
	*reply = (struct page_reply){
		.gfn = gfn,
		.frames = 1,
		.data = page_to_copy,
	};
	return true;
}

static const struct source_ops in_place_ops = { .name = "in place", .now = in_place_now };
static const struct source_ops copy_ops = { .name = "copy", .now = copy_now };

static const char *run_to_the_end(struct vm *vm)
{
	vm->shared_cpu[0] = false; /* one vCPU, and nothing else to do: no time slices */
	vm_start(vm);
	while (!vm_over(vm)) {
		if (ncpus == 1)
			(void)vm_turn(vm);
		else
			vm_wait(vm);
	}
	vm_stop(vm);
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].run != VCPU_DONE)
			return "the payload did not finish";
	return NULL;
}

/* What was done in vain, beside: a page was there, or claimed, when a vCPU came for it; a table was
 * built that another CPU had linked. */
static void print_arrival(const char *name, const struct run_config *config, const struct vm *vm,
			  uint64_t end)
{
	uint64_t faults = 0, spurious = 0;
	struct ept_stats stats;

	ept_stats_sum(&vm->mem.ept, &stats);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		faults += vm->vcpu[i].stats.wait.faults;
		spurious += vm->vcpu[i].stats.wait.spurious;
	}
	con_printf("cleave-json: {\"bench\":\"%s\",\"second_stage\":\"%s\",\"pages\":%llu,"
		   "\"faults\":%llu,\"cycles\":%llu,\"vcpus\":%u,\"overlap\":%u,"
		   "\"spurious\":%llu,\"duplicates\":%lld,\"split_races\":%lld}\n",
		   name, vendor->format->name, (unsigned long long)(config->work / config->stride),
		   (unsigned long long)faults, (unsigned long long)(end - vm->first_entry),
		   vm->nvcpus, config->seed == BENCH_OVERLAP, (unsigned long long)spurious,
		   (long long)stats.duplicates, (long long)stats.split_races);
}

static const char *measure_arrival(const struct source_ops *ops, const char *name,
				   const struct run_config *config, const struct boot_info *info)
{
	struct page_source source = { .ops = ops };
	struct vm *vm = vm_create("bench", config, config->backing);
	const char *why = "no memory for the VM";
	uint64_t end;

	if (!vm)
		return why;
	pager_init(&vm->mem, &source, PG_LEVEL_4K, 1, policy_of(POLICY_NEVER));
	why = vm_load_payload_named(vm, info, "touch");
	if (!why)
		why = run_to_the_end(vm);
	end = clock_now();
	if (!why)
		print_arrival(name, config, vm, end);
	vm_destroy(vm);
	return why;
}

const char *bench_arrival_job(const struct run_config *config, const struct boot_info *info)
{
	return measure_arrival(&in_place_ops, "arrival", config, info);
}

const char *bench_copy_job(const struct run_config *config, const struct boot_info *info)
{
	return measure_arrival(&copy_ops, "arrival_copy", config, info);
}

/* --- collapse ----------------------------------------------------------------------------- */

/* Every page of 4 KiB, one by one, as if it had arrived. */
static const char *fill_all(struct vm *vm)
{
	struct ept_cpu *me = ept_cpu(&vm->mem.ept, cpu_id());
	struct ept_claim claim;

	for (gfn_t gfn = 0; gfn < vm->mem.frames; gfn++) {
		if (ept_fill(me, gfn, PG_LEVEL_4K, &claim))
			return "a page could not be filled";
		(void)ept_publish(me, &claim);
	}
	return NULL;
}

const char *bench_collapse_job(const struct run_config *config, const struct boot_info *info)
{
	struct vm *vm = vm_create("bench", config, config->backing);
	struct ept_collapse_result result;
	struct ept_stats stats;
	const char *why;
	uint64_t begin, cycles;
	int64_t tables;

	(void)info;
	if (!vm)
		return "no memory for the VM";
	machine_frames.junk = false; /* as in a release */
	why = fill_all(vm);
	ept_stats_sum(&vm->mem.ept, &stats);
	tables = stats.tables;
	begin = clock_now();
	ept_collapse_range(ept_cpu(&vm->mem.ept, 0), 0, vm->mem.frames, &vm->mem.gather[0],
			   &result);
	ept_sync(&vm->mem.gather[0]);
	cycles = clock_now() - begin;
	ept_stats_sum(&vm->mem.ept, &stats);
	if (!why && (stats.pages_4k || stats.pages_2m))
		why = "it did not collapse";
	if (!why)
		con_printf(
			"cleave-json: {\"bench\":\"collapse\",\"second_stage\":\"%s\",\"tables\":%lld,"
			"\"collapsed\":%llu,\"syncs\":%lld,\"cycles\":%llu}\n",
			vendor->format->name, (long long)tables,
			(unsigned long long)result.collapsed, (long long)stats.syncs,
			(unsigned long long)cycles);
	vm_destroy(vm);
	return why;
}
