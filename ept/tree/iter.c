/* SPDX-License-Identifier: MIT */
/* The iterator over slots. See ept/tree/iter.h. */
#include "ept/tree/iter.h"

struct ept_iter ept_iter(const struct ept *ept, gfn_t gfn, uint64_t frames, enum pg_level min)
{
	uint64_t space = ept->walk.space;
	struct ept_iter it = {
		.ept = ept,
		.gfn = gfn,
		.start = gfn,
		.end = gfn < space ? gfn + MIN(frames, space - gfn) : gfn,
		.min = min,
	};

	it.slot.level = ept->fmt->top;
	it.table[it.slot.level] = ept->root;
	return it;
}

static void look(struct ept_iter *it)
{
	const struct ept *ept = it->ept;
	hpa_t table = it->table[it->slot.level];

	it->gfn = fmt_base(ept->fmt, it->gfn, it->slot.level);
	it->slot.at = &table_entries(ept, table)[fmt_index(ept->fmt, it->gfn, it->slot.level)];
	it->slot.table = table_meta(ept, table);
	it->slot.entry = atomic_load_explicit(it->slot.at, memory_order_acquire);
}

/* To the next slot of this table, or of the nearest one above that has a next. */
static bool go_right(struct ept_iter *it)
{
	const struct ept_format *fmt = it->ept->fmt;

	it->gfn += ept_iter_frames(it);
	if (it->gfn >= it->end)
		return false;
	while (it->slot.level < fmt->top && fmt_index(fmt, it->gfn, it->slot.level) == 0)
		it->slot.level++;
	return true;
}

bool ept_iter_next(struct ept_iter *it)
{
	if (!it->begun) {
		it->begun = true;
		if (it->gfn >= it->end)
			return false;
	} else if (it->slot.level > it->min && ept_iter_kind(it) == EPT_TABLE) {
		hpa_t below = entry_child(it->ept->fmt, it->slot.entry);

		it->slot.level--;
		it->table[it->slot.level] = below;
		/* A slot that reaches beyond the range's start: what is below begins there. */
		it->gfn = MAX(it->gfn, it->start);
	} else if (!go_right(it)) {
		return false;
	}
	look(it);
	return true;
}
