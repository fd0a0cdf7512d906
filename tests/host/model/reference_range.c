/* SPDX-License-Identifier: MIT */
/* The flat reference: what is done to ranges. See tests/host/model/reference.h. */
#include "mm/err.h"
#include "tests/host/model/reference.h"

static bool any_of_kind(const struct reference *ref, gfn_t gfn, uint64_t frames, enum ept_kind kind)
{
	for (gfn_t i = gfn; i < gfn + frames; i++)
		if (ref->page[i].kind == kind)
			return true;
	return false;
}

static bool anything(const struct reference *ref, gfn_t gfn, uint64_t frames)
{
	for (gfn_t i = gfn; i < gfn + frames; i++)
		if (ref->page[i].kind != EPT_NONE)
			return true;
	return false;
}

/* EPT_BUSY, or both edges are cut. */
static int enter(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	if (any_of_kind(ref, gfn, frames, EPT_FROZEN))
		return EPT_BUSY;
	ref_cut(ref, gfn);
	ref_cut(ref, gfn + frames);
	return 0;
}

static bool grantable(const struct reference *ref, unsigned int perms)
{
	return perms & EPT_R ||
	       (perms == EPT_X && !ref->nx && ref->fmt->perms_of == ept_format_intel.perms_of);
}

int ref_protect(struct reference *ref, gfn_t gfn, uint64_t frames, unsigned int perms)
{
	int err = grantable(ref, perms) ? enter(ref, gfn, frames) : EPT_INVALID;

	for (gfn_t i = gfn; !err && i < gfn + frames; i++)
		if (ref->page[i].kind != EPT_NONE)
			ref->page[i].perms = (uint8_t)perms;
	return err;
}

static bool has_contents(const struct ref_page *p)
{
	return p->kind == EPT_PRESENT || p->kind == EPT_ABSENT;
}

static void lose(struct reference *ref, gfn_t gfn, enum ept_kind kind, bool zero)
{
	struct ref_page *p = &ref->page[gfn];

	p->cleared |= p->kind == EPT_PRESENT;
	ref->recent = true;
	p->kind = (uint8_t)kind;
	p->zero = zero;
	p->requested = false;
	p->must = 0;
	p->may = 0;
	p->tracked = p->tracked && zero;
	p->logged = p->tracked;
}

int ref_discard(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	int err = enter(ref, gfn, frames);

	for (gfn_t i = gfn; !err && i < gfn + frames; i++)
		if (has_contents(&ref->page[i]))
			lose(ref, i, EPT_ABSENT, true);
	return err;
}

int ref_poison_range(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	int err = enter(ref, gfn, frames);

	for (gfn_t i = gfn; !err && i < gfn + frames; i++)
		if (has_contents(&ref->page[i]))
			lose(ref, i, EPT_POISON, false);
	return err;
}

/* --- moving --------------------------------------------------------------------------------- */

/* The entry at `from` goes to `to`, which holds nothing and has room for all of it. */
static void carry(struct reference *ref, gfn_t from, gfn_t to, unsigned int level)
{
	ref_shrink(ref, to, level, false);
	for (uint64_t i = 0; i < fmt_frames(ref->fmt, (enum pg_level)level); i++) {
		struct ref_page *a = &ref->page[from + i], *b = &ref->page[to + i];
		uint8_t executed = b->executed;

		*b = *a;
		b->executed = executed;
		b->requested = false;
		*a = (struct ref_page){ .level = (uint8_t)level, .executed = a->executed };
	}
}

static bool fits(const struct reference *ref, gfn_t to, unsigned int level)
{
	return to % fmt_frames(ref->fmt, (enum pg_level)level) == 0 && ref->page[to].level >= level;
}

int ref_move(struct reference *ref, gfn_t from, gfn_t to, uint64_t frames)
{
	gfn_t at = from, end = from + frames;
	int err = anything(ref, to, frames) ? EPT_HERE : enter(ref, from, frames);

	if (err == EPT_BUSY) /* it looked for tables that it might have left there */
		ref_drop(ref, to, frames);
	while (!err && at < end) {
		unsigned int level = ref->page[at].level;

		if (ref->page[at].kind == EPT_NONE) {
			at = ref_span(ref, at, level).end;
		} else if (!fits(ref, to + (at - from), level)) {
			ref_shrink(ref, at, level - 1, false);
		} else {
			carry(ref, at, to + (at - from), level);
			at += fmt_frames(ref->fmt, (enum pg_level)level);
		}
	}
	if (!err)
		ref_drop(ref, from, frames);
	return err;
}

