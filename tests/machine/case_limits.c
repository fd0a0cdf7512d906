/* SPDX-License-Identifier: MIT */
/* In-machine cases in which something runs out, is refused, or misbehaves. */
#include "tests/machine/cases.h"

#include "hv/base/console.h"
#include "hv/migrate/migrate.h"
#include "hv/vm/payload.h"
#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/hoard.h"
#include "tests/machine/lab.h"

#define WORK  (8 * MIB)
#define RANGE (WORK >> PAGE_SHIFT)

/* --- table pages -------------------------------------------------------------------------- */

static struct {
	struct ept_ops ops;
	const struct ept_ops *real;
	_Atomic uint64_t calls;
	uint64_t fail_at;    /* this call fails, */
	uint64_t fail_every; /* or each n-th */
} failing;

static int failing_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	uint64_t n = atomic_fetch_add(&failing.calls, 1);

	if (n == failing.fail_at || (failing.fail_every && n % failing.fail_every == 0))
		return -ENOMEM;
	return failing.real->table_alloc(ctx, cpu, table);
}

static void fail_tables(struct lab *lab, uint64_t at, uint64_t every)
{
	if (lab->vm->mem.ept.ops != &failing.ops)
		failing.real = lab->vm->mem.ept.ops;
	failing.ops = *failing.real;
	failing.ops.table_alloc = failing_alloc;
	atomic_store(&failing.calls, 0);
	failing.fail_at = at;
	failing.fail_every = every;
	lab->vm->mem.ept.ops = &failing.ops;
}

/* A page of a whole absent GiB needs two tables; then a present GiB is split down to a page. */
static const char *fails_at(struct lab *lab, uint64_t at)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	gfn_t gfn = RANGE + at * RANGE_FRAMES;
	struct ept_claim claim;

	fail_tables(lab, at, 0);
	MUST(ept_fill(me, gfn, PG_LEVEL_4K, &claim) == -ENOMEM, "no -ENOMEM from a fill");
	MUST(ept_lookup(&lab->vm->mem.ept, gfn).kind == EPT_ABSENT,
	     "a failed fill changed the page");
	TRY(lab_check(lab));
	fail_tables(lab, UINT64_MAX, 0);
	TRY(lab_fill(lab, gfn, PG_LEVEL_4K));
	MUST(!ept_unmap(me, 0, lab->vm->mem.frames, g), "it could not be unmapped");
	ept_sync(g);
	MUST(!backing_map(&lab->vm->mem.backing, me), "it could not be mapped again");
	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	fail_tables(lab, at, 0);
	MUST(ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_ASKED, g) == -ENOMEM,
	     "no -ENOMEM from a split");
	ept_sync(g);
	MUST(ept_lookup(&lab->vm->mem.ept, gfn).kind == EPT_PRESENT,
	     "a failed split lost the page");
	TRY(lab_check(lab));
	fail_tables(lab, UINT64_MAX, 0);
	MUST(!ept_split(me, gfn, PG_LEVEL_4K, EPT_WHY_ASKED, g), "the retry failed");
	MUST(!ept_unmap(me, 0, lab->vm->mem.frames, g), "it could not be unmapped");
	ept_sync(g);
	MUST(!backing_map(&lab->vm->mem.backing, me), "it could not be mapped again");
	return lab_check(lab);
}

static const char *table_allocation_fails_everywhere(struct lab *lab)
{
	struct pager_stats stats;

	TRY(fails_at(lab, 0));
	TRY(fails_at(lab, 1));
	/* vCPUs fault meanwhile: they wait, and go on. */
	lab->at_hand = true;
	TRY(lab_warm_up(lab));
	fail_tables(lab, UINT64_MAX, 2);
	TRY(lab_poke(lab, POKE_SHARE, WORK, 64 * MIB, 2 * MIB + PAGE_SIZE));
	pager_sum(&lab->vm->mem, &stats);
	MUST(stats.starved, "no arrival met the failure");
	return NULL;
}

/* --- frames ------------------------------------------------------------------------------- */

#define LOOSE 2048 /* single frames that are given back little by little, */
#define STEP  64   /* so many at a time */

static hpa_t loose[LOOSE];
static unsigned int nloose;

static const char *loose_give(unsigned int keep)
{
	int err = 0;

	while (nloose > keep)
		err |= frame_free(&machine_frames, loose[--nloose], FRAME_ORDER_4K);
	return err ? "a loose frame could not be given back" : NULL;
}

/* With more and more frames free, making a VM fails at each of its allocations in turn. */
static const char *starve(const struct run_config *config)
{
	unsigned int made = 0, failed = 0;

	while (nloose >= STEP) {
		uint64_t before = machine_frames.free, tables = machine_tables.in_use;
		struct vm *vm = vm_create("starved", config, PG_LEVEL_4K);

		made += vm != NULL;
		failed += vm == NULL;
		if (vm)
			vm_destroy(vm);
		table_cache_drain(&machine_tables);
		MUST(machine_tables.in_use == tables, "a VM that was not made kept a table");
		MUST(machine_frames.free == before, "a VM that was not made kept frames");
		TRY(loose_give(nloose - STEP));
	}
	MUST(made && failed, "the memory was never, or always, enough");
	return NULL;
}

