/* SPDX-License-Identifier: MIT */
/* The explorer. See tests/host/model/explore.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/model/explore.h"

#define TABLES   24
#define ENTRIES  4
#define PAGES    64
#define BACKING  144 /* what the scenes map lies below */
#define MEMORY   (3 * BACKING)
#define NO_STATE UINT32_MAX

struct snapshot {
	struct world world;
	struct frame frames[TABLES];
	uint64_t words[TABLES][ENTRIES];
	struct ref_page page[PAGES];
	struct ref_page clone_page[PAGES];
	uint8_t memory[MEMORY];
};

/* How a state is reached: by a step from another. */
struct state {
	uint32_t from;
	uint8_t step;
	uint8_t depth;
};

struct search {
	struct explore *x;
	struct world w;
	struct snapshot here;
	struct state *state;
	uint64_t nstates, room;
	uint64_t *seen; /* hashes of states, open addressing; 0: free */
	uint64_t slots;
};

/* --- saving and restoring ------------------------------------------------------------------- */

static void save(const struct world *w, struct snapshot *s)
{
	s->world = *w;
	memcpy(s->frames, w->frames, sizeof(s->frames));
	for (unsigned int i = 0; i < TABLES; i++)
		memcpy(s->words[i], w->tables + i * PAGE_SIZE, sizeof(s->words[i]));
	memcpy(s->page, w->ref.page, w->ref.npages * sizeof(struct ref_page));
	if (w->has_clone)
		memcpy(s->clone_page, w->clone.ref.page, w->ref.npages * sizeof(struct ref_page));
	memcpy(s->memory, w->memory, MEMORY);
}

static void restore(struct world *w, const struct snapshot *s)
{
	*w = s->world;
	memcpy(w->frames, s->frames, sizeof(s->frames));
	for (unsigned int i = 0; i < TABLES; i++)
		memcpy(w->tables + i * PAGE_SIZE, s->words[i], sizeof(s->words[i]));
	memcpy(w->ref.page, s->page, w->ref.npages * sizeof(struct ref_page));
	if (w->has_clone)
		memcpy(w->clone.ref.page, s->clone_page, w->ref.npages * sizeof(struct ref_page));
	memcpy(w->memory, s->memory, MEMORY);
}

/* --- the hash of all that a state's future depends on ---------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static const uint64_t *words_of(const struct world *w, uint64_t table)
{
	return (const uint64_t *)(w->tables + (table - WORLD_TABLES));
}

/* An entry without the address of a table, which says nothing. */
static uint64_t hash_entries(const struct world *w, uint64_t h, uint64_t table, unsigned int level)
{
	const struct ept_format *fmt = w->ref.fmt;

	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t e = words_of(w, table)[i];

		h = mix(h, entry_kind(fmt, e, (enum pg_level)level) == EPT_TABLE ? 1 : e);
	}
	return h;
}

static uint64_t hash_tree(const struct world *w, const struct ept *ept, uint64_t h)
{
	const struct ept_format *fmt = w->ref.fmt;
	const uint64_t *top = words_of(w, ept->root.v);

	h = hash_entries(w, h, ept->root.v, PG_LEVEL_1G);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t middle = top[i] & fmt->addr;

		if (entry_kind(fmt, top[i], PG_LEVEL_1G) != EPT_TABLE)
			continue;
		h = hash_entries(w, mix(h, i), middle, PG_LEVEL_2M);
		for (unsigned int j = 0; j < ENTRIES; j++) {
			uint64_t e = words_of(w, middle)[j];

			if (entry_kind(fmt, e, PG_LEVEL_2M) == EPT_TABLE)
				h = hash_entries(w, mix(h, j), e & fmt->addr, PG_LEVEL_4K);
		}
	}
	return h;
}

static uint64_t table_id(const struct world *w, const struct ept *ept, const struct tlb_pointer *p)
{
	uint64_t path[PG_LEVEL_MAX];

	ept_path(ept, p->gfn, path);
	if ((path[p->level + 1] & w->ref.fmt->addr) == p->table.v)
		return 1000;
	for (unsigned int i = 0; i < w->gather.n; i++)
		if (w->gather.table[i].table.v == p->table.v)
			return i;
	return 2000;
}

