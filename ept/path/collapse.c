/* SPDX-License-Identifier: MIT */
/*
 * Collapse: a table of present entries that map one contiguous, aligned piece becomes a leaf, by
 * one compare-and-swap on the slot that points to it. The range is mapped throughout: x86 needs no
 * break-before-make where translation and rights stay the same (SDM vol. 3C, "Guidelines for Use of
 * the INVEPT Instruction"; vol. 3A, "Recommended Invalidation", on changing page sizes).
 *
 * Whether to try is known in O(1), from the table's counter. The 512 entries are read once, to
 * verify them and to gather accessed and dirty bits.
 */
#include "ept/tree/gather.h"
#include "ept/tree/limits.h"

/* Why a table cannot collapse, by the first entry that stands in the way. */
static int refusal(const struct ept *ept, hpa_t table, enum pg_level below)
{
	const _Atomic uint64_t *at = table_entries(ept, table);

	for (unsigned int i = 0; i < fmt_entries(ept->fmt); i++) {
		uint64_t e = atomic_load_explicit(&at[i], memory_order_relaxed);

		switch (entry_kind(ept->fmt, e, below)) {
		case EPT_PRESENT:
			break;
		case EPT_POISON:
			return EPT_LOST;
		case EPT_FILLING:
		case EPT_FROZEN:
			return EPT_BUSY;
		case EPT_TABLE:
			return EPT_SMALLER;
		default:
			return EPT_HOLE;
		}
	}
	return EPT_BUSY; /* it became complete while we looked */
}

/* Of something smaller that stands in the way, the reason is counted where that was looked at. */
static int count_refusal(struct ept_cpu *me, gfn_t gfn, enum pg_level level, int refusal)
{
	unsigned int nr = ept_nr((enum ept_refusal)refusal);

	if (refusal == EPT_SMALLER)
		return refusal;
	ept_stat_add(&me->stats.refused[nr], 1);
	ept_trace(me, EPT_EV_REFUSED + nr, gfn, level);
	return refusal;
}

/* What comes of a table that collapses. */
struct merged {
	uint64_t leaf;
	uint64_t ad;           /* accessed and dirty bits that were taken along */
	struct ept_state what; /* the leaf, decoded */
	bool freeze;           /* the guest may do less with it than with the pieces */
};

/*
 * The leaf that says what the table says. All entries are PRESENT, and only hardware may change
 * them. Returns 1, or why there is no such leaf.
 */
static int collapse_merge(const struct ept *ept, hpa_t table, enum pg_level level, struct merged *m)
{
	const struct ept_format *fmt = ept->fmt;
	const uint64_t ad_mask = fmt->accessed | fmt->dirty;
	const _Atomic uint64_t *at = table_entries(ept, table);
	enum pg_level below = level_below(level);
	uint64_t first = entry_peek(at);
	struct ept_state s = entry_decode(fmt, first, below);
	uint64_t differs, any;

	if (!IS_ALIGNED(s.frame.v, fmt_bytes(fmt, level)))
		return EPT_SCATTERED;
	differs = table_differs(fmt, at, first, fmt_bytes(fmt, below));
	if (differs & fmt_leaf_addr(fmt, below))
		return EPT_SCATTERED;
	if (differs & ~ad_mask || s.tracked)
		return EPT_MIXED;
	any = first | differs; /* where all are alike, they are as the first one is */
	m->ad = any & ad_mask;
	s.level = level;
	s.accessed = any & fmt->accessed;
	s.dirty = any & fmt->dirty;
	m->freeze = withheld_of(ept, &s) & ~s.withheld;
	m->leaf = leaf_encode(ept, s);
	m->what = s;
	return 1;
}

/* The slot's table is no longer linked. Hardware may set the slot's own accessed bit meanwhile:
 * s->entry is the slot as it was at last. */
static void unlink_table(struct ept_cpu *me, struct ept_slot *s, struct ept_table *child,
			 uint64_t entry)
{
	atomic_store_explicit(&child->dead, 1, memory_order_relaxed);
	while (!slot_swap(s, entry))
		cpu_relax();
	pieces_counted(me, level_below(s->level), -1);
	ept_stat_add(&me->stats.collapses, 1);
}

