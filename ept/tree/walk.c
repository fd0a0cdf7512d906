/* SPDX-License-Identifier: MIT */
/* Looking: what maps a page, how, and how much of what there is. */
#include "ept/tree/iter.h"
#include "ept/tree/limits.h"

struct ept_state ept_lookup(const struct ept *ept, gfn_t gfn)
{
	struct ept_slot s;

	if (!gfn_range_ok(ept, gfn, 1))
		return (struct ept_state){ .kind = EPT_NONE, .level = ept->fmt->top };
	s = slot_find(ept, gfn, PG_LEVEL_4K);
	return entry_decode(ept->fmt, s.entry, s.level);
}

bool ept_page(const struct ept *ept, gfn_t gfn, hpa_t *frame)
{
	uint64_t inside;
	struct ept_slot s;

	if (!gfn_range_ok(ept, gfn, 1))
		return false;
	s = slot_find(ept, gfn, PG_LEVEL_4K);
	if (entry_kind(ept->fmt, s.entry, s.level) != EPT_PRESENT)
		return false;
	inside = gfn & (fmt_frames(ept->fmt, s.level) - 1);
	*frame = hpa((s.entry & fmt_leaf_addr(ept->fmt, s.level)) + (inside << PAGE_SHIFT));
	return true;
}

unsigned int ept_filled(const struct ept *ept, gfn_t gfn, enum pg_level *level)
{
	struct ept_slot s;

	*level = ept->fmt->top;
	if (!gfn_range_ok(ept, gfn, 1))
		return 0;
	s = slot_find(ept, gfn, PG_LEVEL_2M);
	*level = s.level;
	switch (entry_kind(ept->fmt, s.entry, s.level)) {
	case EPT_PRESENT:
		return (unsigned int)fmt_frames(ept->fmt, PG_LEVEL_2M);
	case EPT_TABLE:
		*level = PG_LEVEL_4K;
		return atomic_load_explicit(
			&table_meta(ept, entry_child(ept->fmt, s.entry))->present,
			memory_order_relaxed);
	default:
		return 0;
	}
}

bool ept_awaited(const struct ept *ept, gfn_t gfn)
{
	enum ept_kind kind;
	struct ept_slot s;

	if (!gfn_range_ok(ept, gfn, 1))
		return false;
	s = slot_find(ept, gfn, PG_LEVEL_4K);
	kind = entry_kind(ept->fmt, s.entry, s.level);
	return kind == EPT_FILLING || kind == EPT_FROZEN ||
	       (kind == EPT_ABSENT && s.entry & ENTRY_REQUESTED);
}

void ept_path(const struct ept *ept, gfn_t gfn, uint64_t path[PG_LEVEL_MAX])
{
	for (int level = 0; level < PG_LEVEL_MAX; level++)
		path[level] = 0;
	if (!gfn_range_ok(ept, gfn, 1))
		return;
	for (enum pg_level level = ept->fmt->top; level >= PG_LEVEL_4K; level--) {
		struct ept_slot s = slot_find(ept, gfn, level);

		if (s.level != level)
			break;
		path[level] = s.entry;
	}
}

void ept_census(const struct ept *ept, gfn_t gfn, uint64_t frames, struct ept_census *census)
{
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_4K);

	*census = (struct ept_census){ 0 };
	while (ept_iter_next(&it))
		census->kind[ept_iter_kind(&it)][it.slot.level]++;
}

gfn_t ept_census_some(const struct ept *ept, gfn_t gfn, gfn_t end, unsigned int max,
		      struct ept_census *census)
{
	gfn_t last = MIN(end, ept->walk.space);

	while (gfn < last && max--) {
		struct ept_slot s = slot_find(ept, gfn, PG_LEVEL_4K);

		census->kind[entry_kind(ept->fmt, s.entry, s.level)][s.level]++;
		gfn = fmt_base(ept->fmt, gfn, s.level) + fmt_frames(ept->fmt, s.level);
	}
	return gfn < last ? gfn : end;
}

void ept_stats_sum(const struct ept *ept, struct ept_stats *sum)
{
	*sum = (struct ept_stats){ 0 };
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		const struct ept_counters *s = &ept->cpu[i].stats;

#define X(name, what) sum->name += atomic_load_explicit(&s->name, memory_order_relaxed);
		EPT_STATS(X)
#undef X
		for (unsigned int nr = 0; nr < EPT_REFUSALS_N; nr++)
			sum->refused[nr] +=
				atomic_load_explicit(&s->refused[nr], memory_order_relaxed);
	}
}
