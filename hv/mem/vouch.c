/* SPDX-License-Identifier: MIT */
/* The guest's word for its pages. See hv/mem/vouch.h. */
#include "hv/mem/vouch.h"

#include "hv/base/panic.h"
#include "mm/err.h"
#include "mm/machine.h"

static unsigned int order_of(const struct vouches *v)
{
	return frame_order(v->frames * sizeof(struct vouch));
}

int vouches_make(struct vouches *v, gfn_t gfn, uint64_t frames)
{
	hpa_t at;

	*v = (struct vouches){ .first = gfn, .frames = frames };
	at = frame_alloc(&machine_frames, order_of(v));
	if (at.v == HPA_NONE.v) {
		v->frames = 0;
		return -ENOMEM;
	}
	v->page = direct(at);
	__builtin_memset(v->page, 0, frames * sizeof(*v->page));
	return 0;
}

void vouches_free(struct vouches *v)
{
	if (v->page && frame_free(&machine_frames, direct_hpa(v->page), order_of(v)))
		panic("the guest's word was not ours to free");
	*v = (struct vouches){ 0 };
}

bool vouch_holds(const struct vouches *v, gfn_t gfn, const uint64_t *words)
{
	const struct vouch *is = &v->page[gfn - v->first];
	uint64_t step = is->step == VOUCH_ZEROS ? 0 : is->step;
	uint64_t word = is->base, differs = 0;

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++, word += step)
		differs |= words[i] ^ word;
	return !differs;
}
