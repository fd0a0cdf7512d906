/* SPDX-License-Identifier: MIT */
/* The flat reference: dirty tracking, and what accesses need. See tests/host/model/reference.h. */
#include "mm/err.h"
#include "tests/host/model/reference.h"

/* Part of an entry is not marked otherwise than the rest. */
static void cut(struct reference *ref, gfn_t gfn, gfn_t from, gfn_t end, bool on)
{
	struct ref_page *p = &ref->page[gfn];

	while (p->tracked != on && p->level > PG_LEVEL_4K) {
		struct span s = ref_span(ref, gfn, p->level);

		if (s.start >= from && s.end <= end)
			break;
		ref_shrink(ref, gfn, p->level - 1u, false);
	}
}

/* A mark is on an entry: what is absent gets it in the size that it has. */
static void mark(struct reference *ref, gfn_t gfn, bool on)
{
	struct span s = ref_span(ref, gfn, ref->page[gfn].level);

	ref->recent = true;
	for (gfn_t i = s.start; i < s.end; i++) {
		struct ref_page *p = &ref->page[i];

		p->unreliable = on && p->kind == EPT_PRESENT && (p->unreliable || !p->tracked);
		p->tracked = on;
		p->logged = on && p->logged;
	}
}

int ref_track(struct reference *ref, gfn_t gfn, uint64_t frames, bool on)
{
	for (gfn_t i = gfn; i < gfn + frames; i = ref_span(ref, i, ref->page[i].level).end) {
		const struct ref_page *p = &ref->page[i];

		if (p->kind == EPT_FROZEN)
			return EPT_BUSY;
		if (on && p->kind == EPT_PRESENT)
			ref_shrink(ref, i, PG_LEVEL_4K, false);
		if (p->kind == EPT_PRESENT || p->kind == EPT_ABSENT) {
			cut(ref, i, gfn, gfn + frames, on);
			mark(ref, i, on);
		}
	}
	return 0;
}

bool ref_tracked(const struct reference *ref)
{
	for (gfn_t i = 0; i < ref->npages; i++)
		if (ref->page[i].tracked)
			return true;
	return false;
}

static bool was_leaf(const struct ref_page *p)
{
	return p->kind == EPT_PRESENT || p->kind == EPT_FROZEN;
}

static bool reportable(const struct ref_page *p)
{
	return p->tracked && (was_leaf(p) || (p->kind == EPT_ABSENT && p->zero));
}

/* One entry, of which the pages of [gfn, end) were asked for. */
static const char *collect_entry(struct reference *ref, struct span s, gfn_t gfn, gfn_t end,
				 const bool *reported, bool exact)
{
	/* What is frozen stays dirty, as what reaches out of the range does. */
	bool whole = s.start >= gfn && s.end <= end && ref->page[s.start].kind != EPT_FROZEN;

	for (gfn_t i = MAX(s.start, gfn); i < MIN(s.end, end); i++) {
		struct ref_page *p = &ref->page[i];

		if (reported[i - gfn] != reported[MAX(s.start, gfn) - gfn])
			return "a collection tells pages of one entry apart";
		if (reported[i - gfn]) {
			if (!reportable(p) || (was_leaf(p) && !(p->may & REF_DIRTY)))
				return "a page was reported that is clean";
			p->logged = was_leaf(p) && !whole && p->logged;
		} else if (reportable(p) && (p->logged || (exact && p->must & REF_DIRTY))) {
			return "a written page was not reported";
		}
	}
	for (gfn_t i = s.start; i < s.end && whole && reported[s.start - gfn]; i++) {
		struct ref_page *p = &ref->page[i];

		p->cleared |= p->kind == EPT_PRESENT;
		ref->recent = true;
		p->must &= (uint8_t)~REF_DIRTY;
		p->may &= (uint8_t)~REF_DIRTY;
	}
	return NULL;
}

const char *ref_collect(struct reference *ref, gfn_t gfn, uint64_t frames, const bool *reported,
			bool exact)
{
	const char *wrong = NULL;

	for (gfn_t i = gfn; i < gfn + frames && !wrong;) {
		struct span s = ref_span(ref, i, ref->page[i].level);

		wrong = collect_entry(ref, s, gfn, gfn + frames, reported, exact);
		i = s.end;
	}
	return wrong;
}

static int not_here(const struct ref_page *p)
{
	switch (p->kind) {
	case EPT_NONE:
		return EPT_UNMAPPED;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_PRESENT:
		return 0;
	default:
		return EPT_NOT_HERE;
	}
}

int ref_resolve(struct reference *ref, gfn_t gfn, unsigned int access, bool dirty)
{
	struct ref_page *p = &ref->page[gfn];
	int err = not_here(p);

	if (err)
		return err;
	if (access & ~(unsigned int)p->perms)
		return EPT_FORBIDDEN;
	if (access & ref_withheld(ref, p, dirty) & EPT_X)
		ref_shrink(ref, gfn, PG_LEVEL_4K, true);
	if (!(access & ref_withheld(ref, p, dirty) & EPT_W))
		return 0;
	if (p->cow)
		return EPT_FOREIGN;
	ref_shrink(ref, gfn, PG_LEVEL_4K, false);
	p->must |= REF_ACCESSED | REF_DIRTY;
	p->may |= REF_ACCESSED | REF_DIRTY;
	return 0;
}

int ref_reach(struct reference *ref, gfn_t gfn, unsigned int access, bool dirty)
{
	struct ref_page *p = &ref->page[gfn];
	uint8_t bits = REF_ACCESSED | (access & EPT_W ? REF_DIRTY : 0);
	int err = ref_resolve(ref, gfn, access, dirty);

	if (err == EPT_NOT_HERE && p->kind == EPT_ABSENT && p->zero)
		return EPT_DISCARDED;
	if (err)
		return err;
	p->must |= bits;
	p->logged |= p->tracked && access & EPT_W;
	ref_note(ref, ref_span(ref, gfn, p->level).start,
		 fmt_frames(ref->fmt, (enum pg_level)p->level), bits);
	return 0;
}

unsigned int ref_recover_nx(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	unsigned int n = 0;

	for (unsigned int level = PG_LEVEL_2M; level <= ref->leaf_max; level++) {
		uint64_t size = fmt_frames(ref->fmt, (enum pg_level)level);
		/* The larger ones may begin before the range, where it begins inside of them. */
		gfn_t at = level == PG_LEVEL_2M ? ALIGN_UP(gfn, size) : ALIGN_DOWN(gfn, size);

		for (; at + size <= gfn + frames; at += size)
			if (ref->page[at].executed >> level & 1)
				n += ref_collapse_slot(ref, at, level, true) == 1;
	}
	return n;
}

void ref_flushed(struct reference *ref)
{
	for (gfn_t i = 0; ref->recent && i < ref->npages; i++) {
		ref->page[i].unreliable = false;
		ref->page[i].cleared = false;
	}
	ref->recent = false;
}