/* The table becomes a leaf: at once, or after the flush, where size and rights change together. */
static bool replace(struct ept_cpu *me, struct ept_slot *s, struct ept_table *child,
		    struct merged *m)
{
	const struct ept_format *fmt = me->ept->fmt;

	if (m->freeze) {
		m->what.kind = EPT_FROZEN;
		unlink_table(me, s, child, entry_encode(fmt, &m->what));
		return false;
	}
	unlink_table(me, s, child, m->leaf);
	return leaf_counted(me, s->table, s->level, 1) == fmt_entries(fmt);
}

/*
 * Can a CPU still walk the table that was taken out of the slot, by a pointer that it remembers? It
 * remembers none but of an entry that it has marked as accessed (SDM vol. 3C, "Caching Translation
 * Information"), and where hardware marks no entries, it marks none late. A collection of dirty
 * pages clears such marks.
 */
static bool walked(const struct ept *ept, const struct ept_slot *s, const struct ept_table *child)
{
	return s->entry & ept->fmt->accessed || table_why(child) & EPT_WHY_DIRTY;
}

/* With the slot's table locked: locks the child, verifies, replaces. `undo`: only what is small for
 * this reason, which holds no longer; 0: whatever can be. Returns how many tables went away, or the
 * refusal. */
static int collapse_locked(struct ept_cpu *me, struct ept_slot *s, gfn_t gfn, unsigned int undo,
			   struct ept_gather *g, bool *parent_full)
{
	const struct ept *ept = me->ept;
	hpa_t table = entry_child(ept->fmt, s->entry);
	struct ept_table *child = table_meta(ept, table);
	struct merged m;
	int r;

	table_lock(child);
	if (!table_complete(ept, child))
		r = refusal(ept, table, level_below(s->level));
	else if (undo && !(table_why(child) & undo))
		r = 0;
	else if (table_why(child) & EPT_WHY_NX & ~undo)
		r = EPT_EXECUTED;
	else
		r = collapse_merge(ept, table, s->level, &m);
	if (r > 0) {
		*parent_full = replace(me, s, child, &m);
		gather_table(g, table, gfn, s->level, m.ad, m.freeze || walked(ept, s, child));
		if (m.freeze)
			gather_frozen(g, s, m.leaf);
	}
	table_unlock(child);
	return r;
}

/* Returns 1 if the slot's table went away, 0 if there is none, or the refusal. */
static int collapse_slot(struct ept_cpu *me, gfn_t gfn, enum pg_level level, unsigned int undo,
			 struct ept_gather *g, bool *parent_full)
{
	struct ept *ept = me->ept;
	struct ept_slot s;
	int r;

	*parent_full = false;
	/* This may flush, which lets others free what they unlinked: stand in no table yet. */
	gather_make_room(g);
	s = slot_find(ept, gfn, level);
	if (s.level != level || entry_kind(ept->fmt, s.entry, level) != EPT_TABLE)
		return 0;
	if (!slot_lock(ept, &s, EPT_TABLE))
		return count_refusal(me, gfn, level, EPT_BUSY);
	r = collapse_locked(me, &s, gfn, undo, g, parent_full);
	slot_unlock(&s);
	if (r > 0)
		ept_trace(me, EPT_EV_COLLAPSE, gfn, level);
	return r < 0 ? count_refusal(me, gfn, level, r) : r;
}

/* Accesses wait for what is frozen: not longer than it takes to come here. Returns whether the
 * table of this slot is full then. */
static bool thaw_now(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_gather *g,
		     bool full)
{
	struct ept_slot s;

	if (!g->frozen)
		return full;
	ept_sync(g);
	s = slot_find(me->ept, gfn, level);
	return s.level == level && atomic_load_explicit(&s.table->present, memory_order_acquire) ==
					   fmt_entries(me->ept->fmt);
}

