/* SPDX-License-Identifier: MIT */
/* Whose a frame is. See hv/mem/frames.h. */
#include "hv/mem/frames.h"

#include "mm/machine.h"
#include "mm/percpu.h"

/* --- single frames ------------------------------------------------------------------------ */

bool frame_is_single(hpa_t frame)
{
	const struct frame *f = frame_of(&machine_frames, frame);

	/* What is at the head of a block of one frame, or of a larger one, has no owner. */
	return f->state == FRAME_USED && f->order == FRAME_ORDER_4K &&
	       atomic_load_explicit(&f->owner, memory_order_relaxed);
}

static _Atomic uint32_t *refs_of(hpa_t frame)
{
	return &frame_of(&machine_frames, frame)->refs;
}

void frames_adopt(struct vm *vm, hpa_t frame, gfn_t gfn)
{
	ept_rmap_own(&machine_rmap, frame, gfn);
	atomic_store(refs_of(frame), 1);
	atomic_fetch_add(&vm->singles, 1);
}

hpa_t frames_take(struct vm *vm, gfn_t gfn)
{
	hpa_t frame = frame_alloc(&machine_frames, FRAME_ORDER_4K);

	if (frame.v != HPA_NONE.v)
		frames_adopt(vm, frame, gfn);
	return frame;
}

void frames_drop(struct vm *vm, hpa_t frame)
{
	if (!frame_is_single(frame))
		return;
	atomic_fetch_sub(&vm->singles, 1);
	if (atomic_fetch_sub(refs_of(frame), 1) == 1)
		vm_frame_free(frame);
}

/* Does this entry count on its frame? A clone's absent page does not: it will have another one. */
static bool counts(const struct ept_state *s)
{
	return s->level == PG_LEVEL_4K &&
	       (s->kind == EPT_PRESENT || s->kind == EPT_POISON ||
		(s->kind == EPT_ABSENT && !s->cow)) &&
	       frame_is_single(s->frame);
}

static void each_single(struct vm *vm, gfn_t gfn, gfn_t end,
			void (*act)(struct vm *vm, gfn_t gfn, hpa_t frame))
{
	while (gfn < end) {
		struct ept_state s = ept_lookup(&vm->ept, gfn);

		if (counts(&s))
			act(vm, gfn, s.frame);
		gfn = ALIGN_DOWN(gfn, level_frames(s.level)) + level_frames(s.level);
	}
}

static void add_ref(struct vm *vm, gfn_t gfn, hpa_t frame)
{
	(void)gfn;
	atomic_fetch_add(refs_of(frame), 1);
	atomic_fetch_add(&vm->singles, 1);
}

static void drop_ref(struct vm *vm, gfn_t gfn, hpa_t frame)
{
	(void)gfn;
	frames_drop(vm, frame);
}

static void own_again(struct vm *vm, gfn_t gfn, hpa_t frame)
{
	(void)vm;
	ept_rmap_own(&machine_rmap, frame, gfn);
}

void frames_share(struct vm *clone)
{
	each_single(clone, 0, clone->pager.frames, add_ref);
}

void frames_readdress(struct vm *vm, gfn_t gfn, uint64_t frames)
{
	each_single(vm, gfn, gfn + frames, own_again);
}

void frames_drop_all(struct vm *vm)
{
	if (atomic_load(&vm->singles))
		each_single(vm, 0, MAX(vm->frames, vm->pager.frames), drop_ref);
}

/* --- reverse lookup ----------------------------------------------------------------------- */

/*
 * A lookup walks the tables of all VMs, so this CPU has to count among those that a flush waits
 * for. Which of them it did not count among before: bit n for space n. The caller holds
 * backing_lock, so no VM goes away.
 */
static uint32_t join_all(void)
{
	uint32_t joined = 0;

	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++)
		if (machine_rmap.space[i] &&
		    tlb_visit(&vm_of(machine_rmap.space[i])->tlb, cpu_id()))
			joined |= 1u << i;
	return joined;
}

static void leave_all(uint32_t joined)
{
	for (unsigned int i = 0; i < EPT_SPACES_MAX; i++)
		if (joined >> i & 1)
			tlb_leave(&vm_of(machine_rmap.space[i])->tlb, cpu_id());
}

static unsigned int find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			 void *ctx)
{
	uint32_t joined = join_all();
	unsigned int n = ept_rmap_find(&machine_rmap, frame, visit, ctx);

	leave_all(joined);
	return n;
}

unsigned int frames_find(hpa_t frame, void (*visit)(void *ctx, const struct ept_mapping *m),
			 void *ctx)
{
	unsigned int n;

	spin_lock(&backing_lock);
	n = find(frame, visit, ctx);
	spin_unlock(&backing_lock);
	return n;
}

uint64_t frames_count(hpa_t block, unsigned int order)
{
	uint32_t joined;
	uint64_t n;

	spin_lock(&backing_lock);
	joined = join_all();
	n = ept_rmap_count(&machine_rmap, block, order);
	leave_all(joined);
	spin_unlock(&backing_lock);
	return n;
}

static void only_count(void *ctx, const struct ept_mapping *m)
{
	(void)ctx;
	(void)m;
}

/* Who finds nobody else cannot be overtaken: a clone that is being made refers to the block before
 * it maps the frame, and does not get past a frozen page. */
bool frames_sole(struct vm *vm, gfn_t gfn, hpa_t frame)
{
	bool sole;
	hpa_t head;

	if (frame_is_single(frame)) {
		sole = atomic_load(refs_of(frame)) == 1;
		if (sole)
			own_again(vm, gfn, frame);
		return sole;
	}
	spin_lock(&backing_lock);
	head = backing_head(&vm->backing, frame);
	sole = head.v != HPA_NONE.v && ept_rmap_refs(&machine_rmap, head) == 1;
	if (!sole)
		sole = find(frame, only_count, NULL) == 1;
	spin_unlock(&backing_lock);
	return sole;
}
