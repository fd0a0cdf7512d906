/* SPDX-License-Identifier: MIT */
/* The world's second address space: the steps that are done to it. See model/world.h. */
#include "ept/access.h"
#include "ept/range.h"
#include "ept/relocate.h"
#include "tests/host/model/world.h"

/* Where the clone's own copies lie. */
static uint64_t own_frame(const struct world *w, gfn_t gfn)
{
	uint64_t at = world_frame(w->clone.ref.page[gfn].frame) % w->half + 2 * w->half;

	return WORLD_BACKING + (at << PAGE_SHIFT);
}

bool world_allows_clone(const struct world *w, const struct step *s)
{
	const struct world_clone *c = &w->clone;
	const struct ref_page *p;

	if (!w->has_clone)
		return false;
	p = &c->ref.page[s->gfn];
	switch (s->code) {
	case STEP_CLONE:
		return !world_overlaps_claim(w, s->gfn, s->frames);
	case STEP_CLONE_TOUCH:
		return !c->waits && s->way < tlb_ways(&c->tlb, w->ref.fmt, s->gfn, s->write);
	case STEP_CLONE_COPY:
		return !c->waits && p->kind == EPT_PRESENT && p->cow && p->perms & EPT_W;
	default:
		return true;
	}
}

static void check_hit(struct world *w, gfn_t gfn, bool write, const struct tlb_access *a)
{
	const struct ref_page *p = &w->clone.ref.page[gfn];

	if (p->kind != EPT_PRESENT || a->frame != p->frame)
		world_fail(w, "the clone's page %lu was reached where it is not", (long)gfn);
	else if (write && (p->cow || !(p->perms & EPT_W)))
		world_fail(w, "the clone may not write to page %lu", (long)gfn);
	else if (w->memory[world_frame(a->frame)] != p->content)
		world_fail(w, "the clone's page %lu holds %u, not %u", (long)gfn,
			   w->memory[world_frame(a->frame)], p->content);
	else if (write)
		world_write(w, a->frame, CONTENT_GUEST);
	if (a->sets)
		ref_note(&w->clone.ref, ref_span(&w->clone.ref, gfn, p->level).start,
			 fmt_frames(w->ref.fmt, (enum pg_level)p->level), (uint8_t)a->sets);
}

void world_clone_touch(struct world *w, gfn_t gfn, unsigned int perms, unsigned int way)
{
	struct world_clone *c = &w->clone;
	const struct ref_page *p = &c->ref.page[gfn];
	struct tlb_access a;
	enum tlb_outcome o = tlb_access(&c->tlb, &c->ept, gfn, perms, way, &a);

	if (o == TLB_FAULT)
		world_fail(w, "the clone's page %lu: hardware refuses the entry", (long)gfn);
	else if (o == TLB_HIT)
		check_hit(w, gfn, perms & EPT_W, &a);
	else if (way == 0 && p->kind == EPT_PRESENT &&
		 !(perms & ~(p->perms & ~ref_withheld(&c->ref, p, false))))
		world_fail(w, "the clone's page %lu is there, but was not reached", (long)gfn);
}

static int copy(struct world *w, gfn_t gfn)
{
	struct world_clone *c = &w->clone;
	struct ept_cpu *me = ept_cpu(&c->ept, 0);
	uint64_t to = own_frame(w, gfn);
	struct ept_frozen f;
	int r = ept_resolve(me, gfn, EPT_W, &c->gather);

	if (r != EPT_FOREIGN) {
		world_fail(w, "the clone's write to a shared frame was answered by %d", r);
		return r;
	}
	r = ept_freeze(me, gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, &c->gather);
	ept_sync(&c->gather);
	if (r)
		return r;
	(void)ref_freeze(&c->ref, gfn, PG_LEVEL_4K);
	world_copy(w, f.was.frame.v, to, 1);
	if (ept_thaw(me, &f, hpa(to)) != ref_thaw(&c->ref, gfn, PG_LEVEL_4K, to))
		world_fail(w, "thaw was wrong about the clone");
	return 0;
}

