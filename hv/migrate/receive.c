/* SPDX-License-Identifier: MIT */
/* The destination of a migration between two machines. See hv/migrate/receive.h. */
#include "hv/migrate/receive.h"

#include "hv/base/console.h"
#include "hv/base/guest_console.h"
#include "hv/base/try.h"
#include "hv/migrate/arrive.h"
#include "hv/migrate/end.h"
#include "hv/migrate/touched.h"
#include "hv/monitor/monitor.h"
#include "hv/source/source_link.h"
#include "hv/vm/make.h"
#include "hv/vm/state.h"
#include "mm/machine.h"

#define PAGES 256 /* requests that the asker has room for */

/* What the asker works in, too large for a stack and for the image. */
struct room {
	struct asker_page page[PAGES];
	uint8_t state[LINK_STATE_MAX];
};

static struct source_link link;
static struct bitmap map; /* of the newest round of pre-copy */

static unsigned int room_order(void)
{
	return frame_order(sizeof(struct room));
}

static const char *refusal(void)
{
	con_printf("cleave: link: refused: %s%s%s\n", link_reason_text(asker_reason(&link.asker)),
		   *asker_detail(&link.asker) ? ": " : "", asker_detail(&link.asker));
	return link_reason_text(asker_reason(&link.asker));
}

/* Goes on for a while, in one of the phases before the guest is here. */
static const char *turn(struct migration *m, const char *too_late)
{
	end_rest(source_link_pump(&link));
	ahead_step(&m->ahead, &link.asker, end_now());
	TRY(monitor_turn());
	MUST(!migrate_out_of_time(m), too_late);
	return asker_phase(&link.asker) == ASKER_REFUSED ? refusal() : NULL;
}

/* --- what comes ahead ----------------------------------------------------------------------- */

static void keep(void *ctx, gfn_t gfn, const void *data)
{
	stage(ctx, gfn, data);
}

static void forget(void *ctx, gfn_t gfn)
{
	unstage(ctx, gfn);
}

static const struct ahead_ops into_staging = { keep, forget };

static const char *begin_ahead(struct migration *m)
{
	(void)mem_zero(&m->to->mem, m->to->mem.frames);
	ahead_init(&m->ahead, &into_staging, &m->precopy.staging);
	if (staging_begin(&m->precopy.staging, &m->to->mem) || bitmap_make(&map, m->to->mem.frames))
		return "no memory for the bitmaps of the pre-copy";
	return NULL;
}

static void end_ahead(struct migration *m)
{
	staging_end(&m->precopy.staging);
	bitmap_free(&map);
}

/* --- the switch-over ------------------------------------------------------------------------ */

static const char *connect(struct migration *m, const struct boot_info *info, struct room *room)
{
	struct asker_setup setup = {
		.state = room->state,
		.state_room = sizeof(room->state),
		.map = (uint8_t *)map.word,
		.pages = room->page,
		.npages = PAGES,
		.window = m->config->window,
	};
	struct end end;

	TRY(end_open(&end, m->config, info));
	m->link = &link;
	setup.key = end.key;
	setup.random = end.random;
	setup.limit = end.limit;
	end_offer(&setup.offer, m->to, false, m->config->compress);
	if (m->config->precopy)
		setup.offer.needs |= LINK_FEATURE_ROUNDS;
	MUST(!source_link_init(&link, &setup, end.transport, &m->lost_pages, end_before),
	     "the link cannot be set up with this key");
	link.source.staged = &m->precopy.staging.staged;
	con_printf("cleave: link: waits for a guest\n");
	while (asker_phase(&link.asker) == ASKER_CONNECTING)
		TRY(turn(m, "no source answered in time: is the other machine up, and are "
			    "link=, address= and peer= right on both sides?"));
	con_printf("cleave: link: connected, %s\n", link_suite_name(link.asker.channel.suite));
	return NULL;
}

/* Until the state is here, and what came ahead is known to be right. */
static const char *wait_for_state(struct migration *m)
{
	while (asker_phase(&link.asker) < ASKER_STATE || !ahead_settled(&m->ahead, &link.asker))
		TRY(turn(m, "the source kept its guest until the time was over"));
	return NULL;
}

static const char *load(struct migration *m, struct room *room)
{
	const char *why = vm_state_load(m->to, room->state, asker_state_bytes(&link.asker));

	if (why) {
		asker_refuse(&link.asker, LINK_REASON_STATE);
		(void)source_link_pump(&link);
	}
	return why;
}

/* Asks the source to let the guest go. Then it does, or it takes it back and stops it again later:
 * with another state. */
static const char *take_over(struct migration *m, struct room *room)
{
	do {
		TRY(wait_for_state(m));
		m->stopped = clock_now();
		TRY(load(m, room));
		asker_take_over(&link.asker);
		while (asker_phase(&link.asker) == ASKER_TAKING)
			TRY(turn(m, "nobody knows whether the source has let the guest go: it must "
				    "not run here"));
	} while (asker_phase(&link.asker) != ASKER_RUNS);
	arrive_mark(m);
	arrive_prepare(m, &link.source);
	return NULL;
}

static const char *go_on(struct migration *m)
{
	if (m->to->platform)
		guest_console_open();
	vm_state_resume(m->to);
	arrive_begin(m, 0);
	return arrive_run(m);
}

static const char *whole(struct migration *m, const struct boot_info *info, struct room *room)
{
	TRY(begin_ahead(m));
	TRY(connect(m, info, room));
	TRY(take_over(m, room));
	return arrive_judge(m, go_on(m));
}

static const char *with_room(struct migration *m, const struct boot_info *info)
{
	hpa_t where = frame_alloc(&machine_frames, room_order());
	const char *why;

	MUST(where.v != HPA_NONE.v, "no memory for the link's requests");
	why = whole(m, info, direct(where));
	end_ahead(m);
	if (frame_free(&machine_frames, where, room_order()))
		why = "the memory of the link's requests could not be given back";
	return why;
}

const char *receive(struct migration *m, const struct run_config *config,
		    const struct boot_info *info)
{
	const char *why;

	*m = (struct migration){
		.config = config,
		.machine = &info->config,
		.arrive = 1,
		.begun = clock_now(),
		.verbose = info->config.verbose,
		.hw_dirty = vendor->has_dirty(),
	};
	MUST(config->arrive == PAGE_SIZE && !config->lose_late && config->hops == 1,
	     "arrive=, lose_late= and hops= are for a migration within one machine");
	why = arrive_make(m);
	if (!why)
		why = touched_begin(m, info);
	if (!why)
		why = with_room(m, info);
	if (!touched_end(m) && !why)
		why = "the memory of the noted touches could not be given back";
	bitmap_free(&m->lost_pages);
	if (m->to) {
		vouches_free(&m->to->vouches);
		vm_destroy(m->to);
	}
	return why;
}
