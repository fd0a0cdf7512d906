/* SPDX-License-Identifier: MIT */
/* The dirty log. See hv/vm/dirty_log.h. */
#include "hv/vm/dirty_log.h"

#include "ept/track.h"
#include "hv/base/panic.h"
#include "hv/base/smp.h"
#include "mm/err.h"
#include "mm/machine.h"

#define END_STEP 4096 /* entries that lose their marks between two acknowledgements */

static struct ept_cpu *me(const struct dirty_log *d)
{
	return ept_cpu(&d->vm->mem.ept, cpu_id());
}

static struct ept_gather *gather(const struct dirty_log *d)
{
	return &d->vm->mem.gather[cpu_id()];
}

enum dirty_how dirty_how_of(enum config_log log)
{
	static const enum dirty_how how[] = {
		[LOG_AUTO] = DIRTY_AUTO,
		[LOG_WRITES] = DIRTY_WRITES,
		[LOG_BITS] = DIRTY_BITS,
		[LOG_HARDWARE] = DIRTY_LOG,
	};

	return how[log];
}

const char *dirty_how_name(enum dirty_how how)
{
	static const char *const names[] = { "auto", "writes", "bits", "log" };

	return names[how];
}

/* --- the hardware's log -------------------------------------------------------------------- */

static uint64_t words(const struct vm *vm)
{
	return (vm->mem.frames + 63) / 64;
}

static unsigned int log_order(const struct vm *vm)
{
	return frame_order(words(vm) * sizeof(uint64_t));
}

/* Waits until each running vCPU has noticed that its VM logs, or no longer does. Another one looks
 * when it next runs: its look and our change are both sequentially consistent. */
static void wait_for_vcpus(struct vm *vm)
{
	bool wanted = atomic_load(&vm->mem.logged) != NULL;

	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		struct vcpu *vcpu = &vm->vcpu[i];

		while (atomic_load(&vcpu->running) && atomic_load(&vcpu->logging) != wanted) {
			cpu_kick(vcpu->cpu);
			cpu_remind(vcpu->cpu);
			mem_pass(&vm->mem);
		}
	}
}

static int log_begin(struct dirty_log *d)
{
	struct vm *vm = d->vm;

	d->where = frame_alloc(&machine_frames, log_order(vm));
	if (d->where.v == HPA_NONE.v)
		return -ENOMEM;
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vm->vcpu[i].hw_log = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	__builtin_memset(direct(d->where), 0, words(vm) * sizeof(uint64_t));
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].hw_log.v == HPA_NONE.v)
			return -ENOMEM;
	atomic_store(&vm->mem.logged, direct(d->where));
	wait_for_vcpus(vm);
	return 0;
}

static void log_end(struct dirty_log *d)
{
	struct vm *vm = d->vm;
	int err = 0;

	if (d->where.v == HPA_NONE.v)
		return;
	atomic_store(&vm->mem.logged, NULL);
	wait_for_vcpus(vm);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		if (vm->vcpu[i].hw_log.v != HPA_NONE.v)
			err |= frame_free(&machine_frames, vm->vcpu[i].hw_log, FRAME_ORDER_4K);
		vm->vcpu[i].hw_log = HPA_NONE;
	}
	err |= frame_free(&machine_frames, d->where, log_order(vm));
	if (err)
		panic("a dirty log was not ours to free");
	d->where = HPA_NONE;
}

/* --- beginning ----------------------------------------------------------------------------- */

static bool can(enum dirty_how how)
{
	switch (how) {
	case DIRTY_LOG:
		return vendor->has_log && vendor->has_log();
	case DIRTY_BITS:
		return vendor->has_dirty();
	default:
		return true;
	}
}

int dirty_begin(struct dirty_log *d, struct vm *vm, enum dirty_how how)
{
	int err;

	if (how == DIRTY_AUTO)
		how = can(DIRTY_LOG) ? DIRTY_LOG : can(DIRTY_BITS) ? DIRTY_BITS : DIRTY_WRITES;
	if (!can(how))
		return -ENODEV;
	*d = (struct dirty_log){ .vm = vm, .how = how, .where = HPA_NONE };
	err = ept_track_begin(&vm->mem.ept,
			      how == DIRTY_WRITES ? EPT_TRACK_WRITES : EPT_TRACK_DIRTY);
	if (err)
		return err;
	err = how == DIRTY_LOG ? log_begin(d) : 0;
	if (err) {
		log_end(d);
		ept_track_end(&vm->mem.ept);
	}
	return err;
}

