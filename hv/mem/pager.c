/* SPDX-License-Identifier: MIT */
/* Faults, and what else needs a page: see hv/mem/pager.h. */
#include "hv/mem/pager.h"

#include "ept/access.h"
#include "ept/relocate.h"
#include "hv/mem/fill.h"
#include "hv/mem/private.h"
#include "mm/err.h"

void pager_init(struct memory *mem, struct page_source *source, enum pg_level piece,
		const struct policy *policy)
{
	mem->pager = (struct pager){
		.source = source,
		.piece = piece,
		.policy = policy,
	};
}

static struct pager_counters *counters(struct memory *mem, unsigned int cpu)
{
	return &mem->pager.stats[cpu];
}

/* What was discarded comes back as zeros; nobody is asked. 0, or why it was not filled. */
static int refill(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	return fill_page(mem, cpu, gfn, PG_LEVEL_4K, &fill_zeros, FILL_AGAIN, 0, NULL);
}

/* --- private copies ----------------------------------------------------------------------- */

/* What was frozen becomes the page's own, by a copy if anybody else refers to the frame. */
static int make_own(struct memory *mem, unsigned int cpu, const struct ept_frozen *f)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	hpa_t frame;

	if (private_sole(mem, f->gfn, f->was.frame)) {
		(void)ept_thaw_owned(me, f);
		pager_count(&counters(mem, cpu)->reused, 1);
		return 0;
	}
	frame = private_take(mem, f->gfn);
	if (frame.v == HPA_NONE.v) {
		(void)ept_thaw(me, f, f->was.frame);
		return -ENOMEM;
	}
	__builtin_memcpy(direct(frame), direct(f->was.frame), PAGE_SIZE);
	(void)ept_thaw(me, f, frame);
	private_drop(mem, f->was.frame);
	pager_count(&counters(mem, cpu)->copied, 1);
	return 0;
}

int pager_copy(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	struct ept_gather *g = &mem->gather[cpu];
	uint64_t begin = clock_now();
	struct ept_frozen f;
	int err;

	/* What refers to the page is not counted yet; and a frozen page would hold the clone up. */
	if (atomic_load(&mem->cloning))
		return -EBUSY;
	err = ept_freeze(me, gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, g);
	if (err)
		return err;
	ept_sync(g);
	if (f.was.cow && !atomic_load(&mem->cloning)) {
		err = make_own(mem, cpu, &f);
	} else {
		/* It is its own already; or a clone was begun meanwhile. */
		(void)ept_thaw(me, &f, f.was.frame);
		err = f.was.cow ? -EBUSY : 0;
	}
	pager_count(&counters(mem, cpu)->copy_cycles, clock_now() - begin);
	return err;
}

/* --- faults that bring no page -------------------------------------------------------------- */

/* A private page: the vCPU gets a copy of its own. */
static enum pager_answer fault_copy(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	switch (pager_copy(mem, cpu, gfn)) {
	case -ENOMEM:
		return PAGER_NOMEM;
	case -EBUSY:
		return PAGER_WAIT;
	case -EHWPOISON:
		return PAGER_POISON;
	default:
		return PAGER_RESUME;
	}
}

/* No table page is free just now. */
static enum pager_answer fault_starved(struct memory *mem, unsigned int cpu)
{
	pager_count(&counters(mem, cpu)->starved, 1);
	return PAGER_WAIT;
}

/* The page is here. Then the fault is stale, unless the page withholds what the access needs. */
static enum pager_answer fault_present(struct memory *mem, unsigned int cpu, gfn_t gfn,
				       unsigned int access, struct fault_stats *stats)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	int64_t resolved = me->stats.write_faults + me->stats.nx_splits;

	switch (ept_resolve(me, gfn, access, &mem->gather[cpu])) {
	case -EFAULT:
		return PAGER_DENIED;
	case -EXDEV:
		return fault_copy(mem, cpu, gfn);
	case -EHWPOISON:
		return PAGER_POISON;
	case -EBUSY:
		return PAGER_WAIT;
	case -ENOMEM:
		return fault_starved(mem, cpu);
	default:
		stats->spurious += me->stats.write_faults + me->stats.nx_splits == resolved;
		return PAGER_RESUME;
	}
}