/* All tables below one slot, from the smallest up. Stops a level at the first refusal. */
static int collapse_below(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_gather *g,
			  bool *parent_full)
{
	const struct ept_format *fmt = me->ept->fmt;
	gfn_t end = gfn + fmt_frames(fmt, level);
	int n = 0;

	for (enum pg_level l = PG_LEVEL_2M; l <= level; l++) {
		int err = 0;

		for (gfn_t at = gfn; at < end; at += fmt_frames(fmt, l)) {
			int r = collapse_slot(me, at, l, 0, g, parent_full);

			n += MAX(r, 0);
			err = r < 0 && !err ? r : err;
		}
		*parent_full = thaw_now(me, gfn, level, g, *parent_full);
		if (err)
			return err;
	}
	return n;
}

int ept_collapse(struct ept_cpu *me, gfn_t gfn, enum pg_level level, struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	bool full;
	int n;

	if (level < PG_LEVEL_2M || level > ept->leaf_max || !gfn_range_ok(ept, gfn, 1))
		return count_refusal(me, gfn, level, EPT_INVALID);
	n = collapse_below(me, fmt_base(ept->fmt, gfn, level), level, g, &full);
	if (n == EPT_SMALLER) /* somebody split it meanwhile */
		return EPT_BUSY;
	while (n > 0 && full && level < ept->leaf_max) {
		int r;

		level++;
		r = collapse_slot(me, fmt_base(ept->fmt, gfn, level), level, 0, g, &full);
		full = thaw_now(me, gfn, level, g, full);
		if (r <= 0)
			break;
		n += r;
	}
	return n;
}

static void note(struct ept_collapse_result *result, int r)
{
	if (r >= 0)
		result->collapsed += (unsigned int)r;
	else if (r != EPT_SMALLER)
		result->refused[ept_nr((enum ept_refusal)r)]++;
}

/* Collapses the tables of one level in [from, end), and looks at no more than `budget` slots;
 * returns where to go on. */
static gfn_t collapse_level(struct ept_cpu *me, gfn_t from, gfn_t end, enum pg_level level,
			    unsigned int undo, unsigned int budget, struct ept_gather *g,
			    struct ept_collapse_result *result)
{
	struct ept *ept = me->ept;
	uint64_t size = fmt_frames(ept->fmt, level);
	gfn_t at = ALIGN_UP(from, size);

	while (at < end && end - at >= size && budget--) {
		struct ept_slot s = slot_find(ept, at, level);
		bool full;

		if (s.level == level)
			note(result, collapse_slot(me, at, level, undo, g, &full));
		/* Nothing smaller lies under a larger entry: step over it whole. */
		at = fmt_base(ept->fmt, at, s.level) + fmt_frames(ept->fmt, s.level);
	}
	(void)thaw_now(me, from, level, g, false);
	return at < end && end - at >= size ? at : end;
}

void ept_collapse_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g,
			struct ept_collapse_result *result)
{
	*result = (struct ept_collapse_result){ 0 };
	if (!gfn_range_ok(me->ept, gfn, frames))
		return;
	for (enum pg_level level = PG_LEVEL_2M; level <= me->ept->leaf_max; level++)
		(void)collapse_level(me, gfn, gfn + frames, level, 0, UINT32_MAX, g, result);
}

unsigned int ept_recover_nx(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
			    struct ept_gather *g)
{
	struct ept_collapse_result result = { 0 };
	gfn_t from = *next;

	if (from >= end || !gfn_range_ok(me->ept, from, end - from))
		return 0;
	*next = collapse_level(me, from, end, PG_LEVEL_2M, EPT_WHY_NX, budget, g, &result);
	/* Larger ones end where the small ones below them are through. */
	for (enum pg_level level = PG_LEVEL_1G; level <= me->ept->leaf_max; level++)
		(void)collapse_level(me, fmt_base(me->ept->fmt, from, level), *next, level,
				     EPT_WHY_NX, UINT32_MAX, g, &result);
	return (unsigned int)result.collapsed;
}
