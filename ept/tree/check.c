/* SPDX-License-Identifier: MIT */
/* The checker: what must hold while nobody changes anything. */
#include "ept/tree/iter.h"

struct tally {
	int64_t pages[PG_LEVEL_MAX];
	int64_t tables;
};

static const char *check_table(const struct ept *ept, hpa_t table, enum pg_level level)
{
	const struct ept_table *meta = table_meta(ept, table);
	const _Atomic uint64_t *at = table_entries(ept, table);
	unsigned int present = 0;
	bool empty = true;

	for (unsigned int i = 0; i < fmt_entries(ept->fmt); i++) {
		present += entry_kind(ept->fmt, at[i], level) == EPT_PRESENT;
		empty &= !at[i];
	}
	if (empty && table.v != ept->root.v)
		return "a table that maps nothing is linked";
	if (frame_of(ept->pool, table)->state != FRAME_USED)
		return "a table's frame is not allocated";
	if (meta->present != present)
		return "a table's counter of present entries is wrong";
	if (meta->lock)
		return "a table is locked";
	if (meta->dead)
		return "a linked table is marked dead";
	if (meta->level != level)
		return "a table stands at a level that it was not made for";
	return NULL;
}

static const char *check_leaf(const struct ept *ept, const struct ept_state *s)
{
	if (!fmt_may_be_leaf(ept->fmt, s->level))
		return "a leaf stands at a level that has none";
	if (s->level > ept->leaf_max)
		return "a leaf is larger than allowed";
	if (!IS_ALIGNED(s->frame.v, fmt_bytes(ept->fmt, s->level)))
		return "a leaf's frame is not aligned to its level";
	if (s->perms & EPT_W && !(s->perms & EPT_R))
		return "a leaf is writable but not readable";
	if (s->tracked && atomic_load_explicit(&ept->track, memory_order_relaxed) == EPT_TRACK_NOT)
		return "a mark is left though nothing is tracked";
	return NULL;
}

static const char *check_slot(const struct ept *ept, const struct ept_iter *it, struct tally *tally)
{
	enum pg_level level = it->slot.level;
	struct ept_state s = entry_decode(ept->fmt, it->slot.entry, level);

	switch (s.kind) {
	case EPT_NONE:
		return it->slot.entry ? "an entry that maps nothing is not zero" : NULL;
	case EPT_TABLE:
		if (level == PG_LEVEL_4K)
			return "a table is linked below the lowest level";
		tally->tables++;
		return check_table(ept, s.frame, (enum pg_level)(level - 1));
	case EPT_PRESENT:
		tally->pages[level]++;
		return check_leaf(ept, &s);
	case EPT_POISON:
		if (s.tracked)
			return "what is lost is marked as tracked";
		return check_leaf(ept, &s);
	case EPT_ABSENT:
		return check_leaf(ept, &s);
	case EPT_FILLING:
		return "an entry is being filled";
	case EPT_FROZEN:
		return "an entry is frozen";
	default:
		return "an entry of no known kind";
	}
}

static const char *check_counters(const struct ept *ept, const struct tally *tally)
{
	struct ept_stats sum;

	ept_stats_sum(ept, &sum);
	if (sum.pages_4k != tally->pages[PG_LEVEL_4K])
		return "pages_4k differs from what is mapped";
	if (sum.pages_2m != tally->pages[PG_LEVEL_2M])
		return "pages_2m differs from what is mapped";
	if (sum.pages_1g != tally->pages[PG_LEVEL_1G])
		return "pages_1g differs from what is mapped";
	if (sum.tables != tally->tables)
		return "the number of tables differs from those linked";
	return NULL;
}

const char *ept_check(const struct ept *ept, gfn_t *where)
{
	struct ept_iter it = ept_iter(ept, 0, fmt_space(ept->fmt), PG_LEVEL_4K);
	struct tally tally = { .tables = 1 };
	const char *wrong;

	*where = 0;
	wrong = check_table(ept, ept->root, ept->fmt->top);
	while (!wrong && ept_iter_next(&it)) {
		*where = it.gfn;
		wrong = check_slot(ept, &it, &tally);
	}
	return wrong ? wrong : check_counters(ept, &tally);
}