/* The order in which a CPU came to know things does not matter. */
static uint64_t hash_tlb(const struct world *w, const struct ept *ept, const struct tlb *tlb,
			 uint64_t h)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < tlb->nleaves; i++) {
		const struct tlb_leaf *l = &tlb->leaf[i];

		sum += mix(mix(mix(l->gfn, l->frame), l->level),
			   (uint64_t)l->perms << 16 | (uint64_t)l->memtype << 8 | l->dirty);
	}
	for (unsigned int i = 0; i < tlb->npointers; i++) {
		const struct tlb_pointer *p = &tlb->pointer[i];

		sum += mix(mix(mix(77, p->gfn), p->level), table_id(w, ept, p));
	}
	return mix(h, sum);
}

static uint64_t hash_pages(const struct reference *ref, uint64_t h)
{
	for (uint64_t i = 0; i < ref->npages; i++) {
		const struct ref_page *p = &ref->page[i];

		h = mix(h, (uint64_t)p->must << 40 | (uint64_t)p->may << 32 |
				   (uint64_t)p->executed << 24 | (uint64_t)p->content << 16 |
				   (uint64_t)p->logged << 3 | (uint64_t)p->unreliable << 2 |
				   (uint64_t)p->cleared << 1);
	}
	return mix(h, ref->track);
}

static uint64_t hash_gather(const struct world *w, uint64_t h)
{
	for (unsigned int i = 0; i < w->gather.n; i++) {
		const struct ept_gathered *t = &w->gather.table[i];

		h = mix(mix(h, t->gfn), (uint64_t)t->level << 1 | t->harvest);
		h = hash_entries(w, mix(h, t->seen_ad), t->table.v, t->level - 1u);
	}
	return mix(h, w->gather.owed);
}

static uint64_t hash_clone(const struct world *w, uint64_t h)
{
	const struct world_clone *c = &w->clone;

	if (!w->has_clone)
		return h;
	h = hash_tlb(w, &c->ept, &c->tlb, hash_tree(w, &c->ept, h));
	return mix(hash_pages(&c->ref, h), c->waits);
}

static uint64_t hash_world(const struct world *w)
{
	uint64_t h = hash_tlb(w, &w->ept, &w->tlb, hash_tree(w, &w->ept, 1));

	h = hash_pages(&w->ref, hash_gather(w, h));
	if (w->claimed)
		h = mix(mix(h, w->claim.gfn + 1), w->claim.level);
	if (w->is_frozen)
		h = mix(mix(mix(h, w->frozen.gfn + 1), w->frozen.was.level),
			(uint64_t)w->frozen.was.accessed << 1 | w->frozen.was.dirty);
	h = hash_clone(w, mix(h, (uint64_t)w->moved << 1 | w->aliases));
	return h ? h : 1;
}

/* --- the search ----------------------------------------------------------------------------- */

static void insert(uint64_t *seen, uint64_t slots, uint64_t h)
{
	uint64_t i = h & (slots - 1);

	while (seen[i])
		i = (i + 1) & (slots - 1);
	seen[i] = h;
}

static bool known(const struct search *s, uint64_t h)
{
	uint64_t i = h & (s->slots - 1);

	while (s->seen[i] && s->seen[i] != h)
		i = (i + 1) & (s->slots - 1);
	return s->seen[i] == h;
}

static void grow(struct search *s)
{
	uint64_t slots = s->slots * 2;
	uint64_t *seen = calloc(slots, sizeof(*seen));

	s->room *= 2;
	s->state = realloc(s->state, s->room * sizeof(*s->state));
	if (!seen || !s->state)
		abort();
	for (uint64_t i = 0; i < s->slots; i++)
		if (s->seen[i])
			insert(seen, slots, s->seen[i]);
	free(s->seen);
	s->seen = seen;
	s->slots = slots;
}

static void add(struct search *s, uint32_t from, unsigned int step)
{
	uint64_t h = hash_world(&s->w);

	if (known(s, h))
		return;
	if (s->nstates == s->room)
		grow(s);
	insert(s->seen, s->slots, h);
	s->state[s->nstates++] = (struct state){
		.from = from,
		.step = (uint8_t)step,
		.depth = from == NO_STATE ? 0 : (uint8_t)(s->state[from].depth + 1),
	};
}

static unsigned int way_to(const struct search *s, uint32_t state, uint8_t *way)
{
	unsigned int depth = s->state[state].depth;

	for (unsigned int i = depth; i > 0; i--) {
		way[i - 1] = s->state[state].step;
		state = s->state[state].from;
	}
	return depth;
}

