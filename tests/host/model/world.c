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
		    leaf.perms != p->perms)
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
	memset(table_memory(w, i), 0, table_bytes(w));
	w->frames[i].state = FRAME_USED;
	atomic_store(&w->frames[i].owner, 0);
	w->in_use++;
	*table = hpa(WORLD_TABLES + (uint64_t)i * PAGE_SIZE);
	watch(w, "when a table was allocated");
	if (w->step && w->step->code == STEP_SPLIT && w->step->write && w->allocs == 1)
		world_touch(w, w->step->also, true, 0);
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
	if (tlb_knows_table(&w->tlb, table))
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
	if (w->step && w->step->code == STEP_SYNC && w->step->write)
		world_touch(w, w->step->also, true, w->step->way);
	tlb_flush(&w->tlb);
	w->flushes++;
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
	w->memory = lazy(nbacking);
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

void world_fini(struct world *w)
{
	w->step = NULL;
	tlb_flush(&w->tlb);
	ept_sync(&w->gather);
	ept_destroy(&w->ept, 0);
	if (w->in_use)
		world_fail(w, "%u table pages are left over", w->in_use);
	world_free(w);
}

void world_free(struct world *w)
{
	munmap(w->tables, w->ntables * PAGE_SIZE);
	munmap(w->memory, w->nmemory);
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

static void check_hit(struct world *w, gfn_t gfn, bool write, const struct tlb_access *a)
{
	struct ref_page *p = &w->ref.page[gfn];
	uint64_t i = (a->frame - WORLD_BACKING) >> PAGE_SHIFT;

	if (p->kind != EPT_PRESENT) {
		if (!w->gather.owed)
			world_fail(w, "page %lu is not there, but was reached", (long)gfn);
		note(w, gfn, (uint8_t)a->sets); /* its neighbours shared the stale entry */
		return;
	}
	if (a->frame != p->frame) {
		world_fail(w, "page %lu was reached at the wrong frame", (long)gfn);
		return;
	}
	if (w->memory[i] != p->content)
		world_fail(w, "page %lu holds %u, not %u", (long)gfn, w->memory[i], p->content);
	p->must |= write ? REF_ACCESSED | REF_DIRTY : REF_ACCESSED;
	if (a->sets)
		note(w, gfn, (uint8_t)a->sets);
	if (write)
		w->memory[i] = p->content = CONTENT_GUEST;
}

void world_touch(struct world *w, gfn_t gfn, bool write, unsigned int way)
{
	const struct ref_page *p = &w->ref.page[gfn];
	struct tlb_access a;
	enum tlb_outcome o;

	if (way >= tlb_ways(&w->tlb, w->ref.fmt, gfn, write))
		return;
	o = tlb_use(&w->tlb, &w->ept, gfn, write, way, &a);
	if (o == TLB_FAULT)
		world_fail(w, "page %lu: hardware refuses the entry", (long)gfn);
	else if (o == TLB_HIT)
		check_hit(w, gfn, write, &a);
	else if (way == 0 && p->kind == EPT_PRESENT && (p->perms & (write ? EPT_W : EPT_R)))
		world_fail(w, "page %lu is there, but was not reached", (long)gfn);
}

/* --- comparison ---------------------------------------------------------------------------- */

/* What a CPU may still use must be true, unless a flush is owed. */
static void verify_tlb(struct world *w)
{
	for (unsigned int i = 0; i < w->tlb.nleaves && !w->gather.owed; i++) {
		const struct tlb_leaf *l = &w->tlb.leaf[i];
		uint64_t n = fmt_frames(w->ref.fmt, (enum pg_level)l->level);

		/* Of the largest leaves some pages, the first among them. */
		for (uint64_t j = 0; j < n && l->gfn + j < w->ref.npages; j += 1 + n / 1024) {
			const struct ref_page *p = &w->ref.page[l->gfn + j];

			if (p->kind != EPT_PRESENT || p->frame != l->frame + (j << PAGE_SHIFT) ||
			    (l->perms & ~p->perms) || l->memtype != p->memtype)
				world_fail(w, "a CPU may still use an old translation of page %lu",
					   (long)(l->gfn + j));
		}
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
	if (w->in_use != tables + w->gather.n)
		world_fail(w, "%u table pages in use, %lu linked, %u wait for a flush", w->in_use,
			   (long)tables, w->gather.n);
}

bool world_verify_range(struct world *w, gfn_t gfn, uint64_t frames)
{
	for (gfn_t i = gfn; i < gfn + frames && i < w->ref.npages; i++) {
		struct ept_state s = ept_lookup(&w->ept, i);
		const char *wrong = ref_compare(&w->ref, i, &s, !w->gather.owed);

		if (wrong)
			world_fail(w, "page %lu: %s (%s at level %d)", (long)i, wrong,
				   entry_kind_name(s.kind), s.level);
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
	wrong = w->claimed ? NULL : ept_check(&w->ept, &where);
	if (wrong)
		world_fail(w, "ept_check at %lu: %s", (long)where, wrong);
	return !w->fault[0];
}

bool world_verify(struct world *w)
{
	return world_verify_range(w, 0, w->ref.npages) && world_verify_tables(w);
}
