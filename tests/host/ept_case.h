/* SPDX-License-Identifier: MIT */
/*
 * What the case tests of the second stage share: a world on the real geometry, once in Intel's
 * format and once in AMD's, and steps that must leave nothing wrong.
 */
#ifndef TESTS_HOST_EPT_CASE_H
#define TESTS_HOST_EPT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/host/model/world.h"

#define F_2M   512u
#define F_1G   (512u * 512u)
#define TABLES 2100

#define assert_fine(w)                                                                             \
	do {                                                                                       \
		if ((w)->fault[0])                                                                 \
			print_error("%s\n", (w)->fault);                                           \
		assert_string_equal((w)->fault, "");                                               \
	} while (0)

static struct world w;
static const struct ept_format *format; /* the one that the test runs on */

/* *state: the format. */
static inline int begin(void **state)
{
	format = *state;
	world_init(&w, format, PG_LEVEL_1G, 2 * F_1G, 4 * F_1G, TABLES);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	if (w.fault[0]) {
		world_free(&w);
		return 0;
	}
	world_fini(&w);
	return w.fault[0] ? -1 : 0;
}

static inline void step(struct step s)
{
	(void)world_step(&w, &s);
	assert_fine(&w);
}

static inline void map(unsigned int gfn, unsigned int frames, enum ept_kind kind)
{
	step((struct step){ .code = STEP_MAP,
			    .gfn = gfn,
			    .frames = frames,
			    .backing = gfn,
			    .kind = (uint8_t)kind,
			    .perms = EPT_RWX,
			    .memtype = EPT_WB });
}

static inline void at(enum step_code code, unsigned int gfn, enum pg_level level)
{
	step((struct step){ .code = (uint8_t)code, .gfn = gfn, .level = (uint8_t)level });
}

static inline void range(enum step_code code, unsigned int gfn, unsigned int frames)
{
	step((struct step){ .code = (uint8_t)code, .gfn = gfn, .frames = frames });
}

static inline void touch(unsigned int gfn, bool write, unsigned int way)
{
	step((struct step){ .code = STEP_TOUCH, .gfn = gfn, .write = write, .way = (uint8_t)way });
}

static inline void verify(void)
{
	(void)world_verify(&w);
	assert_fine(&w);
}

/* The counters now. */
static inline const struct ept_stats *stats(void)
{
	static struct ept_stats sum;

	ept_stats_sum(&w.ept, &sum);
	return &sum;
}

static inline void assert_leaves(int64_t g, int64_t m, int64_t k, int64_t tables)
{
	const struct ept_stats *s = stats();

	assert_int_equal(s->pages_1g, g);
	assert_int_equal(s->pages_2m, m);
	assert_int_equal(s->pages_4k, k);
	assert_int_equal(s->tables, tables);
}

/* A test on each format. */
#define CASE(name)                                                                                 \
	{ #name "_on_EPT", name, begin, end, (void *)&ept_format_intel },                          \
	{                                                                                          \
#name "_on_NPT", name, begin, end, (void *)&ept_format_amd                         \
	}

#endif
