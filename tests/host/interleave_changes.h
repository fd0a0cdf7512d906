/* SPDX-License-Identifier: MIT */
/* What scenes share in which ranges change or frames do: see interleave_case.h. */
#ifndef TESTS_HOST_INTERLEAVE_CHANGES_H
#define TESTS_HOST_INTERLEAVE_CHANGES_H

#include "ept/relocate.h"
#include "tests/host/interleave_case.h"

#define FURTHER (512 * GIB) /* to another frame */

static struct {
	bool at_other[PAGES]; /* the page went to another frame */
	unsigned int frozen[PAGES];
	uint64_t reported; /* by collections, bit by page */
	struct ept clone;
} more;

static inline void clear_more(void)
{
	memset(&more, 0, sizeof(more));
}

static inline void absent_more(struct crowd_cpu *cpu)
{
	clear_more();
	absent(cpu);
}

static inline void present_more(struct crowd_cpu *cpu)
{
	clear_more();
	present(cpu);
}

static inline void small_more(struct crowd_cpu *cpu)
{
	clear_more();
	present_small(cpu);
}

/* Something is frozen: whoever froze it gets on, and the same call again does the rest. */
static inline bool again(struct crowd_cpu *cpu, int r, unsigned int *tries)
{
	if (r != EPT_BUSY || ++*tries > 100)
		return false;
	crowd_pause(cpu);
	cpu->crowd->relax();
	return true;
}

static inline void arrive_1(struct crowd_cpu *cpu)
{
	arrive(cpu, 1, PG_LEVEL_4K);
}

static inline void arrive_2m(struct crowd_cpu *cpu)
{
	arrive(cpu, 0, PG_LEVEL_2M);
}

static inline void unmap_1(struct crowd_cpu *cpu)
{
	unsigned int tries = 0;
	int r;

	do {
		r = ept_unmap(cpu->me, 1, 1, &cpu->gather);
	} while (again(cpu, r, &tries));
	if (r)
		crowd_fail(cpu, "unmap returned %d", r);
}

static inline void collapse_1g(struct crowd_cpu *cpu)
{
	(void)!ept_collapse(cpu->me, 0, PG_LEVEL_1G, &cpu->gather);
}

static inline void relocate(struct crowd_cpu *cpu, gfn_t gfn, enum pg_level level, bool other)
{
	struct ept_frozen f;
	int r = ept_freeze(cpu->me, gfn, level, EPT_WHY_COW, &f, &cpu->gather);
	uint64_t n = fmt_frames(cpu->crowd->ept.fmt, level);

	seen.result[cpu->id] = r;
	if (r == EPT_BUSY || r == EPT_SMALLER || r == EPT_UNMAPPED || r == EPT_NOT_HERE)
		return;
	if (r) {
		crowd_fail(cpu, "freeze returned %d", r);
		return;
	}
	for (gfn_t i = gfn; i < gfn + n; i++)
		if (more.frozen[i]++)
			crowd_fail(cpu, "page %lu is frozen twice", (long)i);
	ept_sync(&cpu->gather);
	for (gfn_t i = gfn; i < gfn + n; i++) {
		if (--more.frozen[i])
			crowd_fail(cpu, "page %lu was frozen twice", (long)i);
		more.at_other[i] |= other;
	}
	(void)ept_thaw(cpu->me, &f, hpa(f.was.frame.v + (other ? FURTHER : 0)));
}

static inline void freeze_1(struct crowd_cpu *cpu)
{
	relocate(cpu, 1, PG_LEVEL_4K, false);
}

static inline void each_page_is_where_it_went(struct crowd_cpu *cpu)
{
	for (gfn_t gfn = 0; gfn < PAGES; gfn++) {
		struct ept_state s = ept_lookup(&cpu->crowd->ept, gfn);
		uint64_t inside = gfn & (fmt_frames(cpu->crowd->ept.fmt, s.level) - 1);
		uint64_t frame = CROWD_BACKING + (gfn << PAGE_SHIFT);

		frame += more.at_other[gfn] ? FURTHER : 0;
		if (s.kind != EPT_PRESENT || s.frame.v + (inside << PAGE_SHIFT) != frame)
			crowd_fail(cpu, "page %lu is %s at another frame", (long)gfn,
				   entry_kind_name(s.kind));
	}
}

#endif
