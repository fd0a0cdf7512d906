/* SPDX-License-Identifier: MIT */
/* The world's parts: table pages, what the second stage asks of it, and the comparison. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/host/model/world.h"

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->fault[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->fault, sizeof(w->fault), fmt, ap);
	va_end(ap);
}

/* --- table pages --------------------------------------------------------------------------- */

static void *table_memory(struct world *w, unsigned int i)
{
	return w->tables + (uint64_t)i * PAGE_SIZE;
}

static uint64_t table_bytes(const struct world *w)
{
	return fmt_entries(w->ept.fmt) * sizeof(uint64_t);
}

static bool is_junk(const uint8_t *p, uint64_t bytes)
{
	return p[0] == FRAME_JUNK && memcmp(p, p + 1, bytes - 1) == 0;
}

/* A step's translations that must hold all the time, looked at from in the middle of it. */
static void watch(struct world *w, const char *when)
{
	const struct reference *ref = &w->ref;
	uint64_t stride = ref->npages > 64 ? ref->npages / 16 + 1 : 1;

	for (gfn_t gfn = 0; gfn < ref->npages; gfn += stride) {
		const struct ref_page *p = &ref->page[gfn];
		struct ept_state leaf;

		if (p->kind != EPT_PRESENT || (gfn >= w->changing_from && gfn < w->changing_to))
			continue;
		if (tlb_peek(&w->ept, gfn, &leaf) != TLB_HIT || leaf.frame.v != p->frame ||
		    (!w->changing_rights && p->perms & ~ref_withheld(ref, p, false) & ~leaf.perms))
			world_fail(w, "page %lu was not mapped as it must be %s", (long)gfn, when);
	}
}

static int table_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	struct world *w = ctx;
	unsigned int i = 0;

	(void)cpu;
	if (++w->allocs == w->fail_at)
		return -ENOMEM;
	while (i < w->ntables && w->frames[i].state == FRAME_USED)
		i++;
	if (i == w->ntables)
		return -ENOMEM;
	if (!is_junk(table_memory(w, i), table_bytes(w)))
		world_fail(w, "table page %u was written to after it was freed", i);
	w->frames[i].state = FRAME_USED;
	atomic_store(&w->frames[i].owner, 0);
	w->in_use++;
	*table = hpa(WORLD_TABLES + (uint64_t)i * PAGE_SIZE);
	watch(w, "when a table was allocated");
	if (w->step && w->step->code == STEP_SPLIT && w->step->write && w->allocs == 1)
		world_touch(w, w->step->also, EPT_W, 0);
	return 0;
}

static void table_free(void *ctx, unsigned int cpu, hpa_t table)
{
	struct world *w = ctx;
	uint64_t i = (table.v - WORLD_TABLES) >> PAGE_SHIFT;

	(void)cpu;
	if (i >= w->ntables || w->frames[i].state != FRAME_USED) {
		world_fail(w, "freed what is no table in use: %lx", (long)table.v);
		return;
	}
	if (tlb_knows_table(&w->tlb, table) || tlb_knows_table(&w->clone.tlb, table))
		world_fail(w, "table page %lu was freed while a CPU may still walk it", (long)i);
	w->frames[i].state = FRAME_FREE;
	w->in_use--;
	memset(table_memory(w, (unsigned int)i), FRAME_JUNK, table_bytes(w));
}

static void flush(void *ctx, unsigned int cpu)
{
	struct world *w = ctx;

	(void)cpu;
	watch(w, "at a flush");
	if (w->step && w->step->write &&
	    (w->step->code == STEP_SYNC || (w->step->code == STEP_RECOVER_NX && w->step->way)))
		world_touch(w, w->step->also, EPT_W, w->step->way);
	tlb_flush(&w->tlb);
	ref_flushed(&w->ref);
	w->moved = false;
	w->clone.waits = false;
	w->flushes++;
}

static void clone_flush(void *ctx, unsigned int cpu)
{
	struct world *w = ctx;

	(void)cpu;
	tlb_flush(&w->clone.tlb);
}

static void trace(void *ctx, unsigned int cpu, enum ept_event event, gfn_t gfn, enum pg_level level)
{
	(void)cpu;
	(void)event;
	(void)gfn;
	(void)level;
	watch(ctx, "between two changes");
}

static const struct ept_ops world_ops = { table_alloc, table_free, flush, trace };
static const struct ept_ops clone_ops = { table_alloc, table_free, clone_flush, trace };

/* --- beginning and end --------------------------------------------------------------------- */