static __attribute__((noinline)) enum pager_answer fault_refused(struct memory *mem,
								 unsigned int cpu, gfn_t gfn,
								 unsigned int access, int err,
								 struct fault_stats *stats)
{
	switch (err) {
	case -EEXIST:
		return fault_present(mem, cpu, gfn, access, stats);
	case -ENODATA:
		return refill(mem, cpu, gfn) == -ENOMEM ? PAGER_WAIT : PAGER_RESUME;
	case -ENOENT:
		return PAGER_WILD;
	case -EHWPOISON:
		return PAGER_POISON;
	case -ENOMEM:
		/* A frame of its own, which nobody gives back; or a table page, which somebody
		 * does.
		 */
		return ept_lookup(&mem->ept, gfn).cow ? PAGER_NOMEM : fault_starved(mem, cpu);
	default:
		return PAGER_WAIT; /* asked for, being filled, or frozen */
	}
}

/* --- faults that bring one ------------------------------------------------------------------ */

/* Zeros, at hand: in pieces of the size that the memory grows by. */
static int place_zeros_at_hand(struct memory *mem, unsigned int cpu, gfn_t gfn, uint64_t begin,
			       struct fault_stats *stats)
{
	enum pg_level piece = mem->pager.piece;
	int err = fill_page(mem, cpu, ALIGN_DOWN(gfn, level_frames(piece)), piece, &fill_zeros,
			    FILL_FAULT, begin, stats);

	return err == -E2BIG ? fill_page(mem, cpu, gfn, PG_LEVEL_4K, &fill_zeros, FILL_FAULT, begin,
					 stats)
			     : err;
}

/* Somebody waits for the page. 0: it was asked for, by this call. */
static int ask(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct page_source *source = mem->pager.source;
	int err = ept_request(ept_cpu(&mem->ept, cpu), gfn);

	if (err)
		return err;
	mem->pager.last_fault = gfn;
	trace(TRACE_REQUEST, gfn, 1);
	/* At most one page for each waiting vCPU: the source's ring has room for them. */
	if (source->ops->request(source, cpu, gfn, 1, true))
		pager_count(&counters(mem, cpu)->source_full, 1);
	return 0;
}

/* A page without contents at hand. */
static __attribute__((noinline)) int fault_slowly(struct memory *mem, unsigned int cpu, gfn_t gfn,
						  const struct page_reply *reply, uint64_t begin,
						  struct fault_stats *stats)
{
	if (!reply)
		return ask(mem, cpu, gfn);
	return place_zeros_at_hand(mem, cpu, gfn, begin, stats);
}

enum pager_answer pager_fault(struct memory *mem, unsigned int cpu, gpa_t at, unsigned int access,
			      struct fault_stats *stats)
{
	struct page_source *source = mem->pager.source;
	gfn_t gfn = gpa_to_gfn(at);
	uint64_t begin = clock_now();
	struct page_reply reply;
	bool at_hand;
	int err;

	if (gfn >= mem->end)
		return PAGER_WILD;
	stats->faults++;
	at_hand = source->ops->now(source, gfn, &reply);
	if (__builtin_expect(at_hand && (reply.data || reply.in_place), 1)) {
		/* The path that everything else is measured against. */
		err = fill_page(mem, cpu, gfn, PG_LEVEL_4K, &reply, FILL_FAULT, begin, stats);
		if (__builtin_expect(!err, 1))
			return PAGER_RESUME;
		trace_at(cpu, begin, TRACE_FAULT, at.v, access);
	} else {
		trace_at(cpu, begin, TRACE_FAULT, at.v, access);
		err = fault_slowly(mem, cpu, gfn, at_hand ? &reply : NULL, begin, stats);
		if (!err)
			return at_hand ? PAGER_RESUME : PAGER_WAIT;
	}
	return fault_refused(mem, cpu, gfn, access, err, stats);
}