static void tell(const struct search *s, uint32_t state, const struct step *last, unsigned int nth)
{
	uint8_t way[UINT8_MAX];
	unsigned int n = way_to(s, state, way);
	char buf[160];

	printf("# %s: %s\n# after:\n", s->x->name, s->w.fault);
	for (unsigned int i = 0; i < s->x->nfirst; i++)
		printf("#   %s\n", step_text(&s->x->first[i], buf, sizeof(buf)));
	for (unsigned int i = 0; i < n; i++)
		printf("#   %s\n", step_text(&s->x->step[way[i]], buf, sizeof(buf)));
	printf("#   %s\n", step_text(last, buf, sizeof(buf)));
	if (nth)
		printf("# with allocation %u of the last one failing\n", nth);
}

static bool go_to(struct search *s, const struct snapshot *start, uint32_t state)
{
	uint8_t way[UINT8_MAX];
	unsigned int n = way_to(s, state, way);

	restore(&s->w, start);
	for (unsigned int i = 0; i < n; i++)
		if (!world_step(&s->w, &s->x->step[way[i]]))
			return false;
	save(&s->w, &s->here);
	return true;
}

/* The step once more, for each allocation that it made, with that one failing. */
static bool starve(struct search *s, uint32_t state, const struct step *step)
{
	unsigned int allocs = s->w.allocs;

	for (unsigned int nth = 1; nth <= allocs; nth++) {
		restore(&s->w, &s->here);
		s->x->failures++;
		if (!world_step_fails(&s->w, step, nth) || !world_step(&s->w, step)) {
			tell(s, state, step, nth);
			return false;
		}
	}
	return true;
}

static bool expand(struct search *s, uint32_t state)
{
	for (unsigned int i = 0; i < s->x->nsteps; i++) {
		const struct step *step = &s->x->step[i];

		if (!world_allows(&s->here.world, step))
			continue;
		restore(&s->w, &s->here);
		s->x->transitions++;
		if (!world_step(&s->w, step)) {
			tell(s, state, step, 0);
			return false;
		}
		add(s, state, i);
		if (!starve(s, state, step))
			return false;
	}
	return true;
}

static bool search(struct search *s)
{
	struct explore *x = s->x;
	struct snapshot *start = malloc(sizeof(*start));
	bool ok = start != NULL;

	for (unsigned int i = 0; i < x->nfirst && ok; i++) {
		ok = world_step(&s->w, &x->first[i]);
		if (!ok)
			printf("# %s: %s at the beginning\n", x->name, s->w.fault);
	}
	if (ok) {
		save(&s->w, start);
		add(s, NO_STATE, 0);
	}
	x->whole = true;
	for (uint64_t i = 0; i < s->nstates && ok; i++) {
		if (s->state[i].depth == x->depth) {
			x->whole = false;
			break;
		}
		ok = go_to(s, start, (uint32_t)i) && expand(s, (uint32_t)i);
	}
	if (ok) {
		restore(&s->w, start);
		world_fini(&s->w);
	} else {
		world_free(&s->w);
	}
	free(start);
	return ok && !s->w.fault[0];
}

bool explore(struct explore *x)
{
	struct search *s = calloc(1, sizeof(*s));
	bool ok;

	if (!s)
		abort();
	s->x = x;
	s->room = 1 << 14;
	s->slots = 1 << 16;
	s->state = malloc(s->room * sizeof(*s->state));
	s->seen = calloc(s->slots, sizeof(*s->seen));
	if (!s->state || !s->seen)
		abort();
	world_init(&s->w, x->fmt, PG_LEVEL_1G, x->npages, BACKING, TABLES);
	s->w.eager = x->eager;
	s->w.pending_max = x->pending_max;
	if (x->nx)
		world_set_nx(&s->w);
	if (x->plain)
		world_set_plain(&s->w);
	if (x->clone)
		world_add_clone(&s->w);
	ok = search(s);
	x->states = s->nstates;
	printf("# %s: %lu states, %lu transitions, %lu failed allocations, %s\n", x->name,
	       (unsigned long)x->states, (unsigned long)x->transitions, (unsigned long)x->failures,
	       x->whole ? "the whole space" : "all sequences up to the depth");
	free(s->state);
	free(s->seen);
	free(s);
	return ok;
}
