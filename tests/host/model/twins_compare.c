/* SPDX-License-Identifier: MIT */
/* The twins, compared. See tests/host/model/twins.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/host/model/twins.h"

void twins_fail(struct twins *t, const char *fmt, ...)
{
	va_list ap;

	if (t->fault[0])
		return;
	va_start(ap, fmt);
	vsnprintf(t->fault, sizeof(t->fault), fmt, ap);
	va_end(ap);
}

void twins_tell(const struct twins *t, const char *what)
{
	uint64_t n = MIN(t->done, (uint64_t)TWIN_KEPT);
	char buf[160];

	printf("# %s, step %lu: %s\n", what, (unsigned long)t->done, t->fault);
	for (uint64_t i = t->done - n; i < t->done; i++) {
		const struct step *s = &t->last[i % TWIN_KEPT];

		printf("#   %s perms=%u memtype=%u backing=%u fail_at=%u\n",
		       step_text(s, buf, sizeof(buf)), s->perms, s->memtype, s->backing,
		       t->last_fail_at[i % TWIN_KEPT]);
	}
}

/* --- one entry ---------------------------------------------------------------------------------
 */

/* The two states, but for the frame. */
static bool same_state(const struct ept_state *a, const struct ept_state *b)
{
	return a->kind == b->kind && a->level == b->level && a->perms == b->perms &&
	       a->memtype == b->memtype && a->requested == b->requested &&
	       a->tracked == b->tracked && a->zero == b->zero && a->cow == b->cow &&
	       a->withheld == b->withheld && a->accessed == b->accessed && a->dirty == b->dirty;
}

/* A visible entry: what its hardware reads in it, and what ept/ decodes, must be one. */
static const char *decoded_wrongly(const struct bits *b, const struct ept_state *s)
{
	if (s->kind != (b->sort == BITS_TABLE ? EPT_TABLE : EPT_PRESENT))
		return "it is decoded as another kind than hardware sees";
	if (s->frame.v != b->frame)
		return "it is decoded with another address than hardware sees";
	if (b->sort == BITS_LEAF &&
	    ((s->perms & ~s->withheld) != b->perms || s->memtype != b->memtype ||
	     s->accessed != b->accessed || s->dirty != b->dirty))
		return "it is decoded with other bits than hardware sees";
	return NULL;
}

static const char *wrong_alone(const struct twin *w, uint64_t e, unsigned int level)
{
	struct bits b = w->hw->read(e, level);
	struct ept_state s = entry_decode(w->ept.fmt, e, (enum pg_level)level);

	if (b.sort != BITS_HIDDEN) {
		const char *wrong = w->hw->wrong(e, level, TWIN_PHYS_BITS);

		return wrong ? wrong : decoded_wrongly(&b, &s);
	}
	if (!e)
		return NULL;
	if (field(e, 2, 0))
		return "it is hidden, but not from all hardware";
	/* L1TF: the address that stands there is the opposite of the frame's. */
	if (address(~e, 12) < w->backing || address(~e, 12) != s.frame.v)
		return "it is hidden, but its frame is not inverted";
	if (field(e, 63, 59) || field(e, 55, 55) || (field(e, 58, 57) && s.kind != EPT_FROZEN))
		return "it is hidden, and has bits that nobody asked for";
	return NULL;
}

static const char *wrong_pair(const struct twins *t, uint64_t intel, uint64_t amd,
			      unsigned int level)
{
	const uint64_t apart = t->amd.backing - t->intel.backing;
	struct bits i = hardware_intel.read(intel, level), a = hardware_amd.read(amd, level);

	if (i.sort != a.sort)
		return "one hardware sees what the other does not";
	/* One encoding for all: only the (inverted) frames lie apart. */
	if (i.sort == BITS_HIDDEN)
		return amd == (intel ? intel - apart : 0) ? NULL : "hidden entries differ";
	if (i.perms != a.perms)
		return "rights differ";
	if (i.accessed != a.accessed || i.dirty != a.dirty)
		return "accessed or dirty bits differ";
	if (i.sort == BITS_TABLE)
		return i.frame == a.frame ? NULL : "tables differ";
	if (i.frame + apart != a.frame)
		return "frames differ";
	return i.memtype == a.memtype ? NULL : "memory types differ";
}

