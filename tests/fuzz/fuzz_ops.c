/* SPDX-License-Identifier: MIT */
/*
 * Streams of operations on a second stage, against the flat reference and the model TLB.
 *
 * Two bytes choose the world, then RECORD bytes are one step each. Nothing here knows what a step
 * does: every field is filled in from its byte and clamped to what the world has, and
 * world_allows() says whether the step makes sense now. So a new code in tests/host/model/world.h
 * is tried from the next build on; what must not be tried belongs into world_allows().
 *
 *	byte 0	 2:0 geometry, 3 the CPU looks at all pages after each step (if they are few), 5:4
 *		 largest leaf, 6 large leaves cannot be executed, 7 no accessed and dirty bits
 *	byte 1	 1:0 what is there at the start: nothing, all absent, all present, half of it
 *		 absent; 2 no collapse while 3 tables wait for a flush, 3 a clone (if few pages)
 *
 *	step	 0: 5:0 code; 7:6 all set: an allocation fails, byte 7 says which
 *		 1: 1:0 level, 2 gfn aligned to it, 3 write, 4 kind, 7:5 way
 *		 2: 1:0 perms, 4:2 memory type, 5 present in an odd place of backing memory
 *		 3: gfn, 4: frames, 5: also, 6: frames, the rest; 7: which allocation
 */
#include "tests/fuzz/fuzz.h"

#include "tests/host/model/toy.h"
#include "tests/host/model/world.h"
#include "tests/host/random.h"

#define HEADER    2
#define RECORD    8
#define STEPS_MAX 96 /* longer streams only cost time */
#define FEW       64 /* pages that world_step() compares after every step */

static const uint8_t perms[] = { EPT_RWX, EPT_R | EPT_X, EPT_R | EPT_W, EPT_R };
static const uint8_t memtypes[] = { EPT_WB, EPT_UC, EPT_WC, EPT_WT, EPT_WP };
static const uint8_t kinds[] = { EPT_ABSENT, EPT_PRESENT };

struct stream {
	struct world w;
	struct ept_format fmt; /* on tables of this size */
	unsigned int n;        /* steps tried */
	struct step step[STEPS_MAX];
	unsigned int nth[STEPS_MAX]; /* the allocation that failed in it; 0: none */
	bool over;
};

/* If something is wrong: says what, after all the steps that led to it. */
static void check(const struct stream *s, const char *when)
{
	char buf[160];

	if (!s->w.fault[0])
		return;
	for (unsigned int i = 0; i < s->n; i++) {
		fprintf(stderr, "fuzz: %s", step_text(&s->step[i], buf, sizeof(buf)));
		fprintf(stderr, s->nth[i] ? ", allocation %u fails\n" : "\n", s->nth[i]);
	}
	fuzz_fail("%s, %lu pages, %u index bits, leaves up to level %d, %s: %s", s->fmt.name,
		  (long)s->w.ref.npages, s->fmt.index_bits, s->w.ref.leaf_max, when, s->w.fault);
}

/* --- from bytes to a step -------------------------------------------------------------------- */

/* Few places on the real geometries, at the edges of tables, so that steps meet. */
static uint32_t place(const struct world *w, unsigned int byte)
{
	uint64_t middle = fmt_frames(w->ref.fmt, PG_LEVEL_2M);
	uint64_t large = fmt_frames(w->ref.fmt, PG_LEVEL_1G);
	uint64_t gfn = byte;

	if (w->ref.npages > FEW) {
		gfn = (byte >> 3 & 3) * middle + (byte & 3);
		if (byte & 4)
			gfn += middle - 4;
		if (byte & 32)
			gfn += large - 4 * middle;
	}
	return (uint32_t)(gfn % w->ref.npages);
}

/* Pieces of each level, several of them, and a few frames more. */
static uint32_t extent(const struct world *w, unsigned int level, unsigned int byte,
		       unsigned int rest)
{
	uint64_t n = fmt_frames(w->ref.fmt, (enum pg_level)level);

	return (uint32_t)MIN(n * ((byte >> 2 & 7) + 1) + rest % 8, w->ref.npages);
}