/* --- splitting, freezing -------------------------------------------------------------------- */

void ref_split_range(struct reference *ref, gfn_t gfn, uint64_t frames, enum pg_level level,
		     struct ept_split_result *result)
{
	*result = (struct ept_split_result){ 0 };
	for (gfn_t at = gfn; at < gfn + frames;) {
		unsigned int was = ref->page[at].level;
		int err = ref_split(ref, at, level);

		result->split += was - ref->page[at].level;
		if (err)
			result->refused[ept_nr((enum ept_refusal)err)]++;
		at = ref_span(ref, at, MAX((unsigned int)ref->page[at].level, level)).end;
	}
}

int ref_freeze(struct reference *ref, gfn_t gfn, enum pg_level level)
{
	uint64_t n = fmt_frames(ref->fmt, level);
	const struct ref_page *p = &ref->page[gfn];

	if (gfn % n)
		return EPT_INVALID;
	if (p->level < level)
		return EPT_SMALLER;
	switch (p->kind) {
	case EPT_NONE:
		return EPT_UNMAPPED;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_PRESENT:
		break;
	default:
		return EPT_NOT_HERE;
	}
	ref_shrink(ref, gfn, level, false);
	for (uint64_t i = 0; i < n; i++)
		ref->page[gfn + i].kind = EPT_FROZEN;
	return 0;
}

bool ref_thaw(struct reference *ref, gfn_t gfn, enum pg_level level, uint64_t frame)
{
	for (uint64_t i = 0; i < fmt_frames(ref->fmt, level); i++) {
		struct ref_page *p = &ref->page[gfn + i];

		p->kind = EPT_PRESENT;
		if (p->frame != frame + (i << PAGE_SHIFT))
			p->cow = false;
		p->frame = frame + (i << PAGE_SHIFT);
	}
	return ref_complete(ref, gfn, level);
}

/* --- cloning -------------------------------------------------------------------------------- */

static void copy_entry(struct reference *ref, struct reference *clone, gfn_t gfn,
		       unsigned int level, bool private)
{
	ref_shrink(clone, gfn, level, false);
	for (uint64_t i = 0; i < fmt_frames(ref->fmt, (enum pg_level)level); i++) {
		struct ref_page *a = &ref->page[gfn + i], *b = &clone->page[gfn + i];
		uint8_t executed = b->executed;

		if (private && a->kind == EPT_PRESENT)
			a->cow = true;
		*b = *a;
		b->executed = executed;
		b->cow = private || a->kind == EPT_ABSENT;
		b->requested = b->tracked = b->logged = b->unreliable = b->cleared = false;
		b->must = b->may = 0;
	}
}

/* What stands in the way of an entry's copy, beside its size. */
static int uncopied(const struct ref_page *p, bool private)
{
	if (p->kind == EPT_FROZEN)
		return EPT_BUSY;
	return p->cow && !private ? EPT_FOREIGN : 0;
}

int ref_clone(struct reference *ref, struct reference *clone, gfn_t gfn, uint64_t frames,
	      bool private)
{
	gfn_t at = gfn, end = gfn + frames;
	int err = anything(clone, gfn, frames) ? EPT_HERE : 0;

	while (!err && at < end) {
		const struct ref_page *p = &ref->page[at];
		struct span s = ref_span(ref, at, p->level);
		bool whole = s.start >= gfn && s.end <= end;

		if (p->kind == EPT_NONE) {
			at = s.end;
			continue;
		}
		err = whole ? uncopied(p, private) : p->kind == EPT_FROZEN ? EPT_BUSY : 0;
		if (err)
			break;
		if (whole && clone->page[at].level >= p->level) {
			copy_entry(ref, clone, at, p->level, private);
			at = s.end;
			continue;
		}
		if (whole && private && p->kind == EPT_PRESENT)
			for (gfn_t i = s.start; i < s.end; i++)
				ref->page[i].cow = true;
		ref_shrink(ref, at, p->level - 1u, false);
	}
	/* Nothing of it stays; what was marked in the original does. */
	if (err && err != EPT_HERE)
		(void)ref_unmap(clone, gfn, frames);
	return err;
}
