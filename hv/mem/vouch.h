/* SPDX-License-Identifier: MIT */
/*
 * What a guest says that its pages contain when it ends: its word for each 4 KiB page, to be held
 * against the memory. A payload knows it without looking: word i of a page is base + i * step (see
 * guest/lib/pattern.h). Pages that it writes freely, such as its stacks, it names as its own.
 *
 * One vCPU speaks for a page, once; vCPUs speak at the same time for different pages.
 */
#ifndef HV_MEM_VOUCH_H
#define HV_MEM_VOUCH_H

#include "mm/types.h"

struct vouch {
	uint64_t base;
	uint64_t step; /* odd, or VOUCH_ZEROS; 0: the guest has not spoken for the page */
};

#define VOUCH_ZEROS 2 /* all words are zero: the guest says base = step = 0 */

struct vouches {
	gfn_t first;     /* of the pages that the guest can speak for */
	uint64_t frames; /* of them */
	struct vouch *page;
	gfn_t own, own_end; /* pages that the guest writes freely */
};

#define VOUCH_OWN_MAX 128 /* frames: a payload's stacks and data, no more */

/* For the pages [gfn, gfn + frames). -ENOMEM: v->page is NULL. */
int must_check vouches_make(struct vouches *v, gfn_t gfn, uint64_t frames);

/* Gives back what was made. */
void vouches_free(struct vouches *v);

/* Has the guest spoken for the page's contents? */
static inline bool vouched(const struct vouches *v, gfn_t gfn)
{
	return gfn - v->first < v->frames && v->page[gfn - v->first].step;
}

static inline bool vouched_zeros(const struct vouches *v, gfn_t gfn)
{
	return vouched(v, gfn) && v->page[gfn - v->first].step == VOUCH_ZEROS;
}

static inline bool vouched_own(const struct vouches *v, gfn_t gfn)
{
	return gfn >= v->own && gfn < v->own_end;
}

/* The guest's word, which is foreign input. False: it makes no sense. */
static inline bool must_check vouch_page(struct vouches *v, gfn_t gfn, uint64_t base, uint64_t step)
{
	if (!base && !step)
		step = VOUCH_ZEROS;
	else if (!(step & 1))
		return false;
	if (gfn - v->first >= v->frames || vouched(v, gfn))
		return false;
	v->page[gfn - v->first] = (struct vouch){ base, step };
	return true;
}

/* The same for pages that it writes freely: below the work area, where it gives its word. */
static inline bool must_check vouch_own(struct vouches *v, gfn_t gfn, uint64_t frames)
{
	if (!frames || frames > VOUCH_OWN_MAX || v->own_end || gfn >= v->first ||
	    frames > v->first - gfn)
		return false;
	v->own = gfn;
	v->own_end = gfn + frames;
	return true;
}

/* Are these the contents that it spoke of? @words: 4 KiB. Call it for vouched() pages. */
bool vouch_holds(const struct vouches *v, gfn_t gfn, const uint64_t *words);

#endif