static void compare_entries(struct twins *t, uint64_t intel, uint64_t amd, unsigned int level)
{
	const char *wrong = wrong_alone(&t->intel, intel, level);

	wrong = wrong ? wrong : wrong_alone(&t->amd, amd, level);
	wrong = wrong ? wrong : wrong_pair(t, intel, amd, level);
	if (wrong)
		twins_fail(t, "level %u, Intel %016lx, AMD %016lx: %s", level, (unsigned long)intel,
			   (unsigned long)amd, wrong);
}

/* --- everything --------------------------------------------------------------------------------
 */

static const uint64_t *words(const struct twin *w, unsigned int table)
{
	return frame_virt(&w->pool, hpa(WORLD_TABLES + (uint64_t)table * PAGE_SIZE));
}

/* Level of a table page's entries; 0: it is free. */
static uint8_t level_of(const struct twin *w, unsigned int table)
{
	const struct frame *f = &w->pool.frames[table];

	return f->state == FRAME_USED ? ((const struct ept_table *)&f->owner)->level : 0;
}

static void compare_table(struct twins *t, unsigned int table)
{
	const uint64_t *intel = words(&t->intel, table), *amd = words(&t->amd, table);
	uint64_t *was_intel = t->intel.seen[table], *was_amd = t->amd.seen[table];
	uint8_t level = level_of(&t->intel, table);
	bool all = level != t->level[table];

	if (level != level_of(&t->amd, table))
		twins_fail(t, "table page %u: Intel's level is %u, AMD's is %u", table, level,
			   level_of(&t->amd, table));
	t->level[table] = level;
	if (!level ||
	    (!all && !memcmp(intel, was_intel, PAGE_SIZE) && !memcmp(amd, was_amd, PAGE_SIZE)))
		return;
	for (unsigned int i = 0; i < TWIN_ENTRIES; i++)
		if (all || intel[i] != was_intel[i] || amd[i] != was_amd[i])
			compare_entries(t, intel[i], amd[i], level);
	memcpy(was_intel, intel, PAGE_SIZE);
	memcpy(was_amd, amd, PAGE_SIZE);
}

static void compare_stats(struct twins *t)
{
	struct ept_stats intel, amd;

	ept_stats_sum(&t->intel.ept, &intel);
	ept_stats_sum(&t->amd.ept, &amd);
#define X(name, what)                                                                              \
	if (intel.name != amd.name)                                                                \
		twins_fail(t, #name ": Intel %ld, AMD %ld", (long)intel.name, (long)amd.name);
	EPT_STATS(X)
#undef X
}

bool twins_compare(struct twins *t)
{
	for (unsigned int i = 0; i < t->ntables && !t->fault[0]; i++)
		compare_table(t, i);
	compare_stats(t);
	return !t->fault[0];
}

bool twins_compare_range(struct twins *t, gfn_t gfn, uint64_t frames)
{
	const uint64_t apart = t->amd.backing - t->intel.backing;
	struct ept_census intel, amd;

	ept_census(&t->intel.ept, gfn, frames, &intel);
	ept_census(&t->amd.ept, gfn, frames, &amd);
	if (memcmp(&intel, &amd, sizeof(amd)))
		twins_fail(t, "the censuses of %lu frames from %lu differ", (unsigned long)frames,
			   (unsigned long)gfn);
	for (gfn_t i = gfn; i < gfn + frames; i += 1 + frames / 64) {
		struct ept_state si = ept_lookup(&t->intel.ept, i);
		struct ept_state sa = ept_lookup(&t->amd.ept, i);
		uint64_t frame = si.kind == EPT_NONE ? 0 : si.frame.v + apart;

		if (!same_state(&si, &sa) || sa.frame.v != frame)
			twins_fail(t, "the lookups of %lu differ: %s at level %d, %s at level %d",
				   (unsigned long)i, entry_kind_name(si.kind), si.level,
				   entry_kind_name(sa.kind), sa.level);
	}
	return !t->fault[0];
}

bool twins_check(struct twins *t)
{
	gfn_t where_intel = 0, where_amd = 0;
	const char *intel, *amd;

	if (t->claimed || t->is_frozen)
		return true;
	intel = ept_check(&t->intel.ept, &where_intel);
	amd = ept_check(&t->amd.ept, &where_amd);
	if (intel || amd)
		twins_fail(t, "ept_check: Intel at %lu: %s; AMD at %lu: %s",
			   (unsigned long)where_intel, intel ? intel : "fine",
			   (unsigned long)where_amd, amd ? amd : "fine");
	return !t->fault[0];
}
