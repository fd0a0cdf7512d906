/* SPDX-License-Identifier: MIT */
/* Table pages, and the address space that begins with one. */
#include "ept/tree/table.h"

#include "ept/tree/iter.h"

int table_make(struct ept_cpu *me, enum pg_level level, enum ept_why why, hpa_t *table)
{
	struct ept *ept = me->ept;
	struct ept_table *meta;
	int err = ept->ops->table_alloc(ept->ctx, me->cpu, table);

	if (err)
		return err;
	/* Relaxed: the release that links the table publishes these, too. */
	meta = table_meta(ept, *table);
	atomic_store_explicit(&meta->present, 0, memory_order_relaxed);
	atomic_store_explicit(&meta->lock, 0, memory_order_relaxed);
	atomic_store_explicit(&meta->dead, 0, memory_order_relaxed);
	atomic_store_explicit(&meta->why, (uint8_t)why, memory_order_relaxed);
	atomic_store_explicit(&meta->quiet, 0, memory_order_relaxed);
	meta->level = (uint8_t)level;
	ept_stat_add(&me->stats.tables, 1);
	return 0;
}

int table_make_empty(struct ept_cpu *me, enum pg_level level, enum ept_why why, hpa_t *table)
{
	int err = table_make(me, level, why, table);

	/* Plain: nobody else sees it. */
	if (!err)
		__builtin_memset((void *)table_entries(me->ept, *table), 0, PAGE_SIZE);
	return err;
}

void table_discard(struct ept_cpu *me, hpa_t table)
{
	ept_stat_add(&me->stats.tables, -1);
	me->ept->ops->table_free(me->ept->ctx, me->cpu, table);
}

/* A table entry has all its bits set, and a leaf above 4 KiB the large bit; a hidden entry has none
 * of the bits that the hardware looks at. */
static void make_walk(struct ept *ept)
{
	const struct ept_format *fmt = ept->fmt;

	ept->walk = (struct ept_walk){
		.virt_offset = ept->pool->virt_offset,
		.owners = (uintptr_t)&ept->pool->frames->owner -
			  ept->pool->base_pfn * sizeof(struct frame),
		.addr = fmt->addr,
		.table_mask = fmt->large | fmt->table,
		.table_bits = fmt->table,
		.absent_mask = fmt->seen | ENTRY_KIND_MASK | ENTRY_ZERO | ENTRY_COW,
		.plain_mask = fmt->seen | ENTRY_KIND_MASK | ENTRY_ZERO | ENTRY_COW | ENTRY_TRACKED,
		.space = fmt_space(fmt),
		.usual = fmt->top == PG_LEVEL_512G && fmt->index_bits == 9 ? fmt_space(fmt) : 0,
		.index_mask = fmt_entries(fmt) - 1,
		.index_bits = fmt->index_bits,
		.entries = fmt_entries(fmt),
		.leaf_levels = fmt->leaf_levels,
		.top_shift = fmt->index_bits * (fmt->top - 1),
	};
	for (enum pg_level level = PG_LEVEL_4K; level <= fmt->top; level++)
		ept->walk.inside[level] = fmt_frames(fmt, level) - 1;
}

static void make_leaves(struct ept *ept)
{
	for (enum pg_level level = PG_LEVEL_4K; level < PG_LEVEL_512G; level++)
		for (unsigned int i = 0; i < ENTRY_RIGHTS; i++)
			ept->leaf[level][i] = leaf_encode(
				ept, (struct ept_state){ .level = level,
							 .perms = i & EPT_RWX,
							 .memtype = (enum ept_memtype)(i >> 3) });
}

void ept_set_nx(struct ept *ept)
{
	ept->nx = true;
	make_leaves(ept);
}

void ept_set_width(struct ept *ept, unsigned int bits)
{
	if (bits < 64)
		ept->backing_end = MIN(ept->backing_end, UINT64_C(1) << bits);
}

int ept_init(struct ept *ept, const struct ept_format *fmt, const struct ept_ops *ops, void *ctx,
	     struct frame_pool *pool, enum pg_level leaf_max)
{
	*ept = (struct ept){ .fmt = fmt, .ops = ops, .ctx = ctx, .pool = pool };
	ept->backing_end = fmt->addr + PAGE_SIZE;
	ept->leaf_max = MIN(leaf_max, fmt->top);
	while (!fmt_may_be_leaf(fmt, ept->leaf_max))
		ept->leaf_max--;
	make_leaves(ept);
	make_walk(ept);
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		ept->cpu[i].ept = ept;
		ept->cpu[i].cpu = i;
	}
	return table_make_empty(ept_cpu(ept, 0), fmt->top, EPT_WHY_MAP, &ept->root);
}

void ept_destroy(struct ept *ept, unsigned int cpu)
{
	struct ept_cpu *me = ept_cpu(ept, cpu);

	/* From the leaves up: when a level's turn comes, the tables there point to none. */
	for (enum pg_level level = PG_LEVEL_2M; level <= ept->fmt->top; level++) {
		struct ept_iter it = ept_iter(ept, 0, fmt_space(ept->fmt), level);

		while (ept_iter_next(&it)) {
			if (it.slot.level != level || ept_iter_kind(&it) != EPT_TABLE)
				continue;
			atomic_store_explicit(it.slot.at, 0, memory_order_relaxed);
			table_discard(me, entry_child(ept->fmt, it.slot.entry));
		}
	}
	table_discard(me, ept->root);
	ept->root = HPA_NONE;
}
