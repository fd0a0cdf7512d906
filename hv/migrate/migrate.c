/* SPDX-License-Identifier: MIT */
/*
 * Post-copy migration. VM A runs until the configured moment and is stopped for good; its vCPUs'
 * states move to VM B, all of whose memory is absent; B runs at once. Its faults pull single pages
 * out of A's frozen memory, the background stream pulls the rest, complete ranges collapse.
 *
 * The boot CPU runs the pager and the background stream, and watches the time. Where it is the only
 * CPU it gives the vCPUs their turns in between.
 */
#include "hv/migrate/migrate.h"

#include "hv/base/clock.h"
#include "hv/migrate/arrive.h"
#include "hv/migrate/depart.h"
#include "hv/migrate/lose.h"
#include "hv/migrate/touched.h"
#include "hv/vm/make.h"
#include "hv/vm/run.h"

/* --- before ------------------------------------------------------------------------------- */

/* The guest starts before B has its zeros: clearing 1 GiB takes longer than all else until then. */
static bool is_time(struct migration *m)
{
	bool zeroed = arrive_zero(m), due = depart_due(m);

	return zeroed && due;
}

/* Runs A until it is migrated: until the trigger, and through the rounds of pre-copy. */
static const char *run_source(struct migration *m)
{
	const char *why;

	depart_begin(m);
	do {
		why = depart_turn(m);
	} while (!why && !is_time(m));
	if (!why)
		why = precopy_run(&m->precopy, m->from, m->to, m->config, depart_turn, m);
	why = depart_stop(m, why);
	precopy_stop(&m->precopy);
	return why;
}

/* --- the switch ---------------------------------------------------------------------------- */

static void move_vcpu(const struct vcpu *from, struct vcpu *to)
{
	to->state = from->state;
	/* One that waits for a page asks again. */
	to->run = from->run == VCPU_WAITING ? VCPU_RUNNING : from->run;
	to->passes = from->passes;
	to->chain = from->chain;
	to->wrong_count = from->wrong_count;
	atomic_store_explicit(&to->ready, true, memory_order_relaxed);
	if (to->system)
		vcpu_move_asks(from, to);
}

static void move_system(const struct vm *from, struct vm *to)
{
	if (!from->platform)
		return;
	vm_make_system(to);
	platform_move(from->platform, to->platform);
}

/* Frames that arrive at once: no more than divide the region evenly. */
static uint64_t arrive_frames(const struct migration *m)
{
	uint64_t frames = m->config->arrive >> PAGE_SHIFT;

	while (m->to->mem.frames % frames)
		frames /= 512;
	return MAX(frames, UINT64_C(1));
}

static void set_up_source(struct migration *m)
{
	struct source_pace pace = { .latency = us_to_cycles(m->config->latency_us),
				    .arrive = arrive_frames(m) };

	m->arrive = pace.arrive;
	if (m->config->stream != CONFIG_UNLIMITED)
		pace.per_page = us_to_cycles(1000) / m->config->stream;
	source_vm_init(&m->source, &m->from->mem.ept, m->from->mem.frames, &pace);
	if (m->precopy.staging.staged.word)
		m->source.source.staged = &m->precopy.staging.staged;
}

/* NULL, or why pages could not be lost on purpose. */
static const char *switch_over(struct migration *m)
{
	const char *why;

	set_up_source(m);
	arrive_prepare(m, &m->source.source);
	move_system(m->from, m->to);
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		move_vcpu(&m->from->vcpu[i], &m->to->vcpu[i]);
	arrive_begin(m, m->from->id);
	why = lose_pages(&m->to->mem, m->config, m->config->lose_late, &m->lost_pages);
	return why;
}

/* --- the whole ----------------------------------------------------------------------------- */

static const char *move(struct migration *m)
{
	const char *why = lose_pages(&m->from->mem, m->config, m->config->lose, &m->lost_pages);

	precopy_settle(&m->precopy);
	arrive_mark(m);
	if (!why)
		why = switch_over(m);
	if (!why)
		why = arrive_run(m);
	else if (m->switched)
		vm_stop(m->to);
	return arrive_judge(m, why);
}

static const char *hop(struct migration *m)
{
	const char *why = run_source(m);

	return why ? why : move(m);
}

static void unmake(struct vm *vm)
{
	if (!vm)
		return;
	vouches_free(&vm->vouches);
	vm_destroy(vm);
}

static void end_hop(struct migration *m)
{
	precopy_end(&m->precopy);
	bitmap_free(&m->lost_pages);
	unmake(m->from);
	m->from = NULL;
}

/* Where it has arrived, the next migration begins. */
static const char *begin_next(struct migration *m)
{
	*m = (struct migration){
		.config = m->config,
		.machine = m->machine,
		.hop = m->hop + 1,
		.from = m->to,
		.begun = clock_now(),
		.verbose = m->verbose,
		.hw_dirty = m->hw_dirty,
		.replay = m->replay,
	};
	/* Its former source is gone; all its pages are here but those that it has discarded. */
	depart_grow_by_zeros(m, PG_LEVEL_4K);
	return arrive_make(m);
}

const char *migrate(struct migration *m, const struct run_config *config,
		    const struct boot_info *info)
{
	const char *why;

	*m = (struct migration){
		.config = config,
		.machine = &info->config,
		.begun = clock_now(),
		.verbose = info->config.verbose,
		.hw_dirty = vendor->has_dirty(),
	};
	/* The destination first: it gets the largest frames before anything breaks them up. */
	why = arrive_make(m);
	if (!why)
		why = touched_begin(m, info);
	if (!why)
		why = depart_make(m, info);
	if (!why)
		why = hop(m);
	while (!why && !migrate_is_last(m)) {
		end_hop(m);
		why = begin_next(m);
		if (!why)
			why = hop(m);
	}
	end_hop(m);
	unmake(m->to);
	if (!touched_end(m) && !why)
		why = "the memory of the noted touches could not be given back";
	return why;
}