int dirty_step(struct dirty_log *d, unsigned int budget)
{
	int err = ept_track_some(me(d), &d->next, d->vm->mem.frames, budget, gather(d));

	ept_sync(gather(d));
	if (err && err != EPT_BUSY)
		return err;
	return d->next == d->vm->mem.frames;
}

/* --- collecting ---------------------------------------------------------------------------- */

/* Notes for the next collection what is still dirty, being frozen or written again: hardware does
 * not log it once more. */
static void note_again(struct dirty_log *d, gfn_t gfn, gfn_t end)
{
	while (gfn < end) {
		struct ept_state s = ept_lookup(&d->vm->mem.ept, gfn);

		if (s.tracked && s.dirty)
			mem_note_dirty(&d->vm->mem, gfn, 1);
		gfn = ALIGN_DOWN(gfn, level_frames(s.level)) + level_frames(s.level);
	}
}

static uint64_t collect_page(struct dirty_log *d, gfn_t gfn, uint64_t *bitmap)
{
	uint64_t word = 0, n = ept_track_collect(me(d), gfn, 1, &word, gather(d));

	bitmap[gfn / 64] |= word << gfn % 64;
	note_again(d, gfn, gfn + 1);
	return n;
}

/* Collects all of a large entry, which hardware logs once. Clears its notes first: a later note is
 * of a later write. */
static uint64_t collect_large(struct dirty_log *d, gfn_t gfn, enum pg_level level, uint64_t *bitmap)
{
	_Atomic uint64_t *logged = atomic_load(&d->vm->mem.logged);
	gfn_t first = ALIGN_DOWN(gfn, level_frames(level));
	gfn_t end = MIN(first + level_frames(level), d->vm->mem.frames);
	uint64_t n;

	for (uint64_t i = first / 64; i < (end + 63) / 64; i++)
		(void)atomic_exchange_explicit(&logged[i], 0, memory_order_acquire);
	n = ept_track_collect(me(d), first, end - first, &bitmap[first / 64], gather(d));
	note_again(d, first, end);
	return n;
}

/* Collects what the CPUs have logged so far. A page that is logged meanwhile is in the next
 * collection: its dirty bit stays until then. */
static uint64_t collect_logged(struct dirty_log *d, uint64_t *bitmap)
{
	_Atomic uint64_t *logged = atomic_load(&d->vm->mem.logged);
	uint64_t n = 0;

	tlb_flush(&d->vm->mem.tlb, cpu_id()); /* each CPU empties its log on the way */
	for (uint64_t i = 0; i < words(d->vm); i++) {
		/* Acquire: pairs with mem_note_dirty(); we see the dirty bit behind the note. */
		uint64_t bits = atomic_exchange_explicit(&logged[i], 0, memory_order_acquire);

		while (bits) {
			gfn_t gfn = i * 64 + (unsigned int)__builtin_ctzll(bits);
			struct ept_state s = ept_lookup(&d->vm->mem.ept, gfn);
			bool large = s.level > PG_LEVEL_4K && s.kind != EPT_NONE;

			n += large ? collect_large(d, gfn, s.level, bitmap)
				   : collect_page(d, gfn, bitmap);
			bits = large ? 0
				     : bits & (bits - 1); /* a large entry has all of the word */
			d->looked++;
		}
	}
	return n;
}

uint64_t dirty_collect(struct dirty_log *d, uint64_t *bitmap)
{
	uint64_t n;

	d->looked = 0;
	if (d->how == DIRTY_LOG && d->swept) {
		n = collect_logged(d, bitmap);
	} else {
		/* Nobody logged the pages that were dirty before the marks were set. */
		n = ept_track_collect(me(d), 0, d->vm->mem.frames, bitmap, gather(d));
		d->looked = d->vm->mem.frames;
		d->swept = true;
	}
	ept_sync(gather(d));
	return n;
}

/* --- the end ------------------------------------------------------------------------------- */

void dirty_end(struct dirty_log *d, struct ept_collapse_result *result)
{
	struct ept_collapse_result unused;
	gfn_t next = 0;

	log_end(d);
	/* Up to mem.end: marks move along with memory. */
	while (next < d->vm->mem.end) {
		if (ept_untrack_some(me(d), &next, d->vm->mem.end, END_STEP, gather(d)))
			mem_pass(&d->vm->mem); /* something is frozen */
		tlb_quiesce(&d->vm->mem.tlb, cpu_id());
	}
	ept_track_end(&d->vm->mem.ept);
	ept_collapse_range(me(d), 0, d->vm->mem.end, gather(d), result ? result : &unused);
	ept_sync(gather(d));
}
