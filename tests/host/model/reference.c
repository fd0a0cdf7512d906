/* SPDX-License-Identifier: MIT */
/* The flat reference model. See tests/host/model/reference.h. */
#include <string.h>

#include "mm/err.h"
#include "tests/host/model/reference.h"

struct span ref_span(const struct reference *ref, gfn_t gfn, unsigned int level)
{
	uint64_t frames = fmt_frames(ref->fmt, (enum pg_level)level);
	gfn_t start = ALIGN_DOWN(gfn, frames);

	return (struct span){ start, MIN(start + frames, ref->npages) };
}

void ref_init(struct reference *ref, const struct ept_format *fmt, enum pg_level leaf_max,
	      struct ref_page *page, uint64_t npages)
{
	*ref = (struct reference){
		.fmt = fmt, .leaf_max = leaf_max, .npages = npages, .page = page
	};
	memset(page, 0, npages * sizeof(*page));
	for (uint64_t i = 0; i < npages; i++)
		page[i].level = fmt->top;
}

void ref_shrink(struct reference *ref, gfn_t gfn, unsigned int level, bool executed)
{
	while (ref->page[gfn].level > level) {
		struct span s = ref_span(ref, gfn, ref->page[gfn].level);

		for (gfn_t i = s.start; i < s.end; i++) {
			struct ref_page *p = &ref->page[i];

			if (executed)
				p->executed |= (uint8_t)(1u << p->level);
			p->level--;
		}
	}
}

static enum pg_level fit(const struct reference *ref, gfn_t gfn, uint64_t frames, uint64_t backing)
{
	unsigned int level = ref->leaf_max;

	for (; level > PG_LEVEL_4K; level--) {
		uint64_t n = fmt_frames(ref->fmt, (enum pg_level)level);

		if (frames >= n && gfn % n == 0 && (backing >> PAGE_SHIFT) % n == 0 &&
		    ref->page[gfn].level >= level)
			break;
	}
	return (enum pg_level)level;
}

int ref_map(struct reference *ref, gfn_t gfn, uint64_t frames, uint64_t backing, unsigned int perms,
	    enum ept_memtype memtype, enum ept_kind kind)
{
	gfn_t end = gfn + frames;

	for (gfn_t i = gfn; i < end; i++)
		if (ref->page[i].kind != EPT_NONE)
			return EPT_HERE;
	while (gfn < end) {
		enum pg_level level = fit(ref, gfn, end - gfn, backing);
		uint64_t n = fmt_frames(ref->fmt, level);

		ref_shrink(ref, gfn, level, false);
		for (uint64_t i = 0; i < n; i++)
			ref->page[gfn + i] = (struct ref_page){
				.frame = backing + (i << PAGE_SHIFT),
				.kind = (uint8_t)kind,
				.level = (uint8_t)level,
				.executed = ref->page[gfn + i].executed,
				.perms = (uint8_t)perms,
				.memtype = (uint8_t)memtype,
			};
		gfn += n;
		backing += n << PAGE_SHIFT;
	}
	return 0;
}

void ref_cut(struct reference *ref, gfn_t edge)
{
	unsigned int level = ref->leaf_max;

	if (edge >= ref->npages || ref->page[edge].kind == EPT_NONE)
		return;
	while (edge % fmt_frames(ref->fmt, (enum pg_level)level))
		level--;
	ref_shrink(ref, edge, level, false);
}

static bool maps_nothing(const struct reference *ref, struct span s)
{
	for (gfn_t i = s.start; i < s.end; i++)
		if (ref->page[i].kind != EPT_NONE)
			return false;
	return true;
}

void ref_drop(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	gfn_t end = gfn + frames;

	for (unsigned int level = PG_LEVEL_2M; level <= ref->fmt->top; level++) {
		uint64_t n = fmt_frames(ref->fmt, (enum pg_level)level);

		for (gfn_t i = ALIGN_DOWN(gfn, n); i < end; i += n) {
			struct span s = ref_span(ref, i, level);

			if (!maps_nothing(ref, s))
				continue;
			for (gfn_t j = s.start; j < s.end && ref->page[j].level < level; j++) {
				ref->page[j].level = (uint8_t)level;
				ref->page[j].executed &= (uint8_t)(~0u << (level + 1));
			}
		}
	}
}