/* --- without a vCPU ----------------------------------------------------------------------- */

int pager_bring(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct page_source *source = mem->pager.source;
	uint64_t begin = clock_now();
	struct page_reply reply;
	int err;

	if (gfn >= mem->end)
		return -ENOENT;
	if (source->ops->now(source, gfn, &reply)) {
		err = fill_page(mem, cpu, gfn, PG_LEVEL_4K, &reply, FILL_ANSWER, begin, NULL);
	} else {
		err = ask(mem, cpu, gfn);
		if (!err || err == -EALREADY)
			err = -EBUSY;
	}
	return err == -ENODATA ? refill(mem, cpu, gfn) : err;
}

void pager_poll(struct memory *mem)
{
	struct page_source *source = mem->pager.source;
	struct page_reply reply;

	if (source->ops->poll && source->ops->poll(source, true, &reply))
		pager_place(mem, cpu_id(), &reply);
}

/* --- placing what came ---------------------------------------------------------------------- */

/* The largest piece of [gfn, end) that begins at gfn. */
static enum pg_level largest_piece(const struct memory *mem, gfn_t gfn, gfn_t end)
{
	enum pg_level level = mem->ept.leaf_max;

	while (level > PG_LEVEL_4K &&
	       (!IS_ALIGNED(gfn, level_frames(level)) || end - gfn < level_frames(level)))
		level--;
	return level;
}

gfn_t pager_place_run(struct memory *mem, unsigned int cpu, gfn_t gfn, gfn_t end,
		      const struct page_reply *reply)
{
	enum pg_level level = largest_piece(mem, gfn, end);
	uint64_t begin = clock_now();
	struct ept_state there;
	int err;

	while ((err = fill_page(mem, cpu, gfn, level, reply, FILL_ANSWER, begin, NULL)) == -E2BIG)
		level--;
	if (!err)
		return gfn + level_frames(level);
	if (err == -ENOMEM)
		pager_count(&counters(mem, cpu)->starved, 1);
	/* It is here, or under way: step over what is. */
	there = ept_lookup(&mem->ept, gfn);
	return state_end(&there, gfn);
}

static void place_page(struct memory *mem, unsigned int cpu, const struct page_reply *reply)
{
	int err =
		fill_page(mem, cpu, reply->gfn, PG_LEVEL_4K, reply, FILL_ANSWER, clock_now(), NULL);

	if (err == -ENOMEM) {
		pager_count(&counters(mem, cpu)->starved, 1);
	} else if (err) {
		pager_count(&counters(mem, cpu)->duplicates, 1);
		trace(TRACE_DUPLICATE, reply->gfn, PG_LEVEL_4K);
	}
}

void pager_place(struct memory *mem, unsigned int cpu, const struct page_reply *reply)
{
	gfn_t end = reply->gfn + reply->frames;

	if (reply->data)
		place_page(mem, cpu, reply);
	else
		for (gfn_t gfn = reply->gfn; gfn < end;)
			gfn = pager_place_run(mem, cpu, gfn, end, reply);
}

/* --- sums --------------------------------------------------------------------------------- */

void pager_sum(const struct memory *mem, struct pager_stats *sum)
{
	*sum = (struct pager_stats){ 0 };
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		const struct pager_counters *s = &mem->pager.stats[i];

#define X(name, what) sum->name += atomic_load_explicit(&s->name, memory_order_relaxed);
		PAGER_STATS(X)
#undef X
	}
	/* That path counts once for all of these. */
	sum->data_frames += sum->at_hand;
	sum->demand += sum->at_hand;
}

uint64_t pager_settled(const struct memory *mem)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < ncpus; i++) {
		const struct pager_counters *s = &mem->pager.stats[i];
		const struct ept_counters *e = &mem->ept.cpu[i].stats;

		n += atomic_load_explicit(&s->data_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->zero_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->at_hand, memory_order_relaxed) +
		     (uint64_t)atomic_load_explicit(&e->given_up, memory_order_relaxed);
	}
	return n;
}
