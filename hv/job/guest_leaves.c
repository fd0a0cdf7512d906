/* SPDX-License-Identifier: MIT */
/* The sizes of a guest's leaves. See hv/job/guest_leaves.h. */
#include "hv/job/guest_leaves.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/mem/collapse.h"
#include "hv/mem/collapse_copy.h"
#include "mm/percpu.h"

uint64_t guest_collapse(struct guest_run *run)
{
	return mem_collapse_all(&run->vm->mem, cpu_id());
}

const char *guest_ranges(const struct guest_run *run, gfn_t *first, gfn_t *end)
{
	const struct run_config *config = run->config;

	*first = ALIGN_UP(config->work_start, 2 * MIB) >> PAGE_SHIFT;
	*end = ALIGN_DOWN(config->work_start + config->work, 2 * MIB) >> PAGE_SHIFT;
	MUST(*first < *end, "there is no whole 2 MiB in the payload's memory: make work= larger");
	return NULL;
}

const char *guest_all_leaves(const struct guest_run *run, gfn_t gfn, gfn_t end, enum pg_level level)
{
	while (gfn < end) {
		struct ept_state s = ept_lookup(&run->vm->mem.ept, gfn);

		if (s.kind != EPT_PRESENT || s.level != level) {
			con_printf("cleave: gpa 0x%llx is %s, at level %d where %d should be\n",
				   (unsigned long long)gfn_to_gpa(gfn).v,
				   s.kind == EPT_PRESENT ? "mapped" : "not present", (int)s.level,
				   (int)level);
			return "the leaves are not of the size that they should have";
		}
		gfn = state_end(&s, gfn);
	}
	return NULL;
}

static const char *together(struct guest_run *run, gfn_t gfn, enum pg_level level)
{
	int n;

	while ((n = mem_collapse_copy(&run->vm->mem, gfn, level)) == EPT_BUSY)
		TRY(guest_turn(run));
	if (n >= 0)
		return NULL;
	con_printf("cleave: gpa 0x%llx does not become one leaf: %s\n",
		   (unsigned long long)gfn_to_gpa(gfn).v, ept_refusal_name(n));
	return "scattered pieces did not become one leaf";
}

const char *guest_together(struct guest_run *run, gfn_t gfn, gfn_t end, enum pg_level largest)
{
	uint64_t began = clock_now();

	for (enum pg_level level = PG_LEVEL_2M; level <= largest; level++)
		for (gfn_t at = ALIGN_DOWN(gfn, level_frames(level)); at < end;
		     at += level_frames(level))
			TRY(together(run, at, level));
	guest_figure(run, "collapse_us", "us in collapses that copied",
		     cycles_to_us(clock_now() - began));
	return NULL;
}
