/* SPDX-License-Identifier: MIT */
/* Changing each entry of a range. See ept/ops/each.h. */
#include "ept/ops/each.h"

#include "ept/path/split.h"
#include "ept/tree/iter.h"
#include "ept/tree/limits.h"

/* What reaches across this edge becomes smaller, down to where the edge is aligned. */
static int split_edge(struct ept_cpu *me, gfn_t edge, enum ept_why why, struct ept_gather *g)
{
	const struct ept *ept = me->ept;
	enum pg_level level = ept->leaf_max;

	if (edge == fmt_space(ept->fmt))
		return 0;
	while (level > PG_LEVEL_4K && !IS_ALIGNED(edge, fmt_frames(ept->fmt, level)))
		level--;
	return split_anything(me, edge, level, why, g);
}

static int split_edges(struct ept_cpu *me, gfn_t gfn, gfn_t end, enum ept_why why,
		       struct ept_gather *g)
{
	int err = split_edge(me, gfn, why, g);

	return err ? err : split_edge(me, end, why, g);
}

static bool anything_frozen(const struct ept *ept, gfn_t gfn, uint64_t frames)
{
	struct ept_iter it = ept_iter(ept, gfn, frames, PG_LEVEL_4K);

	while (ept_iter_next(&it))
		if (ept_iter_kind(&it) == EPT_FROZEN)
			return true;
	return false;
}

int change_each(struct ept_cpu *me, gfn_t gfn, uint64_t frames, const struct change *c,
		struct ept_gather *g)
{
	const struct ept_format *fmt = me->ept->fmt;
	gfn_t at = gfn, end = gfn + frames;
	int err;

	if (!gfn_range_ok(me->ept, gfn, frames))
		return EPT_INVALID;
	if (anything_frozen(me->ept, gfn, frames))
		return EPT_BUSY;
	err = split_edges(me, gfn, end, c->why, g);
	while (!err && at < end) {
		struct ept_slot s = slot_find(me->ept, at, PG_LEVEL_4K);
		gfn_t from = fmt_base(fmt, at, s.level), to = from + fmt_frames(fmt, s.level);

		/* Another CPU may have collapsed the pieces at an edge again. */
		if (s.entry && (from < gfn || to > end)) {
			err = split_edges(me, gfn, end, c->why, g);
			continue;
		}
		err = s.entry ? c->slot(me, &s, from, c, g) : 0;
		if (!err)
			at = to;
		else if (err == EPT_LOOK_AGAIN)
			err = 0;
	}
	return err;
}