static int fill(struct world *w, gfn_t gfn)
{
	struct world_clone *c = &w->clone;
	struct ept_cpu *me = ept_cpu(&c->ept, 0);
	struct ref_page *p = &c->ref.page[gfn];
	uint64_t to = own_frame(w, gfn);
	bool foreign = p->kind == EPT_ABSENT && p->cow && !p->zero, zero = p->zero;
	struct ept_claim claim;
	int r, must;

	if (foreign && ept_arrive_in_place(me, gfn) != EPT_FOREIGN)
		world_fail(w, "a page arrived in place, in a frame that is not its own");
	r = ept_fill_into(me, gfn, hpa(to), &claim);
	must = r == EPT_NO_TABLE ? r : ref_fill_special(&c->ref, gfn, PG_LEVEL_4K, true, true);

	if (r != must)
		world_fail(w, "fill_into returned %d, not %d", r, must);
	if (r)
		return r;
	if (claim.frame.v != to || !!(claim.entry & ENTRY_ZERO) != zero)
		world_fail(w, "fill_into said another frame, or other contents");
	w->memory[world_frame(to)] = zero ? CONTENT_ZERO : CONTENT_ARRIVED;
	w->aliases = true;
	p->frame = to;
	if (ept_publish(me, &claim) !=
	    ref_publish(&c->ref, gfn, PG_LEVEL_4K, zero ? CONTENT_ZERO : CONTENT_ARRIVED))
		world_fail(w, "publish was wrong about the clone");
	return 0;
}

static int clone(struct world *w, const struct step *s)
{
	struct world_clone *c = &w->clone;
	bool owed = w->gather.owed;
	int r;

	w->gather.owed = false;
	r = ept_clone(ept_cpu(&w->ept, 0), ept_cpu(&c->ept, 0), s->gfn, s->frames,
		      s->write ? EPT_PRIVATE : EPT_SHARED, &w->gather);
	if (s->write)
		c->waits |= w->gather.owed || owed;
	w->gather.owed |= owed;
	return r;
}

int world_run_clone(struct world *w, const struct step *s)
{
	struct world_clone *c = &w->clone;
	int r;

	switch (s->code) {
	case STEP_CLONE:
		return clone(w, s);
	case STEP_CLONE_UNMAP:
		r = ept_unmap(ept_cpu(&c->ept, 0), s->gfn, s->frames, &c->gather);
		ept_sync(&c->gather);
		return r;
	case STEP_CLONE_TOUCH:
		world_clone_touch(w, s->gfn, s->write ? EPT_W : EPT_R, s->way);
		return 0;
	case STEP_CLONE_COPY:
		return copy(w, s->gfn);
	default:
		return fill(w, s->gfn);
	}
}

int world_expect_clone(struct world *w, const struct step *s, int r)
{
	struct world_clone *c = &w->clone;

	if (s->code == STEP_CLONE)
		return ref_clone(&w->ref, &c->ref, s->gfn, s->frames, s->write);
	if (s->code == STEP_CLONE_UNMAP)
		return ref_unmap(&c->ref, s->gfn, s->frames);
	return r;
}

void world_verify_clone(struct world *w)
{
	struct world_clone *c = &w->clone;
	const char *wrong;
	gfn_t where;

	for (gfn_t i = 0; i < w->ref.npages; i++) {
		struct ept_state s = ept_lookup(&c->ept, i);

		wrong = ref_compare(&c->ref, i, &s, false);
		if (wrong)
			world_fail(w, "the clone's page %lu: %s", (long)i, wrong);
	}
	if (c->gather.owed)
		world_fail(w, "the clone owes a flush");
	wrong = ept_check(&c->ept, &where);
	if (wrong)
		world_fail(w, "the clone's ept_check at %lu: %s", (long)where, wrong);
}
