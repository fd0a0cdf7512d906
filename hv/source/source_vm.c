/* SPDX-License-Identifier: MIT */
/*
 * Another VM on this machine as the source, with a latency that can be set, so that demonstrations
 * and tests see what a network would do. Pages that the frozen VM never touched are absent in its
 * own second stage: so the source knows runs of zeros without reading memory.
 */
#include "hv/source/source.h"

#include "hv/base/clock.h"
#include "mm/machine.h"
#include "mm/percpu.h"

static bool all_zero(const uint64_t *page)
{
	for (unsigned int i = 0; i < PAGE_SIZE / 8; i += 8)
		if (page[i] | page[i + 1] | page[i + 2] | page[i + 3] | page[i + 4] | page[i + 5] |
		    page[i + 6] | page[i + 7])
			return false;
	return true;
}

/*
 * Frames from gfn on that were never touched, within the page that could take them: the GiB if one
 * begins at gfn, else its 2 MiB. A longer run would make no larger pieces; every request into it
 * would look through it again.
 */
static uint64_t untouched(const struct source_vm *s, gfn_t gfn, const struct ept_state *first)
{
	uint64_t within = level_frames(IS_ALIGNED(gfn, level_frames(PG_LEVEL_1G)) ? PG_LEVEL_1G
										  : PG_LEVEL_2M);
	gfn_t end = MIN(ALIGN_DOWN(gfn, within) + within, s->frames);
	gfn_t at = ALIGN_DOWN(gfn, level_frames(first->level)) + level_frames(first->level);

	while (at < end) {
		struct ept_state next = ept_lookup(s->from, at);

		if (next.kind != EPT_ABSENT)
			break;
		at += level_frames(next.level);
	}
	return MIN(at, end) - gfn;
}

/* Answers for a page that the frozen VM never touched, or lost. */
static void content_absent(const struct source_vm *s, gfn_t gfn, struct page_reply *reply)
{
	struct ept_state e = ept_lookup(s->from, gfn);

	if (e.kind == EPT_POISON) {
		reply->lost = true;
		return;
	}
	/* The run begins where the untouched entry does. */
	if (e.level > PG_LEVEL_4K)
		reply->gfn = ALIGN_DOWN(gfn, level_frames(e.level));
	reply->frames = untouched(s, reply->gfn, &e);
}

static void content(const struct source_vm *s, gfn_t gfn, struct page_reply *reply)
{
	hpa_t frame;

	*reply = (struct page_reply){ .gfn = gfn, .frames = 1 };
	if (!ept_page(s->from, gfn, &frame))
		content_absent(s, gfn, reply);
	else if (!(s->source.staged && source_staged(&s->source, gfn, reply)) &&
		 !all_zero(direct(frame)))
		reply->data = direct(frame);
}

/* Sends the piece whole, unless one run or contents in place answer it. */
static void make_whole(const struct source_vm *s, gfn_t gfn, uint64_t frames,
		       struct page_reply *reply)
{
	if (frames == s->pace.arrive && IS_ALIGNED(gfn, frames) && reply->frames < frames &&
	    !reply->in_place)
		*reply = (struct page_reply){ .gfn = gfn, .frames = frames, .whole = true };
}

static void content_whole(const struct source_vm *s, gfn_t gfn, struct page_reply *reply)
{
	content(s, gfn, reply);
	make_whole(s, ALIGN_DOWN(gfn, s->pace.arrive), s->pace.arrive, reply);
}

static bool vm_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	struct source_vm *s = (struct source_vm *)source;

	if (s->pace.latency && !(s->source.staged && bitmap_test(s->source.staged, gfn)))
		return false;
	if (s->pace.arrive > 1)
		content_whole(s, gfn, reply);
	else
		content(s, gfn, reply);
	return true;
}

static void vm_page(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	content((struct source_vm *)source, gfn, reply);
}

static int vm_request(struct page_source *source, unsigned int cpu, gfn_t gfn, uint64_t frames,
		      bool urgent)
{
	struct source_vm *s = (struct source_vm *)source;
	struct source_request request = {
		.first = gfn,
		.gfn = gfn,
		.frames = frames,
		.due = clock_now() + s->pace.latency + s->pace.per_page * (frames - 1),
	};

	if (gfn >= s->frames || frames > s->frames - gfn || !frames)
		return -EINVAL;
	return ring_put(urgent ? &s->urgent[cpu] : &s->background, &request);
}