static bool anything_frozen(const struct reference *ref, gfn_t gfn, gfn_t end)
{
	for (gfn_t i = gfn; i < end; i++)
		if (ref->page[i].kind == EPT_FROZEN)
			return true;
	return false;
}

int ref_unmap(struct reference *ref, gfn_t gfn, uint64_t frames)
{
	gfn_t end = gfn + frames;

	if (anything_frozen(ref, gfn, end))
		return EPT_BUSY;
	ref_cut(ref, gfn);
	ref_cut(ref, end);
	for (gfn_t i = gfn; i < end; i++)
		ref->page[i] = (struct ref_page){ .level = ref->page[i].level,
						  .executed = ref->page[i].executed };
	ref_drop(ref, gfn, frames);
	return 0;
}

/* What a page that does not wait for its contents answers to who wants to fill it. */
static int not_absent(const struct ref_page *p)
{
	switch (p->kind) {
	case EPT_PRESENT:
		return EPT_HERE;
	case EPT_FILLING:
	case EPT_FROZEN:
		return EPT_BUSY;
	case EPT_POISON:
		return EPT_LOST;
	case EPT_NONE:
		return EPT_UNMAPPED;
	default:
		return 0;
	}
}

int ref_request(struct reference *ref, gfn_t gfn)
{
	struct ref_page *p = &ref->page[gfn];
	int err = not_absent(p);

	if (err)
		return err;
	if (p->zero)
		return EPT_DISCARDED;
	if (p->requested)
		return EPT_ASKED;
	ref_shrink(ref, gfn, PG_LEVEL_4K, false);
	p->requested = true;
	return 0;
}

int ref_fill_special(struct reference *ref, gfn_t gfn, enum pg_level level, bool zero, bool cow)
{
	const struct ref_page *p = &ref->page[gfn];
	uint64_t n = fmt_frames(ref->fmt, level);
	int err;

	if (gfn % n)
		return EPT_INVALID;
	if (p->level < level)
		return EPT_SMALLER;
	err = not_absent(p);
	if (err)
		return err;
	if (p->zero && !zero)
		return EPT_DISCARDED;
	if (p->cow && !cow)
		return EPT_FOREIGN;
	ref_shrink(ref, gfn, level, false);
	if (cow && !p->cow)
		return EPT_OWN;
	for (uint64_t i = 0; i < n; i++)
		ref->page[gfn + i].kind = EPT_FILLING;
	return 0;
}

int ref_fill(struct reference *ref, gfn_t gfn, enum pg_level level)
{
	return ref_fill_special(ref, gfn, level, false, false);
}

bool ref_complete(const struct reference *ref, gfn_t gfn, unsigned int level)
{
	struct span s;

	if (level >= ref->leaf_max)
		return false;
	s = ref_span(ref, gfn, level + 1u);
	for (gfn_t i = s.start; i < s.end; i++)
		if (ref->page[i].kind != EPT_PRESENT || ref->page[i].level != level)
			return false;
	return true;
}

bool ref_publish(struct reference *ref, gfn_t gfn, enum pg_level level, uint8_t content)
{
	for (uint64_t i = 0; i < fmt_frames(ref->fmt, level); i++) {
		struct ref_page *p = &ref->page[gfn + i];

		p->kind = EPT_PRESENT;
		p->requested = false;
		/* What was discarded has changed since it was last collected; and bits may still
		 * come late to it. */
		p->must = p->tracked && p->zero ? REF_DIRTY : 0;
		p->may = (uint8_t)(p->must | (p->zero ? p->may : 0));
		p->zero = false;
		p->cow = false;
		p->content = content;
		p->fills++;
	}
	return ref_complete(ref, gfn, level);
}

