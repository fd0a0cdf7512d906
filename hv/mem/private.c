/* SPDX-License-Identifier: MIT */
/* Who owns a frame. See hv/mem/private.h. */
#include "hv/mem/private.h"

#include "hv/base/panic.h"
#include "hv/mem/reverse.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- single frames ------------------------------------------------------------------------ */

bool private_is(hpa_t frame)
{
	const struct frame *f = frame_of(&machine_frames, frame);

	/* Only a private frame has an owner word: the head of a backing block has none. */
	return f->state == FRAME_USED && f->order == FRAME_ORDER_4K &&
	       atomic_load_explicit(&f->owner, memory_order_relaxed);
}

static _Atomic uint32_t *refs_of(hpa_t frame)
{
	return &frame_of(&machine_frames, frame)->refs;
}

void private_adopt(struct memory *mem, hpa_t frame, gfn_t gfn)
{
	ept_rmap_own(&machine_rmap, frame, gfn);
	atomic_store(refs_of(frame), 1);
	atomic_fetch_add(&mem->singles, 1);
}

hpa_t private_take(struct memory *mem, gfn_t gfn)
{
	hpa_t frame = frame_alloc(&machine_frames, FRAME_ORDER_4K);

	if (frame.v != HPA_NONE.v)
		private_adopt(mem, frame, gfn);
	return frame;
}

void private_drop(struct memory *mem, hpa_t frame)
{
	if (!private_is(frame))
		return;
	atomic_fetch_sub(&mem->singles, 1);
	if (atomic_fetch_sub(refs_of(frame), 1) == 1 &&
	    frame_free(&machine_frames, frame, FRAME_ORDER_4K))
		panic("a private frame was not ours to free");
}

bool private_maps(const struct ept_state *s)
{
	return s->level == PG_LEVEL_4K &&
	       (s->kind == EPT_PRESENT || s->kind == EPT_POISON ||
		(s->kind == EPT_ABSENT && !s->cow)) &&
	       private_is(s->frame);
}

static void each_single(struct memory *mem, gfn_t gfn, gfn_t end,
			void (*act)(struct memory *mem, gfn_t gfn, hpa_t frame))
{
	while (gfn < end) {
		struct ept_state s = ept_lookup(&mem->ept, gfn);

		if (private_maps(&s))
			act(mem, gfn, s.frame);
		gfn = state_end(&s, gfn);
	}
}

static void add_ref(struct memory *mem, gfn_t gfn, hpa_t frame)
{
	(void)gfn;
	atomic_fetch_add(refs_of(frame), 1);
	atomic_fetch_add(&mem->singles, 1);
}

static void drop_ref(struct memory *mem, gfn_t gfn, hpa_t frame)
{
	(void)gfn;
	private_drop(mem, frame);
}

static void own_again(struct memory *mem, gfn_t gfn, hpa_t frame)
{
	(void)mem;
	ept_rmap_own(&machine_rmap, frame, gfn);
}

void private_share(struct memory *clone)
{
	each_single(clone, 0, clone->end, add_ref);
}

void private_readdress(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	each_single(mem, gfn, gfn + frames, own_again);
}

void private_drop_all(struct memory *mem)
{
	if (atomic_load(&mem->singles))
		each_single(mem, 0, mem->end, drop_ref);
}

/* If nobody else refers to it now, nobody will: a new clone refers to the block before it maps the
 * frame, and cannot pass a frozen page. */
bool private_sole(struct memory *mem, gfn_t gfn, hpa_t frame)
{
	bool sole;
	hpa_t head;

	if (private_is(frame)) {
		sole = atomic_load(refs_of(frame)) == 1;
		if (sole)
			own_again(mem, gfn, frame);
		return sole;
	}
	spin_lock(&backing_lock);
	head = backing_head(&mem->backing, frame);
	sole = head.v != HPA_NONE.v && ept_rmap_refs(&machine_rmap, head) == 1;
	if (!sole)
		sole = reverse_count_locked(frame) == 1;
	spin_unlock(&backing_lock);
	return sole;
}