static unsigned int clamp_level(const struct world *w, unsigned int bits)
{
	return 1 + (bits & 3) % (unsigned int)w->ref.leaf_max;
}

static struct step decode(const struct world *w, const uint8_t b[RECORD])
{
	struct step t = {
		.code = (b[0] & 63) % STEP_CODES,
		.level = (uint8_t)clamp_level(w, b[1]),
		.write = b[1] & 8,
		.kind = kinds[b[1] >> 4 & 1],
		.way = b[1] >> 5,
		.perms = perms[b[2] & 3],
		.memtype = memtypes[(b[2] >> 2 & 7) % ARRAY_LEN(memtypes)],
		.gfn = place(w, b[3]),
		.also = place(w, b[5]),
	};

	if (b[1] & 4)
		t.gfn = (uint32_t)ALIGN_DOWN(t.gfn, fmt_frames(w->ref.fmt, (enum pg_level)t.level));
	t.frames = extent(w, clamp_level(w, b[4]), b[4], b[6]);
	t.frames = (uint32_t)MIN(t.frames, w->ref.npages - t.gfn);
	/* No frame of backing memory belongs to two pages, and there are two of it for each. */
	t.backing = t.gfn + (b[2] & 32 ? (uint32_t)w->ref.npages + 1 : 0);
	return t;
}

/* --- the world ------------------------------------------------------------------------------- */

/* The real formats on their own tables with four ranges of 2 MiB, and on small ones: to compare a
 * GiB with the reference takes as long as a thousand streams, and a large leaf of 64 pages is
 * handled by the same code. */
static const struct geometry {
	const struct ept_format *fmt;
	unsigned int index_bits;
	uint64_t npages;
	enum pg_level leaf_max;
	unsigned int tables; /* of the whole space in small pieces, and what waits for a flush */
} geometries[] = {
	{ &ept_format_toy, 2, FEW, PG_LEVEL_1G, 160 },
	{ &ept_format_toy, 2, FEW, PG_LEVEL_1G, 160 },
	{ &ept_format_intel, 2, FEW, PG_LEVEL_1G, 160 },
	{ &ept_format_amd, 2, FEW, PG_LEVEL_1G, 160 },
	{ &ept_format_intel, 3, 512, PG_LEVEL_1G, 150 },
	{ &ept_format_amd, 3, 512, PG_LEVEL_1G, 150 },
	{ &ept_format_intel, 9, 4 * 512, PG_LEVEL_2M, 64 },
	{ &ept_format_amd, 9, 4 * 512, PG_LEVEL_2M, 64 },
};

static void begin(struct stream *s, unsigned int how)
{
	const enum pg_level maxima[] = { PG_LEVEL_1G, PG_LEVEL_2M, PG_LEVEL_1G, PG_LEVEL_4K };
	const struct geometry *g = &geometries[how & 7];

	s->fmt = *g->fmt;
	s->fmt.index_bits = g->index_bits;
	world_init(&s->w, &s->fmt, MIN(maxima[how >> 4 & 3], g->leaf_max), g->npages,
		   2 * g->npages + 2, g->tables);
	s->w.eager = how & 8;
	if (how & 64)
		world_set_nx(&s->w);
	if (how & 128)
		world_set_plain(&s->w);
}

static void map_at_start(struct stream *s, unsigned int how)
{
	uint32_t n = (uint32_t)s->w.ref.npages;
	struct step t = { .code = STEP_MAP, .perms = EPT_RWX, .memtype = EPT_WB };

	/* A clone's tables are compared page by page, so it is for few pages. */
	if (how & 8 && s->w.ref.npages <= FEW)
		world_add_clone(&s->w);
	t.kind = (how & 3) == 2 ? EPT_PRESENT : EPT_ABSENT;
	t.frames = (how & 3) == 3 ? n / 2 : n;
	s->w.pending_max = how & 4 ? 3 : 0;
	if ((how & 3) && !world_step(&s->w, &t))
		check(s, "at the start");
}

/* The tables that wait for a flush are bounded by what there is. */
static void make_room(struct stream *s)
{
	if (s->w.gather.n > 40 && !world_step(&s->w, &(struct step){ .code = STEP_SYNC }))
		check(s, "at a sync to make room");
}

