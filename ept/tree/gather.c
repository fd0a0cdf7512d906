/* SPDX-License-Identifier: MIT */
/*
 * What one flush pays for: tables that were unlinked and wait until no CPU, by hardware or by
 * software, can stand in them any more.
 */
#include "ept/tree/gather.h"

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
	ept_stat_add(&g->cpu->stats.tables, -1);
	g->owed = true;
	g->table[g->n++] = (struct ept_gathered){
		.table = table,
		.gfn = gfn,
		.level = (uint8_t)level,
		.seen_ad = (uint32_t)seen_ad,
		.harvest = harvest,
	};
}

uint64_t table_ad(const struct ept *ept, hpa_t table)
{
	uint64_t any = table_any(ept->fmt, table_entries(ept, table));

	return any & (ept->fmt->accessed | ept->fmt->dirty);
}

/* The entry with accessed and dirty bits, if it has a place for them. */
static uint64_t with_ad(const struct ept *ept, const struct ept_slot *s, uint64_t ad)
{
	switch (entry_kind(ept->fmt, s->entry, s->level)) {
	case EPT_PRESENT:
		return s->entry | ad;
	case EPT_FROZEN:
		return s->entry | (ad & ept->fmt->accessed ? ENTRY_ACCESSED : 0) |
		       (ad & ept->fmt->dirty ? ENTRY_DIRTY : 0);
	default:
		return s->entry;
	}
}

/* Sets accessed and dirty bits in whatever leaves map the range now, or will be back. */
static void add_ad(const struct ept *ept, gfn_t gfn, enum pg_level level, uint64_t ad)
{
	gfn_t end = gfn + fmt_frames(ept->fmt, level);

	while (gfn < end) {
		struct ept_slot s = slot_find(ept, gfn, PG_LEVEL_4K);
		uint64_t with = with_ad(ept, &s, ad);

		while (with != s.entry && !slot_swap(&s, with))
			with = with_ad(ept, &s, ad);
		table_dirtied(s.table);
		if (entry_kind(ept->fmt, s.entry, s.level) == EPT_TABLE && s.level > PG_LEVEL_4K)
			continue; /* split meanwhile: look below */
		gfn = fmt_base(ept->fmt, gfn, s.level) + fmt_frames(ept->fmt, s.level);
	}
}

/* The frozen slot is ours, but for late bits, which go with it. */
static void gather_thaw(struct ept_cpu *me, const struct ept_thaw *f, enum pg_level level,
			uint64_t late)
{
	const struct ept_format *fmt = me->ept->fmt;
	struct ept_slot s = { .at = f->slot, .table = f->table, .level = level };
	uint64_t leaf;

	s.entry = atomic_load_explicit(s.at, memory_order_relaxed);
	do {
		leaf = f->leaf | late | (s.entry & ENTRY_ACCESSED ? fmt->accessed : 0) |
		       (s.entry & ENTRY_DIRTY ? fmt->dirty : 0);
	} while (!slot_swap(&s, leaf));
	(void)leaf_counted(me, f->table, level, 1);
}

/* Until the flush a CPU could walk the old table by a cached pointer and mark its entries. */
static void harvest(struct ept_cpu *me, struct ept_gather *g, const struct ept_gathered *t)
{
	uint64_t late = table_ad(me->ept, t->table) & ~t->seen_ad;

	if (late)
		ept_stat_add(&me->stats.late_bits, 1);
	if (t->frozen)
		gather_thaw(me, &g->thaw[t->frozen - 1], (enum pg_level)t->level, late);
	else if (late)
		add_ad(me->ept, t->gfn, (enum pg_level)t->level, late);
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