/* The request at the head, if its time has come. */
static struct source_request *ring_due(struct source_ring *ring, uint64_t now)
{
	struct source_request *request = ring_head(ring);

	return request && request->due <= now ? request : NULL;
}

/* Answers the next piece of the request; takes it off the ring when it is answered wholly. */
static bool answer(struct source_vm *s, struct source_ring *ring, struct source_request *request,
		   struct page_reply *reply)
{
	uint64_t covered;

	content(s, request->gfn, reply);
	if (s->pace.arrive > 1)
		make_whole(s, request->gfn, request->frames, reply);
	s->source.sent += reply->data != NULL;
	covered = reply->gfn + reply->frames - request->gfn;
	if (covered < request->frames) {
		request->gfn += covered;
		request->frames -= covered;
		return false;
	}
	ring_take(ring);
	return true;
}

/* A vCPU that waits for one page gets just that page, not the run of zeros around it. */
static void answer_urgent(struct source_vm *s, struct source_ring *ring,
			  struct source_request *request, uint64_t now, struct page_answer *a)
{
	const struct source_request was = *request;

	a->completes = answer(s, ring, request, &a->reply) ? was.first : NO_REQUEST;
	a->urgent = true;
	a->late = now - was.due;
	if (was.frames == 1) {
		a->reply.gfn = was.gfn;
		a->reply.frames = 1;
	}
}

static bool vm_poll(struct page_source *source, bool urgent_only, struct page_answer *a)
{
	struct source_vm *s = (struct source_vm *)source;
	uint64_t now = clock_now();
	struct source_request *request;
	gfn_t first;

	for (unsigned int cpu = 0; cpu < ncpus; cpu++) {
		request = ring_due(&s->urgent[cpu], now);
		if (request) {
			answer_urgent(s, &s->urgent[cpu], request, now, a);
			return true;
		}
	}
	request = urgent_only ? NULL : ring_due(&s->background, now);
	if (!request)
		return false;
	first = request->first;
	a->urgent = false;
	a->late = 0;
	a->completes = answer(s, &s->background, request, &a->reply) ? first : NO_REQUEST;
	return true;
}

static void vm_cut(struct page_source *source, bool cut);
static bool vm_is_cut(const struct page_source *source);

static const struct source_ops vm_ops = {
	.name = "vm",
	.now = vm_now,
	.page = vm_page,
	.request = vm_request,
	.poll = vm_poll,
	.cut = vm_cut,
	.is_cut = vm_is_cut,
};

/* --- a link that is cut: other functions, so that the usual ones have nothing to ask ---------- */

/* What was copied ahead is here. */
static bool cut_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	return source->staged && bitmap_test(source->staged, gfn) && vm_now(source, gfn, reply);
}

static bool cut_poll(struct page_source *source, bool urgent_only, struct page_answer *a)
{
	(void)source;
	(void)urgent_only;
	(void)a;
	return false;
}

static const struct source_ops cut_ops = {
	.name = "vm, cut off",
	.now = cut_now,
	.page = vm_page,
	.request = vm_request,
	.poll = cut_poll,
	.cut = vm_cut,
	.is_cut = vm_is_cut,
};

static void vm_cut(struct page_source *source, bool cut)
{
	/* Other CPUs read it at each fault: either table will do. */
	__atomic_store_n(&source->ops, cut ? &cut_ops : &vm_ops, __ATOMIC_RELAXED);
}

static bool vm_is_cut(const struct page_source *source)
{
	return source->ops == &cut_ops;
}

void source_vm_init(struct source_vm *s, struct ept *from, uint64_t frames,
		    const struct source_pace *pace)
{
	*s = (struct source_vm){
		.source.ops = &vm_ops,
		.from = from,
		.frames = frames,
		.pace = *pace,
	};
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		ring_init(&s->urgent[cpu], s->urgent_slot[cpu], SOURCE_URGENT);
	ring_init(&s->background, s->background_slot, SOURCE_BACKGROUND);
}
