/* SPDX-License-Identifier: MIT */
/* What the tests share that enumerate sequences on the toy geometry: how a set of steps is made. */
#ifndef TESTS_HOST_EXPLORE_CASE_H
#define TESTS_HOST_EXPLORE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/host/model/explore.h"
#include "tests/host/model/toy.h"

#define PAGES 16

static inline struct step *add(struct explore *x, enum step_code code)
{
	struct step *s = &x->step[x->nsteps++];

	assert_true(x->nsteps <= EXPLORE_STEPS);
	*s = (struct step){ .code = (uint8_t)code };
	return s;
}

static inline void add_at(struct explore *x, enum step_code code, unsigned int gfn,
			  unsigned int level)
{
	struct step *s = add(x, code);

	s->gfn = gfn;
	s->level = (uint8_t)level;
}

static inline void add_range(struct explore *x, enum step_code code, unsigned int gfn,
			     unsigned int end)
{
	struct step *s = add(x, code);

	s->gfn = gfn;
	s->frames = end - gfn;
}

static inline struct step map(unsigned int gfn, unsigned int end, enum ept_kind kind,
			      unsigned int perms, unsigned int shift)
{
	return (struct step){
		.code = STEP_MAP,
		.gfn = gfn,
		.frames = end - gfn,
		.backing = gfn + shift,
		.kind = (uint8_t)kind,
		.perms = (uint8_t)perms,
		.memtype = EPT_WB,
	};
}

static inline void add_map(struct explore *x, unsigned int gfn, unsigned int end,
			   enum ept_kind kind, unsigned int perms, unsigned int shift)
{
	x->step[x->nsteps++] = map(gfn, end, kind, perms, shift);
}

static inline void add_touches(struct explore *x, unsigned int gfn, bool write, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		struct step *s = add(x, STEP_TOUCH);

		s->gfn = gfn;
		s->write = write;
		s->way = (uint8_t)way;
	}
}

static inline void add_late_writes(struct explore *x, unsigned int gfn, unsigned int ways)
{
	for (unsigned int way = 0; way < ways; way++) {
		struct step *s = add(x, STEP_SYNC);

		s->also = gfn;
		s->write = true;
		s->way = (uint8_t)way;
	}
}

static inline void add_split_with_write(struct explore *x, unsigned int gfn, unsigned int level,
					unsigned int also)
{
	struct step *s = add(x, STEP_SPLIT);

	s->gfn = gfn;
	s->level = (uint8_t)level;
	s->also = also;
	s->write = true;
}

static inline struct explore begin(const char *name, unsigned int depth)
{
	return (struct explore){ .name = name,
				 .fmt = &ept_format_toy,
				 .npages = PAGES,
				 .pending_max = 2,
				 .depth = depth };
}

static inline void add_protect(struct explore *x, unsigned int gfn, unsigned int end,
			       unsigned int perms)
{
	add_range(x, STEP_PROTECT, gfn, end);
	x->step[x->nsteps - 1].perms = (uint8_t)perms;
}

static inline void add_move(struct explore *x, unsigned int from, unsigned int end, unsigned int to)
{
	add_range(x, STEP_MOVE, from, end);
	x->step[x->nsteps - 1].also = to;
}

#endif
