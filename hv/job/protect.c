/* SPDX-License-Identifier: MIT */
/*
 * job=protect: parts of the payload's memory lose the right to write, at 4 KiB edges inside of
 * large leaves, and get it back, as mprotect() and userfaultfd's write protection have it. Only the
 * leaves that reach across an edge are split. The guest only reads there: if it writes, its vCPU is
 * stopped.
 */
#include "hv/base/console.h"
#include "hv/job/guest_leaves.h"
#include "hv/job/list.h"
#include "hv/mem/guest_memory.h"

#define READ_ONLY (EPT_R | EPT_X)

static gfn_t first, end_of_all; /* whole ranges of the payload's memory */
static enum pg_level largest;   /* its leaves: with nx=on, what is executed beside it counts */

static const char *begin(struct guest_run *run)
{
	TRY(guest_ranges(run, &first, &end_of_all));
	MUST(end_of_all - first >= 2 * level_frames(PG_LEVEL_2M),
	     "two edges need room: make work= 4M or larger");
	largest = ept_lookup(&run->vm->mem.ept, first).level;
	if (run->verbose)
		con_printf("cleave: guest %s must only read its memory from here on\n",
			   run->config->guest);
	return NULL;
}

/* Counts the leaves to split so that one begins at `edge`: of each size above 4 KiB. */
static uint64_t splits_at(gfn_t edge, gfn_t other)
{
	uint64_t n = 0;

	for (enum pg_level level = PG_LEVEL_2M; level <= largest; level++) {
		bool shared = ALIGN_DOWN(edge, level_frames(level)) ==
			      ALIGN_DOWN(other, level_frames(level));

		n += !IS_ALIGNED(edge, level_frames(level)) &&
		     !(shared && other < edge && !IS_ALIGNED(other, level_frames(level)));
	}
	return n;
}

static const char *has_rights(const struct guest_run *run, gfn_t gfn, gfn_t end, unsigned int perms)
{
	while (gfn < end) {
		struct ept_state s = ept_lookup(&run->vm->mem.ept, gfn);

		MUST(s.kind == EPT_PRESENT && s.perms == perms, "a page has not the rights that it "
								"should have");
		gfn = state_end(&s, gfn);
	}
	return NULL;
}

static const char *set_rights(struct guest_run *run, gfn_t gfn, gfn_t end, unsigned int perms)
{
	int err = guest_protect(&run->vm->mem, gfn, end - gfn, perms);

	if (!err)
		return has_rights(run, gfn, end, perms);
	con_printf("cleave: rights could not be changed: %s\n", ept_refusal_name(err));
	return "rights could not be changed";
}

/* Where a round has its edges: off those of large leaves, but in some rounds the upper one. */
static void choose(const struct guest_run *run, gfn_t *from, gfn_t *to)
{
	uint64_t size = level_frames(PG_LEVEL_2M);

	*from = first + 1 + run->round * 7 % (size - 1);
	*to = end_of_all - (run->round % 3 == 2 ? size : 1 + run->round * 5 % (size - 1));
}

static const char *take_away(struct guest_run *run, gfn_t from, gfn_t to)
{
	uint64_t expected = splits_at(from, to) + splits_at(to, from);
	int64_t before = guest_stats(run).splits_present;

	TRY(set_rights(run, from, to, READ_ONLY));
	MUST(guest_stats(run).splits_present == before + (int64_t)expected,
	     "other leaves were split than those at the edges");
	TRY(has_rights(run, first, from, EPT_RWX));
	TRY(has_rights(run, to, end_of_all, EPT_RWX));
	guest_figure(run, "protected", "pages that lost the right to write, and got it back",
		     to - from);
	return guest_passes(run, 1);
}

static const char *one_round(struct guest_run *run)
{
	gfn_t from, to;

	choose(run, &from, &to);
	TRY(take_away(run, from, to));
	MUST(!guest_collapse(run), "a range of two kinds of rights collapsed");
	TRY(has_rights(run, from, to, READ_ONLY));
	TRY(guest_passes(run, 1));
	TRY(set_rights(run, from, to, EPT_RWX));
	MUST(!!guest_collapse(run) == (largest > PG_LEVEL_4K),
	     "what has the same rights again stays small");
	TRY(guest_all_leaves(run, first, end_of_all, largest));
	return guest_passes(run, 1);
}

const char *protect_job(const struct run_config *config, const struct boot_info *info)
{
	static const struct guest_job job = {
		.name = "protect",
		.begin = begin,
		.round = one_round,
	};

	return guest_run(&job, config, info);
}
