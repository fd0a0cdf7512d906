/* SPDX-License-Identifier: MIT */
/* Placing what comes, and collapsing what is complete by it. See hv/mem/pager_place.h. */
#include "hv/mem/pager_place.h"

#include "hv/base/clock.h"
#include "hv/vm/clone.h"
#include "hv/base/trace.h"
#include "hv/vm/vm.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- collapse ----------------------------------------------------------------------------- */

static void collapse(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	uint64_t begin = clock_now();
	int n = ept_collapse(ept_cpu(&p->vm->ept, cpu), gfn, level, &p->vm->gather[cpu]);

	count(&p->stats[cpu].collapse_cycles, clock_now() - begin);
	if (n > 0)
		count(&p->stats[cpu].collapsed, (uint64_t)n);
}

static bool queue_put(struct pager_queue *q, gfn_t gfn)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&q->head, memory_order_acquire) == PAGER_QUEUE)
		return false;
	q->gfn[tail % PAGER_QUEUE] = gfn;
	atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
	return true;
}

void pager_complete(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level)
{
	enum pg_level above = (enum pg_level)(level + 1);
	bool now = p->policy == POLICY_COMPLETE;

	/* The range is aligned to 512 frames, so its level fits beside it. A full queue loses
	 * nothing: the range collapses at once. */
	if (p->policy == POLICY_BUDGET)
		now = !queue_put(&p->queue[cpu], ALIGN_DOWN(gfn, 512) | above);
	if (now)
		collapse(p, cpu, gfn, above);
}

static bool queue_get(struct pager_queue *q, gfn_t *gfn)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&q->tail, memory_order_acquire))
		return false;
	*gfn = q->gfn[head % PAGER_QUEUE];
	atomic_store_explicit(&q->head, head + 1, memory_order_release);
	return true;
}

unsigned int pager_collapse_some(struct pager *p, unsigned int cpu, unsigned int n)
{
	unsigned int done = 0;
	gfn_t entry;

	for (unsigned int i = 0; i < ncpus; i++)
		while (done < n && queue_get(&p->queue[i], &entry)) {
			collapse(p, cpu, ALIGN_DOWN(entry, 512), (enum pg_level)(entry & 511));
			done++;
		}
	return done;
}

unsigned int pager_backlog(const struct pager *p)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < ncpus; i++)
		n += atomic_load_explicit(&p->queue[i].tail, memory_order_acquire) -
		     atomic_load_explicit(&p->queue[i].head, memory_order_relaxed);
	return n;
}

void pager_collapse_all(struct pager *p, unsigned int cpu)
{
	struct ept_collapse_result result;
	uint64_t begin = clock_now();

	ept_collapse_range(ept_cpu(&p->vm->ept, cpu), 0, p->frames, &p->vm->gather[cpu], &result);
	ept_sync(&p->vm->gather[cpu]);
	count(&p->stats[cpu].collapse_cycles, clock_now() - begin);
	count(&p->stats[cpu].collapsed, result.collapsed);
}

/* --- placing ------------------------------------------------------------------------------ */

const struct page_reply pager_zeros = { 0 };

static void write_contents(hpa_t frame, const struct page_reply *reply, enum pg_level level)
{
	if (reply->data)
		__builtin_memcpy(direct(frame), reply->data, PAGE_SIZE);
	else if (!reply->in_place)
		__builtin_memset(direct(frame), 0, level_frames(level) << PAGE_SHIFT);
}

/* A clone's page, whose frame is another VM's: page by page. */
static int place_foreign(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level,
			 const struct page_reply *reply)
{
	int err = level > PG_LEVEL_4K ? -E2BIG : clone_fill(p->vm, cpu, gfn, reply);

	if (!err)
		count(reply->data || reply->in_place ? &p->stats[cpu].data_frames
						     : &p->stats[cpu].zero_frames,
		      1);
	return err;
}

int pager_place_piece(struct pager *p, unsigned int cpu, gfn_t gfn, enum pg_level level,
		      const struct page_reply *reply)
{
	bool has_data = reply->data || reply->in_place;
	struct ept_cpu *me = ept_cpu(&p->vm->ept, cpu);
	struct pager_counters *stats = &p->stats[cpu];
	uint64_t begin = clock_now(), end;
	struct ept_claim claim;
	int err = ept_fill(me, gfn, level, &claim);
	bool full;

	if (__builtin_expect(err, 0))
		return err == -EXDEV ? place_foreign(p, cpu, gfn, level, reply) : err;
	write_contents(claim.frame, reply, level);
	full = ept_publish(me, &claim);
	end = clock_now();
	count(has_data ? &stats->data_frames : &stats->zero_frames, level_frames(level));
	count(claim.entry & ENTRY_REQUESTED ? &stats->demand : &stats->background, 1);
	count(&stats->place_cycles, end - begin);
	trace_at(cpu, end, has_data ? TRACE_ARRIVE : TRACE_ZERO, gfn, level);
	if (__builtin_expect(full, 0))
		pager_complete(p, cpu, gfn, level);
	return 0;
}

/* The largest piece of [gfn, end) that begins at gfn. */
static enum pg_level largest_piece(const struct pager *p, gfn_t gfn, gfn_t end)
{
	enum pg_level level = p->vm->ept.leaf_max;

	while (level > PG_LEVEL_4K &&
	       (!IS_ALIGNED(gfn, level_frames(level)) || end - gfn < level_frames(level)))
		level--;
	return level;
}

gfn_t pager_place_zeros(struct pager *p, unsigned int cpu, gfn_t gfn, gfn_t end)
{
	enum pg_level level = largest_piece(p, gfn, end);
	struct ept_state there;
	int err;

	while ((err = pager_place_piece(p, cpu, gfn, level, &pager_zeros)) == -E2BIG)
		level--;
	if (!err)
		return gfn + level_frames(level);
	if (err == -ENOMEM)
		count(&p->stats[cpu].starved, 1);
	/* It is here, or under way: step over what is. */
	there = ept_lookup(&p->vm->ept, gfn);
	return ALIGN_DOWN(gfn, level_frames(there.level)) + level_frames(there.level);
}

void pager_place(struct pager *p, unsigned int cpu, const struct page_reply *reply)
{
	gfn_t end = reply->gfn + reply->frames;

	if (reply->data || reply->in_place) {
		int err = pager_place_piece(p, cpu, reply->gfn, PG_LEVEL_4K, reply);

		if (err == -ENOMEM)
			count(&p->stats[cpu].starved, 1);
		else if (err) {
			count(&p->stats[cpu].duplicates, 1);
			trace(TRACE_DUPLICATE, reply->gfn, PG_LEVEL_4K);
		}
		return;
	}
	for (gfn_t gfn = reply->gfn; gfn < end;)
		gfn = pager_place_zeros(p, cpu, gfn, end);
}