static const char *memory_runs_out_everywhere(struct lab *lab)
{
	struct run_config config = lab->config;
	const char *why;

	config.region = 2 * MIB;
	table_cache_drain(&machine_tables);
	for (nloose = 0; nloose < LOOSE; nloose++)
		loose[nloose] = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	hoard_take(FRAME_ORDER_4K);
	why = starve(&config);
	if (!why)
		why = loose_give(0);
	return why ? why : hoard_give();
}

static const char *no_gib_frame(struct lab *lab)
{
	struct run_config config = lab->config;
	const char *why = NULL;
	struct vm *vm;

	/* Less than a GiB: Bochs 2.7 has 2 GiB of the host's memory for a machine, and what it
	 * swaps out beyond that it reads wrongly. The other cases have touched one GiB. */
	config.region = 256 * MIB;
	hoard_take(FRAME_ORDER_1G);
	vm = vm_create("small", &config, PG_LEVEL_1G);
	if (!vm || vm->mem.backing.level != PG_LEVEL_2M || vm->mem.ept.leaf_max != PG_LEVEL_2M)
		why = "no fall-back to 2 MiB frames";
	if (vm)
		vm_destroy(vm);
	return why ? why : hoard_give();
}

static const char *region_too_large(struct lab *lab)
{
	struct run_config config = lab->config;
	struct vm *vm;

	config.region = 64 * GIB;
	vm = vm_create("large", &config, PG_LEVEL_2M);
	if (vm)
		vm_destroy(vm);
	return vm ? "64 GiB were found" : NULL;
}

/* --- payloads ----------------------------------------------------------------------------- */

#define SPOIL(field, value)                                                                        \
	{                                                                                          \
		offsetof(struct abi_header, field), (value)                                        \
	}

/* Each takes the place of 8 bytes of a good header. */
static const struct {
	size_t at;
	uint64_t value;
} spoils[] = {
	SPOIL(magic, 0),
	SPOIL(version, 99),
	SPOIL(load_gpa, 0x200001),
	SPOIL(load_gpa, ~UINT64_C(0xfff)),
	SPOIL(load_gpa, 64 * GIB),
	SPOIL(image_bytes, GIB),
	SPOIL(memory_bytes, 0),
	SPOIL(memory_bytes, ~UINT64_C(0)),
	SPOIL(entry, 0),
	SPOIL(entry, ~UINT64_C(0)),
	SPOIL(cr3, 1),
	SPOIL(cr3, 64 * GIB),
	SPOIL(stack_bytes, UINT64_MAX),
};

static const char *wrong_payloads_are_refused(struct lab *lab)
{
	static uint8_t image[ABI_HEADER_BYTES] __attribute__((aligned(8)));
	struct boot_module module = { .name = "spoilt", .data = image };

	for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
		memcpy(image, lab->info->module[0].data, sizeof(image));
		memcpy(image + spoils[i].at, &spoils[i].value, sizeof(uint64_t));
		module.bytes = lab->info->module[0].bytes;
		MUST(vm_load_payload(lab->vm, &module) == -EINVAL, "a spoilt header was accepted");
	}
	memcpy(image, lab->info->module[0].data, sizeof(image));
	for (module.bytes = 0; module.bytes <= sizeof(image); module.bytes += 16)
		MUST(vm_load_payload(lab->vm, &module) == -EINVAL, "a short file was accepted");
	return lab_leaves(lab, 0, 0, 0);
}

/* --- migrations that fail ----------------------------------------------------------------- */

struct failure {
	const char *guest;
	uint64_t seed;
	enum config_trigger trigger;
	const char *why;
};

static const struct failure failures[] = {
	{ "nobody", 0, TRIGGER_READY, "no such guest" },
	{ "bad", 8, TRIGGER_GUEST, "the guest was not ready in time" },
	{ "bad", 8, TRIGGER_READY, "the guest did not finish in time" },
	{ "bad", 13, TRIGGER_GUEST, "the guest ended before the migration began" },
};

/* What fails says so, takes no longer than it may, and leaves nothing behind. */
static const char *failures_are_told(struct lab *lab)
{
	static struct migration m;
	struct run_config config = lab->config;

	config.timeout_ms = 3000;
	config.latency_us = 0;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const char *why;
		uint64_t free;

		table_cache_drain(&machine_tables);
		free = machine_frames.free;
		memcpy(config.guest, failures[i].guest, strlen(failures[i].guest) + 1);
		config.seed = failures[i].seed;
		config.trigger = failures[i].trigger;
		why = migrate(&m, &config, lab->info);
		table_cache_drain(&machine_tables);
		con_printf("cleave: failure %zu: %s\n", i, why ? why : "none");
		MUST(why && !strcmp(why, failures[i].why), "another reason was told");
		MUST(machine_frames.free == free, "something was kept");
	}
	return NULL;
}

CASES_LIMITS(LAB_JOB)