void ref_give_up(struct reference *ref, gfn_t gfn, enum pg_level level)
{
	for (uint64_t i = 0; i < fmt_frames(ref->fmt, level); i++)
		ref->page[gfn + i].kind = EPT_ABSENT;
}

int ref_split(struct reference *ref, gfn_t gfn, enum pg_level level)
{
	const struct ref_page *p = &ref->page[gfn];

	if (p->level < level)
		return 0;
	if (p->kind == EPT_NONE)
		return EPT_UNMAPPED;
	if (p->kind == EPT_POISON)
		return EPT_LOST;
	if (p->kind == EPT_FROZEN || (p->level > level && p->kind == EPT_FILLING))
		return EPT_BUSY;
	ref_shrink(ref, gfn, level, false);
	return 0;
}

/* Why the pieces of a slot, all present and of one size, cannot be one. */
static int unlike(const struct reference *ref, struct span s, unsigned int level)
{
	const struct ref_page *first = &ref->page[s.start];
	bool mixed = false;

	if (first->frame % (fmt_frames(ref->fmt, (enum pg_level)level) << PAGE_SHIFT))
		return EPT_SCATTERED;
	for (gfn_t i = s.start; i < s.end; i++) {
		const struct ref_page *p = &ref->page[i];

		if (p->frame != first->frame + ((i - s.start) << PAGE_SHIFT))
			return EPT_SCATTERED;
		mixed |= p->perms != first->perms || p->memtype != first->memtype ||
			 p->cow != first->cow || p->tracked;
	}
	return mixed ? EPT_MIXED : 0;
}

static int obstacle(const struct reference *ref, struct span s, unsigned int level, bool undo)
{
	uint64_t n = fmt_frames(ref->fmt, (enum pg_level)(level - 1));

	for (gfn_t i = s.start; i < s.end; i += n) {
		const struct ref_page *p = &ref->page[i];

		if (p->level < level - 1)
			return EPT_SMALLER; /* a smaller table stands in the way */
		if (p->kind == EPT_POISON)
			return EPT_LOST;
		if (p->kind == EPT_FILLING || p->kind == EPT_FROZEN)
			return EPT_BUSY;
		if (p->kind != EPT_PRESENT)
			return EPT_HOLE;
	}
	if (!undo && ref->page[s.start].executed >> level & 1)
		return EPT_EXECUTED;
	return unlike(ref, s, level);
}

int ref_collapse_slot(struct reference *ref, gfn_t gfn, unsigned int level, bool undo)
{
	struct span s = ref_span(ref, gfn, level);
	uint8_t may = 0;
	int err;

	if (ref->page[gfn].level >= level)
		return 0;
	err = obstacle(ref, s, level, undo);
	if (err)
		return err;
	for (gfn_t i = s.start; i < s.end; i++)
		may |= ref->page[i].may;
	for (gfn_t i = s.start; i < s.end; i++) {
		ref->page[i].may = may;
		ref->page[i].level = (uint8_t)level;
		ref->page[i].executed &= (uint8_t)(~0u << (level + 1));
	}
	return 1;
}

int ref_collapse(struct reference *ref, gfn_t gfn, enum pg_level level)
{
	struct span s = ref_span(ref, gfn, level);
	int n = 0, r;

	if (level < PG_LEVEL_2M || level > ref->leaf_max)
		return EPT_INVALID;
	for (unsigned int l = PG_LEVEL_2M; l <= level; l++) {
		int err = 0;

		for (gfn_t i = s.start; i < s.end; i += fmt_frames(ref->fmt, (enum pg_level)l)) {
			r = ref_collapse_slot(ref, i, l, false);
			n += MAX(r, 0);
			err = err ? err : MIN(r, 0);
		}
		if (err)
			return err;
	}
	while (n > 0 && level < ref->leaf_max) {
		level++;
		r = ref_collapse_slot(ref, gfn, level, false);
		if (r <= 0)
			break;
		n += r;
	}
	return n;
}

void ref_collapse_range(struct reference *ref, gfn_t gfn, uint64_t frames,
			struct ept_collapse_result *result)
{
	gfn_t end = gfn + frames;

