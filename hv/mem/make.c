/* SPDX-License-Identifier: MIT */
/* Making and unmaking a guest's memory. See hv/mem/memory.h. */
#include "hv/mem/memory.h"

#include "hv/base/console.h"
#include "hv/base/trace.h"
#include "hv/mem/family.h"
#include "hv/mem/private.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/x86.h"

/* --- what the second stage needs of us ----------------------------------------------------- */

static int ops_table_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	(void)ctx;
	return table_alloc(&machine_tables, cpu, table);
}

static void ops_table_free(void *ctx, unsigned int cpu, hpa_t table)
{
	(void)ctx;
	table_free(&machine_tables, cpu, table);
}

static void ops_flush(void *ctx, unsigned int cpu)
{
	struct memory *mem = ctx;

	tlb_flush(&mem->tlb, cpu);
}

static void ops_trace(void *ctx, unsigned int cpu, enum ept_event event, gfn_t gfn,
		      enum pg_level level)
{
	static const enum trace_event events[] = {
		[EPT_EV_SPLIT] = TRACE_SPLIT,
		[EPT_EV_COLLAPSE] = TRACE_COLLAPSE,
		[EPT_EV_SYNC] = TRACE_SYNC,
	};

	const struct memory *mem = ctx;
	uint64_t piece = TRACE_PIECE(level, mem->vm);

	(void)cpu;
	if (event >= EPT_EV_REFUSED)
		trace(TRACE_REFUSE, gfn, (uint64_t)(event - EPT_EV_REFUSED) << 32 | piece);
	else
		trace(events[event], gfn, piece);
}

static const struct ept_ops mem_ept_ops = {
	.table_alloc = ops_table_alloc,
	.table_free = ops_table_free,
	.flush = ops_flush,
	.trace = ops_trace,
};

/* --- making ------------------------------------------------------------------------------- */

/* The most tables that so many frames can need: all in 4 KiB pieces, and those that gathers hold
 * back until their flush. */
static uint64_t tables_at_worst(uint64_t frames)
{
	return frames / level_frames(PG_LEVEL_2M) + frames / level_frames(PG_LEVEL_1G) + 4 +
	       (uint64_t)ncpus * EPT_GATHER_MAX;
}

static int take_frames(struct memory *mem, enum pg_level level)
{
	int err = backing_take(&mem->backing, level, mem->frames);

	if (err && level == PG_LEVEL_1G) {
		con_printf("cleave: vm %s: no free 1 GiB frame: using 2 MiB\n", mem->name);
		err = backing_take(&mem->backing, PG_LEVEL_2M, mem->frames);
	}
	if (err)
		con_printf("cleave: vm %s: not enough memory for %llu MiB: give the machine more, "
			   "or make region= smaller\n",
			   mem->name, (unsigned long long)(mem->frames * PAGE_SIZE / MIB));
	return err;
}

static int make_tables(struct memory *mem, enum pg_level leaf_max)
{
	int err = table_reserve(&machine_tables, tables_at_worst(mem->frames));

	if (err)
		return err;
	mem->tables_reserved = true;
	err = ept_init(&mem->ept, mem->stage2->format, &mem_ept_ops, mem, &machine_frames,
		       leaf_max);
	if (err)
		return err;
	mem->ept_made = true;
	ept_set_width(&mem->ept, x86_cpuid(0x80000008, 0).eax & 0xff);
	tlb_init(&mem->tlb, &mem->ept, mem->stage2->flush);
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		ept_gather_init(&mem->gather[i], ept_cpu(&mem->ept, i));
	return 0;
}

static int map_frames(struct memory *mem)
{
	int err = backing_map(&mem->backing, ept_cpu(&mem->ept, 0));

	return err ? err : backing_register(&mem->backing, &mem->ept);
}

static int say(const struct memory *mem, int err)
{
	if (err == -ENOSPC)
		con_printf("cleave: vm %s: too many VMs: destroy one first\n", mem->name);
	else if (err)
		con_printf("cleave: vm %s: not enough memory for its tables\n", mem->name);
	return err;
}

int mem_make(struct memory *mem, const struct stage2 *stage2, uint64_t frames,
	     enum pg_level backing, bool nx)
{
	int err;

	mem->stage2 = stage2;
	mem->frames = mem->end = frames;
	err = take_frames(mem, backing);
	if (err)
		return err;
	err = make_tables(mem, MIN(mem->backing.level, stage2->leaf_max));
	if (!err && nx)
		ept_set_nx(&mem->ept);
	return say(mem, err ? err : map_frames(mem));
}

bool mem_zero(struct memory *mem, uint64_t frames)
{
	uint64_t done = 1;

	while (frames && done && !mem->zeroed) {
		done = backing_zero(&mem->backing, mem->zero_next, frames);
		frames -= done;
		mem->zero_next += done;
		mem->zeroed = mem->zero_next == mem->frames;
	}
	return mem->zeroed;
}

int mem_make_like(struct memory *mem, const struct memory *model)
{
	int err;

	mem->stage2 = model->stage2;
	mem->frames = mem->end = model->frames;
	err = make_tables(mem, model->ept.leaf_max);
	if (!err && model->ept.nx)
		ept_set_nx(&mem->ept);
	return say(mem, err);
}

void mem_end(struct memory *mem)
{
	if (mem->ept_made) {
		for (unsigned int i = 0; i < MAX_CPUS; i++)
			ept_sync(&mem->gather[i]);
		family_leave(mem);
		private_drop_all(mem);
	}
	/* Before the tables go: a lookup walks them. */
	backing_give(&mem->backing);
	if (mem->ept_made)
		ept_destroy(&mem->ept, cpu_id());
	if (mem->tables_reserved)
		table_unreserve(&machine_tables, tables_at_worst(mem->frames));
}