/* Where the step makes fewer allocations, none fails, and the reference does not know what was
 * done: the stream ends there. It is tried without a failure by another input. */
static void step_fails(struct stream *s, const struct step *t, unsigned int nth)
{
	s->over = !world_step_fails(&s->w, t, nth) && s->w.allocs < nth;
	if (!s->over)
		check(s, "with an allocation that failed");
}

static void step(struct stream *s, const struct step *t, unsigned int nth)
{
	gfn_t near = t->gfn > 8 ? t->gfn - 8 : 0;

	if (nth)
		step_fails(s, t, nth);
	if (s->over || !world_allows(&s->w, t))
		return;
	(void)(world_step(&s->w, t) && world_verify_range(&s->w, near, 16) &&
	       world_verify_tables(&s->w));
	check(s, "after a step");
}

static void end(struct stream *s)
{
	if (s->over) {
		world_free(&s->w);
		return;
	}
	if (s->w.claimed)
		(void)world_step(&s->w, &(struct step){ .code = STEP_GIVE_UP });
	if (s->w.is_frozen)
		(void)world_step(&s->w, &(struct step){ .code = STEP_THAW });
	(void)world_verify(&s->w);
	check(s, "at the end");
	world_fini(&s->w);
	check(s, "when all was taken down");
}

static void next(struct stream *s, struct fuzz_input *in)
{
	uint8_t record[RECORD];
	struct step *t = &s->step[s->n];

	for (unsigned int i = 0; i < RECORD; i++)
		record[i] = (uint8_t)fuzz_take(in, 1);
	*t = decode(&s->w, record);
	if (!world_allows(&s->w, t))
		return;
	s->nth[s->n++] = record[0] >> 6 == 3 ? 1 + record[7] % 4 : 0;
	step(s, t, s->nth[s->n - 1]);
}

/* --- mutations that know of records ---------------------------------------------------------- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* A new record: any, or one that is there with another code, so that steps meet at a place. */
static void invent(uint8_t *record, const uint8_t *like, uint64_t *random)
{
	bool other = rnd(random) % 4;

	for (unsigned int i = 0; i < RECORD; i++)
		record[i] = other ? like[i] : (uint8_t)rnd(random);
	record[0] = (uint8_t)(rnd(random) % STEP_CODES);
	if (rnd(random) % 8 == 0)
		record[0] |= 0xc0;
	if (other)
		record[1 + rnd(random) % (RECORD - 1)] = (uint8_t)rnd(random);
}

/* Records come, singly or many, go, or change in themselves; or what libFuzzer has in mind. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint64_t random = seed;
	uint32_t what = rnd(&random) % 8, many = what ? 1 : 1 + rnd(&random) % 32;
	size_t n = size < HEADER ? 0 : (size - HEADER) / RECORD;
	uint8_t *at = data + HEADER + (n ? rnd(&random) % n : 0) * RECORD;
	uint8_t *end = data + size, like[RECORD];

	if (what < 3 && n) {
		for (; many && size + RECORD <= max_size; many--, size += RECORD, end += RECORD) {
			memcpy(like, data + HEADER + rnd(&random) % n * RECORD, RECORD);
			memmove(at + RECORD, at, (size_t)(end - at));
			invent(at, like, &random);
		}
		return size;
	}
	if (what == 3 && n > 1) {
		memmove(at, at + RECORD, (size_t)(end - at - RECORD));
		return size - RECORD;
	}
	if (what < 7 && n) {
		at[rnd(&random) % RECORD] = (uint8_t)rnd(&random);
		return size;
	}
	return LLVMFuzzerMutate(data, size, max_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream s;
	struct fuzz_input in = { data, size };

	s.n = 0;
	s.over = false;
	begin(&s, (unsigned int)fuzz_take(&in, 1));
	map_at_start(&s, (unsigned int)fuzz_take(&in, 1));
	while (s.n < STEPS_MAX && in.n > 0 && !s.over) {
		make_room(&s);
		next(&s, &in);
	}
	end(&s);
	return 0;
}