	*result = (struct ept_collapse_result){ 0 };
	for (unsigned int level = PG_LEVEL_2M; level <= ref->leaf_max; level++) {
		uint64_t n = fmt_frames(ref->fmt, (enum pg_level)level);

		for (gfn_t i = ALIGN_UP(gfn, n); i + n <= end; i += n) {
			int r = ref_collapse_slot(ref, i, level, false);

			result->collapsed += r == 1;
			if (r < 0 && r != EPT_SMALLER)
				result->refused[ept_nr((enum ept_refusal)r)]++;
		}
	}
}

int ref_poison(struct reference *ref, gfn_t gfn)
{
	struct ref_page *p = &ref->page[gfn];
	int err = ref_split(ref, gfn, PG_LEVEL_4K);

	if (err)
		return err;
	p->kind = EPT_POISON;
	p->requested = false;
	p->zero = false;
	p->tracked = false;
	p->logged = false;
	p->must = 0;
	p->may = 0;
	return 0;
}

void ref_note(struct reference *ref, gfn_t gfn, uint64_t frames, uint8_t bits)
{
	for (uint64_t i = 0; i < frames && gfn + i < ref->npages; i++)
		if (ref->page[gfn + i].kind == EPT_PRESENT ||
		    ref->page[gfn + i].kind == EPT_FROZEN || ref->page[gfn + i].zero)
			ref->page[gfn + i].may |= bits;
}

void ref_census(const struct reference *ref, struct ept_census *census)
{
	*census = (struct ept_census){ 0 };
	for (gfn_t i = 0; i < ref->npages;) {
		const struct ref_page *p = &ref->page[i];

		census->kind[p->kind][p->level]++;
		i += fmt_frames(ref->fmt, (enum pg_level)p->level);
	}
}

unsigned int ref_withheld(const struct reference *ref, const struct ref_page *p, bool dirty)
{
	bool note = p->tracked && ref->track == EPT_TRACK_WRITES && !dirty;

	return p->perms &
	       ((note || p->cow ? EPT_W : 0u) | (ref->nx && p->level > PG_LEVEL_4K ? EPT_X : 0u));
}

/* Where hardware's dirty bit came late, writing may be withheld in vain. */
static bool withheld_wrongly(const struct reference *ref, const struct ref_page *p,
			     const struct ept_state *s)
{
	unsigned int least = ref_withheld(ref, p, s->dirty);
	unsigned int most = ref_withheld(ref, p, false);

	return s->kind == EPT_PRESENT ? (least & ~s->withheld) || (s->withheld & ~most)
				      : s->withheld != 0;
}

const char *ref_compare(const struct reference *ref, gfn_t gfn, const struct ept_state *s,
			bool exact)
{
	const struct ref_page *p = &ref->page[gfn];
	uint64_t frames = fmt_frames(ref->fmt, s->level);
	uint8_t ad = (s->accessed ? REF_ACCESSED : 0) | (s->dirty ? REF_DIRTY : 0);

	if (s->kind != p->kind)
		return "wrong kind";
	if (s->level != p->level)
		return "wrong level";
	if (s->kind == EPT_NONE)
		return NULL;
	if (s->frame.v + (gfn % frames << PAGE_SHIFT) != p->frame)
		return "wrong frame";
	if (s->perms != p->perms)
		return "wrong permissions";
	if (s->memtype != p->memtype)
		return "wrong memory type";
	if (s->requested != p->requested)
		return "wrong requested flag";
	if (s->tracked != p->tracked)
		return "wrong mark of dirty tracking";
	if (s->zero != p->zero)
		return "wrong mark of discarding";
	if (s->cow != p->cow)
		return "wrong mark of a shared frame";
	if (withheld_wrongly(ref, p, s))
		return "wrong rights withheld";
	if (ad & ~p->may)
		return "an accessed or dirty bit that nobody set";
	if (exact && p->must & ~ad)
		return "an accessed or dirty bit was lost";
	return NULL;
}
