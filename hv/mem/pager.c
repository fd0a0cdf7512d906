/* SPDX-License-Identifier: MIT */
/* Faults, and what else needs a page: see hv/mem/pager.h. Placing is in pager_place.c. */
#include "hv/mem/pager.h"

#include "ept/access.h"
#include "ept/relocate.h"
#include "hv/base/clock.h"
#include "hv/vm/clone.h"
#include "hv/vm/dirty.h"
#include "hv/mem/frames.h"
#include "hv/mem/pager_place.h"
#include "hv/base/trace.h"
#include "hv/vm/vm.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

void pager_init(struct pager *p, struct vm *vm, struct page_source *source, enum pg_level piece,
		enum config_policy policy, uint64_t frames)
{
	*p = (struct pager){
		.vm = vm,
		.source = source,
		.piece = piece,
		.policy = policy,
		.frames = frames,
	};
}

/* --- what was discarded --------------------------------------------------------------------- */

/* It comes back as zeros; nobody is asked. Its contents are not the source's: it counts as written.
 * Return: 0, or why it was not filled. */
static int refill(struct pager *p, unsigned int cpu, gfn_t gfn)
{
	struct ept_cpu *me = ept_cpu(&p->vm->ept, cpu);
	struct ept_claim claim;
	hpa_t at;
	int err = ept_fill_zero(me, gfn, PG_LEVEL_4K, &claim);

	if (err)
		return err == -EXDEV ? clone_fill(p->vm, cpu, gfn, &pager_zeros) : err;
	__builtin_memset(direct(claim.frame), 0, PAGE_SIZE);
	if (ept_publish(me, &claim))
		pager_complete(p, cpu, gfn, PG_LEVEL_4K);
	count(&p->stats[cpu].refilled, 1);
	err = ept_reach(me, gfn, EPT_W, &at, &p->vm->gather[cpu]);
	dirty_note(p->vm, gfn, 1);
	return err == -EFAULT ? 0 : err; /* the guest may only read it */
}

/* --- private copies ----------------------------------------------------------------------- */

/* What was frozen becomes the page's own, by a copy if anybody else refers to the frame. */
static int make_own(struct pager *p, unsigned int cpu, const struct ept_frozen *f)
{
	struct ept_cpu *me = ept_cpu(&p->vm->ept, cpu);
	hpa_t frame;

	if (frames_sole(p->vm, f->gfn, f->was.frame)) {
		(void)ept_thaw_owned(me, f);
		count(&p->stats[cpu].reused, 1);
		return 0;
	}
	frame = frames_take(p->vm, f->gfn);
	if (frame.v == HPA_NONE.v) {
		(void)ept_thaw(me, f, f->was.frame);
		return -ENOMEM;
	}
	__builtin_memcpy(direct(frame), direct(f->was.frame), PAGE_SIZE);
	(void)ept_thaw(me, f, frame);
	frames_drop(p->vm, f->was.frame);
	count(&p->stats[cpu].copied, 1);
	return 0;
}

int pager_copy(struct pager *p, unsigned int cpu, gfn_t gfn)
{
	struct ept_cpu *me = ept_cpu(&p->vm->ept, cpu);
	struct ept_gather *g = &p->vm->gather[cpu];
	uint64_t begin = clock_now();
	struct ept_frozen f;
	int err;

	/* What refers to the page is not counted yet; and a frozen page would hold the clone up. */
	if (atomic_load(&p->vm->cloning))
		return -EBUSY;
	err = ept_freeze(me, gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, g);
	if (err)
		return err;
	ept_sync(g);
	if (f.was.cow && !atomic_load(&p->vm->cloning)) {
		err = make_own(p, cpu, &f);
	} else {
		/* It is its own already; or a clone was begun meanwhile. */
		(void)ept_thaw(me, &f, f.was.frame);
		err = f.was.cow ? -EBUSY : 0;
	}
	count(&p->stats[cpu].copy_cycles, clock_now() - begin);
	return err;
}

/* --- faults ------------------------------------------------------------------------------- */

