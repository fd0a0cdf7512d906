/* SPDX-License-Identifier: MIT */
/* Changes of a guest's memory. See hv/monitor/change.h. */
#include "hv/monitor/change.h"

#include "hv/mem/guest_memory.h"

#define STEP_RANGES 4 /* of 2 MiB, in a step */

const char *change_begin(struct change *c, struct watched *on, const struct monitor_call *call)
{
	const struct memory *mem = &on->vm->mem;
	uint64_t gpa = call->arg[0].number, bytes = call->arg[1].number;
	uint64_t all = mem->frames << PAGE_SHIFT;

	*c = (struct change){ .on = on, .id = call->id };
	if (on->no_change)
		return on->no_change;
	if (gpa >= all || bytes > all - gpa)
		return "GPA and BYTES reach beyond the guest's memory: see `info mem`";
	if (call->id == MONITOR_EPT_POISON && on->config->hops > 1)
		return "pages can be lost in a single migration only: this run has hops=";
	c->gfn = c->at = gpa >> PAGE_SHIFT;
	c->end = c->gfn + (bytes >> PAGE_SHIFT);
	c->level = PG_LEVEL_4K;
	if (call->id == MONITOR_EPT_SPLIT && call->args > 2)
		c->level = (enum pg_level)call->arg[2].number;
	c->perms = (unsigned int)call->arg[2].number;
	on->reshaped |= call->id != MONITOR_EPT_POISON && call->id != MONITOR_EPT_DISCARD;
	return NULL;
}

static void split(struct change *c, struct memory *mem, uint64_t frames)
{
	struct ept_split_result r = { 0 };

	ept_split_range(mem_handle(mem), c->at, frames, c->level, EPT_WHY_ASKED, mem_gather(mem),
			&r);
	ept_sync(mem_gather(mem));
	c->done += r.split;
	for (unsigned int i = 0; i < EPT_REFUSALS_N; i++)
		c->refused += r.refused[i];
}

static void collapse(struct change *c, struct memory *mem, gfn_t gfn, uint64_t frames)
{
	struct ept_collapse_result r = { 0 };

	ept_collapse_range(mem_handle(mem), gfn, frames, mem_gather(mem), &r);
	ept_sync(mem_gather(mem));
	c->done += r.collapsed;
	if (gfn == c->gfn && gfn + frames == c->end) {
		c->refused = 0; /* by now: the last look counts */
		for (unsigned int i = 0; i < EPT_REFUSALS_N; i++)
			c->refused += r.refused[i];
	}
}

static void lose(struct change *c, struct memory *mem, uint64_t frames)
{
	c->err = guest_poison(mem, c->at, frames);
	if (c->err)
		return;
	c->done += frames;
	c->on->ops->lost(c->on->ctx, c->at, frames);
}

static void discard(struct change *c, struct memory *mem, uint64_t frames)
{
	c->err = guest_discard(mem, c->at, frames);
	if (c->err)
		return;
	c->done += frames;
	c->on->ops->discarded(c->on->ctx, c->at, frames);
}

static void protect(struct change *c, struct memory *mem, uint64_t frames)
{
	c->err = guest_protect(mem, c->at, frames, c->perms);
	if (!c->err)
		c->done += frames;
}

bool change_step(struct change *c)
{
	struct memory *mem = &c->on->vm->mem;
	uint64_t step = STEP_RANGES * level_frames(PG_LEVEL_2M);
	gfn_t end = MIN(ALIGN_DOWN(c->at, step) + step, c->end);
	uint64_t frames = end - c->at;

	switch (c->id) {
	case MONITOR_EPT_SPLIT:
		split(c, mem, frames);
		break;
	case MONITOR_EPT_COLLAPSE:
		collapse(c, mem, c->at, frames);
		if (end == c->end) /* larger leaves than a step */
			collapse(c, mem, c->gfn, c->end - c->gfn);
		break;
	case MONITOR_EPT_POISON:
		lose(c, mem, frames);
		break;
	case MONITOR_EPT_DISCARD:
		discard(c, mem, frames);
		break;
	default:
		protect(c, mem, frames);
		break;
	}
	c->at = end;
	return !c->err && c->at < c->end;
}

static const char *why(int err)
{
	switch (err) {
	case EPT_LOST:
		return "the page is lost already";
	case EPT_NO_TABLE:
		return "there is no table page for a split at an edge";
	case EPT_UNMAPPED:
		return "nothing is mapped there";
	default:
		return "the second stage refuses it: wrong rights for this CPU, or no such range";
	}
}

const char *change_answer(const struct change *c, struct answer *a)
{
	if (c->err && !c->done)
		return why(c->err);
	c->on->changes++;
	switch (c->id) {
	case MONITOR_EPT_SPLIT:
		answer_int(a, "entries_split", (int64_t)c->done);
		answer_int(a, "refused", (int64_t)c->refused);
		answer_str(a, "note",
			   "what arrives completes ranges again, and the policy "
			   "collapses them; or say `ept collapse`");
		break;
	case MONITOR_EPT_COLLAPSE:
		answer_int(a, "tables_collapsed", (int64_t)c->done);
		answer_int(a, "refused", (int64_t)c->refused);
		break;
	case MONITOR_EPT_POISON:
		answer_int(a, "pages_lost", (int64_t)c->done);
		answer_str(a, "note",
			   "a vCPU that touches them takes a machine check, of which most "
			   "payloads die; if the payload uses them, the run fails");
		break;
	case MONITOR_EPT_DISCARD:
		answer_int(a, "pages_discarded", (int64_t)c->done);
		answer_str(a, "note",
			   "they read as zeros; if the payload had its data there, it "
			   "finds wrong data, and the run fails");
		break;
	default:
		answer_int(a, "pages_protected", (int64_t)c->done);
		answer_str(a, "note",
			   "a vCPU that does what it may not is stopped, and the run "
			   "fails; so it does if rights still differ at its end");
		break;
	}
	return c->err ? why(c->err) : NULL;
}
