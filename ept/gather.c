/* SPDX-License-Identifier: MIT */
/*
 * What one flush pays for: tables that were unlinked and wait until no CPU, by hardware or by
 * software, can stand in them any more.
 */
#include "ept/slot.h"

void ept_gather_init(struct ept_gather *g, struct ept_cpu *me)
{
	g->cpu = me;
	g->n = 0;
	g->frozen = 0;
	g->owed = false;
}

void gather_make_room(struct ept_gather *g)
{
	if (g->n == EPT_GATHER_MAX || g->frozen == EPT_FROZEN_MAX)
		ept_sync(g);
}

void gather_frozen(struct ept_gather *g, const struct ept_slot *s, uint64_t leaf)
{
	g->thaw[g->frozen++] = (struct ept_thaw){ .slot = s->at, .table = s->table, .leaf = leaf };
	g->table[g->n - 1].frozen = (uint8_t)g->frozen;
}

void gather_table(struct ept_gather *g, hpa_t table, gfn_t gfn, enum pg_level level,
		  uint64_t seen_ad, bool harvest)
{
	g->owed = true;
	g->table[g->n++] = (struct ept_gathered){
		.table = table,
		.gfn = gfn,
		.level = level,
		.seen_ad = seen_ad,
		.harvest = harvest,
	};
}

uint64_t table_ad(const struct ept *ept, hpa_t table)
{
	const _Atomic uint64_t *at = table_entries(ept, table);
	uint64_t any = 0;

	for (unsigned int i = 0; i < fmt_entries(ept->fmt); i++)
		any |= atomic_load_explicit(&at[i], memory_order_relaxed);
	return any & (ept->fmt->accessed | ept->fmt->dirty);
}

/* Sets accessed and dirty bits in whatever leaves map the range now. */
static void add_ad(const struct ept *ept, gfn_t gfn, enum pg_level level, uint64_t ad)
{
	gfn_t end = gfn + fmt_frames(ept->fmt, level);

	while (gfn < end) {
		struct ept_slot s = slot_find(ept, gfn, PG_LEVEL_4K);

		while (entry_kind(ept->fmt, s.entry, s.level) == EPT_PRESENT &&
		       !slot_swap(&s, s.entry | ad))
			cpu_relax();
		if (entry_kind(ept->fmt, s.entry, s.level) == EPT_TABLE && s.level > PG_LEVEL_4K)
			continue; /* split meanwhile: look below */
		gfn = fmt_base(ept->fmt, gfn, s.level) + fmt_frames(ept->fmt, s.level);
	}
}

/* The frozen slot is ours alone, so a store will do; late bits go with it. */
static void thaw(struct ept_cpu *me, const struct ept_thaw *f, enum pg_level level, uint64_t late)
{
	atomic_store_explicit(f->slot, f->leaf | late, memory_order_release);
	leaf_counted(me, f->table, level, 1);
}

/* Until the flush a CPU could walk the old table by a cached pointer and mark its entries. */
static void harvest(struct ept_cpu *me, struct ept_gather *g, const struct ept_gathered *t)
{
	uint64_t late = table_ad(me->ept, t->table) & ~t->seen_ad;

	if (late)
		ept_stat_add(&me->stats.late_bits, 1);
	if (t->frozen)
		thaw(me, &g->thaw[t->frozen - 1], t->level, late);
	else if (late)
		add_ad(me->ept, t->gfn, t->level, late);
}

void ept_sync(struct ept_gather *g)
{
	struct ept_cpu *me = g->cpu;
	struct ept *ept = me->ept;

	if (!g->owed)
		return;
	ept->ops->flush(ept->ctx, me->cpu);
	ept_stat_add(&me->stats.syncs, 1);
	ept_trace(me, EPT_EV_SYNC, g->n, PG_LEVEL_NONE);
	for (unsigned int i = 0; i < g->n; i++) {
		if (g->table[i].harvest)
			harvest(me, g, &g->table[i]);
		ept->ops->table_free(ept->ctx, me->cpu, g->table[i].table);
	}
	ept_stat_add(&me->stats.tables_freed, g->n);
	g->n = 0;
	g->frozen = 0;
	g->owed = false;
}