/* A private page: the vCPU gets a copy of its own. */
static enum pager_answer fault_copy(struct pager *p, struct vcpu *vcpu, gfn_t gfn)
{
	switch (pager_copy(p, vcpu->cpu, gfn)) {
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

/* The page is here. Then the fault is stale, unless the page withholds what the access needs. */
static enum pager_answer fault_present(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
				       unsigned int access)
{
	struct ept_cpu *me = ept_cpu(&p->vm->ept, vcpu->cpu);
	int64_t resolved = me->stats.write_faults + me->stats.nx_splits;

	switch (ept_resolve(me, gfn, access, &p->vm->gather[vcpu->cpu])) {
	case -EFAULT:
		return PAGER_DENIED;
	case -EXDEV:
		return fault_copy(p, vcpu, gfn);
	case -EHWPOISON:
		return PAGER_POISON;
	case -EBUSY:
		return PAGER_WAIT;
	case -ENOMEM:
		count(&p->stats[vcpu->cpu].starved, 1);
		return PAGER_WAIT;
	default:
		vcpu->stats.faults_spurious += me->stats.write_faults + me->stats.nx_splits ==
					       resolved;
		return PAGER_RESUME;
	}
}

static enum pager_answer fault_discarded(struct pager *p, struct vcpu *vcpu, gfn_t gfn)
{
	return refill(p, vcpu->cpu, gfn) == -ENOMEM ? PAGER_WAIT : PAGER_RESUME;
}

static enum pager_answer fault_refused(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
				       unsigned int access, int err)
{
	switch (err) {
	case -EEXIST:
		return fault_present(p, vcpu, gfn, access);
	case -ENODATA:
		return fault_discarded(p, vcpu, gfn);
	case -ENOENT:
		return PAGER_WILD;
	case -EHWPOISON:
		return PAGER_POISON;
	case -ENOMEM:
		count(&p->stats[vcpu->cpu].starved, 1);
		return PAGER_WAIT;
	default:
		return PAGER_WAIT; /* asked for, being filled, or frozen */
	}
}

/* Placed within the fault: it was remote, and it is over. */
static inline enum pager_answer fault_over(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
					   uint64_t begin)
{
	struct pager_counters *stats = &p->stats[vcpu->cpu];
	uint64_t end = clock_now();

	count(&stats->at_hand, 1);
	count(&stats->place_cycles, end - begin);
	vcpu->stats.faults_remote++;
	vcpu_note_latency(vcpu, end - begin);
	trace_at(vcpu->cpu, end, TRACE_ARRIVE, gfn, PG_LEVEL_4K);
	return PAGER_RESUME;
}

/* Not to be filled, or not in the frame that it has. */
static __attribute__((noinline)) enum pager_answer fault_elsewhere(struct pager *p,
								   struct vcpu *vcpu, gfn_t gfn,
								   const struct page_reply *reply,
								   unsigned int access, int err)
{
	uint64_t begin = clock_now();

	if (err == -EXDEV) {
		err = clone_fill(p->vm, vcpu->cpu, gfn, reply);
		if (!err)
			return fault_over(p, vcpu, gfn, begin);
		if (err == -ENOMEM)
			return PAGER_NOMEM;
	}
	return fault_refused(p, vcpu, gfn, access, err);
}

/* A page with contents, at hand: the path that everything else is measured against. */
static inline enum pager_answer fault_data(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
					   const struct page_reply *reply,
					   const struct vcpu_exit *exit, uint64_t begin)
{
	struct ept_cpu *me = ept_cpu(&p->vm->ept, vcpu->cpu);
	struct ept_claim claim;
	int err = ept_fill(me, gfn, PG_LEVEL_4K, &claim);

	if (__builtin_expect(err, 0))
		return fault_elsewhere(p, vcpu, gfn, reply, exit->access, err);
	if (reply->data)
		__builtin_memcpy(direct(claim.frame), reply->data, PAGE_SIZE);
	if (__builtin_expect(ept_publish(me, &claim), 0))
		pager_complete(p, vcpu->cpu, gfn, PG_LEVEL_4K);
	return fault_over(p, vcpu, gfn, begin);
}

/* Zeros, at hand: in pieces of the size that the VM grows by. */
static enum pager_answer fault_zeros(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
				     unsigned int access, uint64_t begin)
{
	gfn_t at = ALIGN_DOWN(gfn, level_frames(p->piece));
	int err = pager_place_piece(p, vcpu->cpu, at, p->piece, &pager_zeros);

	if (err == -E2BIG)
		err = pager_place_piece(p, vcpu->cpu, gfn, PG_LEVEL_4K, &pager_zeros);
	if (err == -ENOMEM && ept_lookup(&p->vm->ept, gfn).cow)
		return PAGER_NOMEM;
	if (err)
		return fault_refused(p, vcpu, gfn, access, err);
	vcpu->stats.faults_remote++;
	vcpu_note_latency(vcpu, clock_now() - begin);
	return PAGER_RESUME;
}

/* Somebody waits for the page. 0: it was asked for, by this call. */
static int ask(struct pager *p, unsigned int cpu, gfn_t gfn)
{
	int err = ept_request(ept_cpu(&p->vm->ept, cpu), gfn);

	if (err)
		return err;
	p->last_fault = gfn;
	trace(TRACE_REQUEST, gfn, 1);
	/* One page for each waiting vCPU at the most: the source's ring has room for them. */
	if (p->source->ops->request(p->source, cpu, gfn, 1, true))
		count(&p->stats[cpu].starved, 1);
	return 0;
}

static enum pager_answer fault_ask(struct pager *p, struct vcpu *vcpu, gfn_t gfn,
				   unsigned int access)
{
	int err = ask(p, vcpu->cpu, gfn);

	return err ? fault_refused(p, vcpu, gfn, access, err) : PAGER_WAIT;
}

enum pager_answer pager_fault(struct pager *p, struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	gfn_t gfn = gpa_to_gfn(exit->gpa);
	uint64_t begin = clock_now();
	struct page_reply reply;

	if (gfn >= p->frames)
		return PAGER_WILD;
	vcpu->stats.faults++;
	if (!p->source->ops->now(p->source, gfn, &reply))
		return fault_ask(p, vcpu, gfn, exit->access);
	if (reply.data || reply.in_place)
		return fault_data(p, vcpu, gfn, &reply, exit, begin);
	return fault_zeros(p, vcpu, gfn, exit->access, begin);
}

/* --- without a vCPU ----------------------------------------------------------------------- */

int pager_bring(struct pager *p, unsigned int cpu, gfn_t gfn)
{
	struct page_reply reply;
	int err;

	if (gfn >= p->frames)
		return -ENOENT;
	if (p->source->ops->now(p->source, gfn, &reply)) {
		err = pager_place_piece(p, cpu, gfn, PG_LEVEL_4K, &reply);
	} else {
		err = ask(p, cpu, gfn);
		if (!err || err == -EALREADY)
			err = -EBUSY;
	}
	return err == -ENODATA ? refill(p, cpu, gfn) : err;
}

void pager_poll(struct pager *p)
{
	struct page_reply reply;

	if (p->source->ops->poll && p->source->ops->poll(p->source, true, &reply))
		pager_place(p, cpu_id(), &reply);
}

/* --- sums --------------------------------------------------------------------------------- */

void pager_sum(const struct pager *p, struct pager_stats *sum)
{
	*sum = (struct pager_stats){ 0 };
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		const struct pager_counters *s = &p->stats[i];

#define X(name, what) sum->name += atomic_load_explicit(&s->name, memory_order_relaxed);
		PAGER_STATS(X)
#undef X
	}
	/* That path counts once for all three. */
	sum->data_frames += sum->at_hand;
	sum->demand += sum->at_hand;
}

uint64_t pager_settled(const struct pager *p)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < ncpus; i++) {
		const struct pager_counters *s = &p->stats[i];
		const struct ept_counters *e = &p->vm->ept.cpu[i].stats;

		n += atomic_load_explicit(&s->data_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->zero_frames, memory_order_relaxed) +
		     atomic_load_explicit(&s->at_hand, memory_order_relaxed) +
		     (uint64_t)atomic_load_explicit(&e->given_up, memory_order_relaxed);
	}
	return n;
}
