/* SPDX-License-Identifier: MIT */
/* Private copies of pages. See hv/mem/own.h. */
#include "hv/mem/own.h"

#include "ept/relocate.h"
#include "hv/base/clock.h"
#include "hv/mem/copy.h"
#include "hv/mem/private.h"
#include "mm/err.h"
#include "mm/machine.h"

/* Thaws the page on a frame of its own: a copy, if anybody else refers to the old one. */
static int make_own(struct memory *mem, unsigned int cpu, const struct ept_frozen *f)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	hpa_t frame;

	if (private_sole(mem, f->gfn, f->was.frame)) {
		(void)ept_thaw_owned(me, f);
		count_own(&mem->pager.stats[cpu].reused, 1);
		return 0;
	}
	frame = private_take(mem, f->gfn);
	if (frame.v == HPA_NONE.v) {
		(void)ept_thaw(me, f, f->was.frame);
		return -ENOMEM;
	}
	page_copy(direct(frame), direct(f->was.frame));
	(void)ept_thaw(me, f, frame);
	private_drop(mem, f->was.frame);
	count_own(&mem->pager.stats[cpu].copied, 1);
	return 0;
}

int own_copy(struct memory *mem, unsigned int cpu, gfn_t gfn)
{
	struct ept_cpu *me = ept_cpu(&mem->ept, cpu);
	struct ept_gather *g = &mem->gather[cpu];
	uint64_t begin = clock_now();
	struct ept_frozen f;
	int err;

	/* The clone's references are not counted yet; and a frozen page would hold it up. */
	if (atomic_load(&mem->cloning))
		return EPT_BUSY;
	err = ept_freeze(me, gfn, PG_LEVEL_4K, EPT_WHY_COW, &f, g);
	if (err)
		return err;
	ept_sync(g);
	if (f.was.cow && !atomic_load(&mem->cloning)) {
		err = make_own(mem, cpu, &f);
	} else {
		/* The frame is the page's own already, or somebody began a clone meanwhile. */
		(void)ept_thaw(me, &f, f.was.frame);
		err = f.was.cow ? EPT_BUSY : 0;
	}
	count_own(&mem->pager.stats[cpu].copy_cycles, clock_now() - begin);
	return err;
}