static void *lazy(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

void world_init(struct world *w, const struct ept_format *fmt, enum pg_level leaf_max,
		uint64_t npages, uint64_t nbacking, unsigned int ntables)
{
	memset(w, 0, sizeof(*w));
	w->ept.fmt = fmt;
	w->ntables = ntables;
	w->pouring = CONTENT_ARRIVED;
	w->nmemory = nbacking;
	w->half = ALIGN_UP(nbacking, fmt_frames(fmt, PG_LEVEL_1G));
	w->memory = lazy(3 * w->half);
	w->tables = lazy(ntables * PAGE_SIZE);
	w->frames = calloc(ntables, sizeof(*w->frames));
	if (!w->frames)
		abort();
	for (unsigned int i = 0; i < ntables; i++)
		memset(table_memory(w, i), FRAME_JUNK, table_bytes(w));
	w->pool = (struct frame_pool){
		.frames = w->frames,
		.base_pfn = WORLD_TABLES >> PAGE_SHIFT,
		.nframes = ntables,
		.virt_offset = (uintptr_t)w->tables - WORLD_TABLES,
	};
	ref_init(&w->ref, fmt, leaf_max, lazy(npages * sizeof(struct ref_page)), npages);
	if (ept_init(&w->ept, fmt, &world_ops, w, &w->pool, leaf_max))
		world_fail(w, "ept_init() found no table");
	ept_gather_init(&w->gather, ept_cpu(&w->ept, 0));
}

void world_set_nx(struct world *w)
{
	ept_set_nx(&w->ept);
	w->ref.nx = true;
}

void world_set_plain(struct world *w)
{
	w->tlb.plain = true;
	w->clone.tlb.plain = true;
}

void world_add_clone(struct world *w)
{
	struct world_clone *c = &w->clone;

	w->has_clone = true;
	ref_init(&c->ref, w->ref.fmt, w->ref.leaf_max,
		 lazy(w->ref.npages * sizeof(struct ref_page)), w->ref.npages);
	if (ept_init(&c->ept, w->ref.fmt, &clone_ops, w, &w->pool, w->ref.leaf_max))
		world_fail(w, "ept_init() found no table");
	ept_gather_init(&c->gather, ept_cpu(&c->ept, 0));
}

void world_fini(struct world *w)
{
	w->step = NULL;
	tlb_flush(&w->tlb);
	tlb_flush(&w->clone.tlb);
	ept_sync(&w->gather);
	ept_destroy(&w->ept, 0);
	if (w->has_clone)
		ept_destroy(&w->clone.ept, 0);
	if (w->in_use)
		world_fail(w, "%u table pages are left over", w->in_use);
	world_free(w);
}

void world_free(struct world *w)
{
	munmap(w->tables, w->ntables * PAGE_SIZE);
	munmap(w->memory, 3 * w->half);
	if (w->has_clone)
		munmap(w->clone.ref.page, w->ref.npages * sizeof(struct ref_page));
	munmap(w->ref.page, w->ref.npages * sizeof(struct ref_page));
	free(w->frames);
}

/* --- the guest's accesses ------------------------------------------------------------------ */

/* Accessed and dirty bits may also be set in a table that waits for the flush: they come to light
 * later, in all that the table mapped. */
static void note(struct world *w, gfn_t gfn, uint8_t bits)
{
	const struct ref_page *p = &w->ref.page[gfn];
	uint64_t frames = fmt_frames(w->ref.fmt, (enum pg_level)p->level);

	ref_note(&w->ref, ALIGN_DOWN(gfn, frames), frames, bits);
	for (unsigned int i = 0; i < w->gather.n; i++) {
		const struct ept_gathered *t = &w->gather.table[i];

		frames = fmt_frames(w->ref.fmt, t->level);
		if (t->harvest && gfn >= t->gfn && gfn < t->gfn + frames)
			ref_note(&w->ref, t->gfn, frames, bits);
	}
}

static void write_page(struct reference *ref, uint64_t frame, uint8_t content)
{
	for (gfn_t i = 0; i < ref->npages; i++)
		if (ref->page[i].kind != EPT_NONE && ref->page[i].frame == frame)
			ref->page[i].content = content;
}

void world_write(struct world *w, uint64_t frame, uint8_t content)
{
	w->memory[world_frame(frame)] = content;
	write_page(&w->ref, frame, content);
	if (w->has_clone)
		write_page(&w->clone.ref, frame, content);
}

/* The page that has this frame now, though it was reached at another address. */
static struct ref_page *moved_page(struct world *w, uint64_t frame)
{
	for (gfn_t i = 0; w->moved && i < w->ref.npages; i++)
		if (w->ref.page[i].kind == EPT_PRESENT && w->ref.page[i].frame == frame)
			return &w->ref.page[i];
	return NULL;
}

/*
 * What hardware noted of an access that went through. Where an old way led around the page's entry,
 * since its bits were cleared or its mark is new, nobody relies on it before the flush: who
 * collects reads the contents after it.
 */
static void seen(struct world *w, struct ref_page *p, bool write)
{
	gfn_t gfn = (gfn_t)(p - w->ref.page);
	struct ept_state is = ept_lookup(&w->ept, gfn);
	bool relied_on = !p->cleared && !p->unreliable;

	if (!w->tlb.plain && (relied_on || is.accessed))
		p->must |= REF_ACCESSED;
	if (!w->tlb.plain && write && (relied_on || is.dirty))
		p->must |= REF_DIRTY;
	p->logged |= write && p->tracked && (relied_on || is.dirty);
}

/* A stale way led to what was there once: to be expected until the flush. */
static void check_stale(struct world *w, gfn_t gfn, bool write, const struct tlb_access *a)
{
	struct ref_page *p = moved_page(w, a->frame);

	if (w->ref.page[gfn].kind == EPT_PRESENT && !w->moved)
		world_fail(w, "page %lu was reached at the wrong frame", (long)gfn);
	else if (!w->gather.owed)
		world_fail(w, "page %lu is not there, but was reached", (long)gfn);
	note(w, gfn, (uint8_t)a->sets); /* its neighbours shared the stale entry */
	if (p) {
		p->may |= (uint8_t)a->sets;
		seen(w, p, write);
	}
	if (write)
		world_write(w, a->frame, CONTENT_GUEST);
}

static void check_hit(struct world *w, gfn_t gfn, unsigned int perms, const struct tlb_access *a)
{
	struct ref_page *p = &w->ref.page[gfn];
	bool write = perms & EPT_W;

	if (w->ref.nx && perms & EPT_X && a->level > PG_LEVEL_4K)
		world_fail(w, "page %lu was executed in a large leaf", (long)gfn);
	if (a->frame != p->frame ||
	    (p->kind != EPT_PRESENT && !(p->kind == EPT_FROZEN && w->gather.owed))) {
		check_stale(w, gfn, write, a);
		return;
	}
	if (!w->gather.owed && ((perms & ~p->perms) || (write && p->cow)))
		world_fail(w, "page %lu may not be accessed so", (long)gfn);
	if (w->memory[world_frame(a->frame)] != p->content)
		world_fail(w, "page %lu holds %u, not %u", (long)gfn,
			   w->memory[world_frame(a->frame)], p->content);
	seen(w, p, write);
	if (a->sets)
		note(w, gfn, (uint8_t)a->sets);
	if (write && (p->cow || w->has_clone))
		world_write(w, a->frame, CONTENT_GUEST);
	else if (write)
		w->memory[world_frame(a->frame)] = p->content = CONTENT_GUEST;
}

static const char *names_of(unsigned int perms)
{
	return perms & EPT_W ? "written" : perms & EPT_X ? "executed" : "read";
}

void world_touch(struct world *w, gfn_t gfn, unsigned int perms, unsigned int way)
{
	struct ept_state s;
	struct tlb_access a;
	enum tlb_outcome o;

	if (way >= tlb_ways_of(&w->tlb, w->ref.fmt, gfn, perms))
		return;
	o = tlb_access(&w->tlb, &w->ept, gfn, perms, way, &a);
	if (o == TLB_FAULT)
		world_fail(w, "page %lu: hardware refuses the entry", (long)gfn);
	else if (o == TLB_HIT)
		check_hit(w, gfn, perms, &a);
	else if (way == 0 && w->ref.page[gfn].kind == EPT_PRESENT) {
		s = ept_lookup(&w->ept, gfn);
		if (!(perms & ~(w->ref.page[gfn].perms & ~s.withheld)))
			world_fail(w, "page %lu is there, but could not be %s", (long)gfn,
				   names_of(perms));
	}
}

/* --- comparison ---------------------------------------------------------------------------- */

/* What hardware lets a guest do with the page now. */
static unsigned int rights_now(const struct ept *ept, gfn_t gfn)
{
	struct ept_state leaf;

	return tlb_peek(ept, gfn, &leaf) == TLB_HIT ? leaf.perms : 0;
}

static void verify_leaf(struct world *w, const struct tlb_leaf *l, gfn_t gfn)
{
	const struct ref_page *p = &w->ref.page[gfn];
	uint64_t frame = l->frame + ((gfn - l->gfn) << PAGE_SHIFT);
	bool odd = p->tracked || p->cow || w->ref.nx;

	if (p->kind != EPT_PRESENT || p->frame != frame || (l->perms & ~p->perms) ||
	    l->memtype != p->memtype)
		world_fail(w, "a CPU may still use an old translation of page %lu", (long)gfn);
	else if (odd && (l->perms & ~rights_now(&w->ept, gfn)))
		world_fail(w, "a CPU may still use rights to page %lu that are withheld",
			   (long)gfn);
	else if (p->tracked && l->perms & EPT_W && l->dirty && !w->tlb.plain &&
		 !ept_lookup(&w->ept, gfn).dirty)
		world_fail(w, "a CPU may still write to page %lu unseen", (long)gfn);
}

/* What a CPU may still use must be true, unless a flush is owed. Large leaves may never be executed
 * where that is forbidden. */
static void verify_tlb(struct world *w)
{
	for (unsigned int i = 0; i < w->tlb.nleaves; i++) {
		const struct tlb_leaf *l = &w->tlb.leaf[i];
		uint64_t n = fmt_frames(w->ref.fmt, (enum pg_level)l->level);

		if (w->ref.nx && l->level > PG_LEVEL_4K && l->perms & EPT_X)
			world_fail(w, "a CPU may execute a large leaf at %lu", (long)l->gfn);
		/* Of the largest leaves some pages, the first among them. */
		for (uint64_t j = 0; j < n && l->gfn + j < w->ref.npages && !w->gather.owed;
		     j += 1 + n / 1024)
			verify_leaf(w, l, l->gfn + j);
	}
}

static void verify_census(struct world *w)
{
	struct ept_census is, must;
	struct ept_stats sum;
	int64_t pages[PG_LEVEL_512G];
	uint64_t tables = 1;

	ept_census(&w->ept, 0, w->ref.npages, &is);
	ref_census(&w->ref, &must);
	ept_stats_sum(&w->ept, &sum);
	pages[PG_LEVEL_4K] = sum.pages_4k;
	pages[PG_LEVEL_2M] = sum.pages_2m;
	pages[PG_LEVEL_1G] = sum.pages_1g;
	for (int kind = EPT_NONE; kind < EPT_KINDS; kind++)
		for (int level = PG_LEVEL_4K; level < PG_LEVEL_MAX; level++)
			if (kind != EPT_TABLE && is.kind[kind][level] != must.kind[kind][level])
				world_fail(w, "census: %lu entries of kind %s at level %d, not %lu",
					   (long)is.kind[kind][level],
					   entry_kind_name((enum ept_kind)kind), level,
					   (long)must.kind[kind][level]);
	for (int level = PG_LEVEL_4K; level < PG_LEVEL_MAX; level++) {
		tables += is.kind[EPT_TABLE][level];
		if (level <= PG_LEVEL_1G && pages[level] != (int64_t)must.kind[EPT_PRESENT][level])
			world_fail(w, "the counter of leaves of level %d is wrong", level);
	}
	if (sum.tables != (int64_t)tables)
		world_fail(w, "%ld tables counted, %ld linked", (long)sum.tables, (long)tables);
	if (w->has_clone)
		tables += (uint64_t)w->clone.ept.cpu[0].stats.tables;
	if (w->in_use != tables + w->gather.n)
		world_fail(w, "%u table pages in use, %lu linked, %u wait for a flush", w->in_use,
			   (long)tables, w->gather.n);
}

/* The short questions get what ept_lookup() says. */
static bool short_answers_agree(const struct ept *ept, gfn_t gfn, const struct ept_state *s)
{
	uint64_t inside = gfn & (fmt_frames(ept->fmt, s->level) - 1);
	bool awaited = s->kind == EPT_FILLING || s->kind == EPT_FROZEN ||
		       (s->kind == EPT_ABSENT && s->requested);
	hpa_t frame;

	if (ept_awaited(ept, gfn) != awaited)
		return false;
	if (!ept_page(ept, gfn, &frame))
		return s->kind != EPT_PRESENT;
	return s->kind == EPT_PRESENT && frame.v == s->frame.v + (inside << PAGE_SHIFT);
}

bool world_verify_range(struct world *w, gfn_t gfn, uint64_t frames)
{
	for (gfn_t i = gfn; i < gfn + frames && i < w->ref.npages; i++) {
		struct ept_state s = ept_lookup(&w->ept, i);
		const char *wrong = ref_compare(&w->ref, i, &s, !w->gather.owed);

		if (wrong)
			world_fail(w, "page %lu: %s (%s at level %d)", (long)i, wrong,
				   entry_kind_name(s.kind), s.level);
		else if (!short_answers_agree(&w->ept, i, &s))
			world_fail(w, "page %lu: ept_page() or ept_awaited() says otherwise",
				   (long)i);
	}
	return !w->fault[0];
}

bool world_verify_tables(struct world *w)
{
	const char *wrong;
	gfn_t where;

	verify_tlb(w);
	verify_census(w);
	if (w->gather.n && !w->gather.owed)
		world_fail(w, "tables wait, but no flush is owed");
	wrong = w->claimed || w->is_frozen ? NULL : ept_check(&w->ept, &where);
	if (wrong)
		world_fail(w, "ept_check at %lu: %s", (long)where, wrong);
	return !w->fault[0];
}

bool world_verify(struct world *w)
{
	if (w->has_clone)
		world_verify_clone(w);
	return world_verify_range(w, 0, w->ref.npages) && world_verify_tables(w);
}
