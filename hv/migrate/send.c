/* SPDX-License-Identifier: MIT */
/* The source of a migration between two machines. See hv/migrate/send.h. */
#include "hv/migrate/send.h"

#include "hv/base/console.h"
#include "hv/base/json.h"
#include "hv/base/try.h"
#include "hv/link/answerer.h"
#include "hv/migrate/depart.h"
#include "hv/migrate/end.h"
#include "hv/migrate/lose.h"
#include "hv/migrate/report_link.h"
#include "hv/migrate/rounds.h"
#include "hv/migrate/watch.h"
#include "hv/monitor/monitor.h"
#include "hv/vm/make.h"
#include "hv/vm/run.h"
#include "hv/vm/state.h"
#include "mm/percpu.h"

#define DATAGRAMS  64      /* in, and out, between two looks at other work */
#define LINGER_US  2000000 /* after the end: the other side may not have heard that we know */
#define PROGRESS_S 1

static struct answerer answerer;
static struct transport *transport;
static uint8_t state[PAGE_SIZE * 4];
static struct rounds rounds; /* of pre-copy */
static bool ahead_is_over;
static uint64_t gone; /* TSC: when it knew; 0: the guest is here */

/* --- the link ----------------------------------------------------------------------------- */

/* The contents of the frozen source. */
static void look(void *ctx, gfn_t gfn, struct link_extent *extent)
{
	struct source_vm *s = &((struct migration *)ctx)->source;
	struct page_reply reply;

	s->source.ops->page(&s->source, gfn, &reply);
	*extent = (struct link_extent){
		.gfn = reply.gfn,
		.frames = reply.frames,
		.data = reply.data,
		.what = reply.lost   ? LINK_LOST
			: reply.data ? LINK_DATA
				     : LINK_ZEROS,
	};
}

static bool next_round(void *ctx, unsigned int round, bool last)
{
	struct migration *m = ctx;

	if (!rounds.marked)
		return false;
	if (last) {
		rounds_last(&rounds);
		return true;
	}
	if (round > 1 && (ahead_is_over = rounds_enough(&rounds)))
		return false;
	ahead_is_over = false;
	rounds_next(&rounds, round == 1);
	if (m->verbose)
		con_printf("cleave-progress: pre-copy, round %u: %llu pages were written\n", round,
			   (unsigned long long)rounds.written);
	return true;
}

/* Return: was there anything to do? */
static bool serve(void)
{
	static uint8_t datagram[LINK_DATAGRAM_MAX];
	uint64_t now = end_now();
	const void *data;
	unsigned int came, went;
	bool stranger; /* there is one peer, known by its address */
	size_t bytes;

	end_before();
	for (came = 0; came < DATAGRAMS && (data = transport->poll(transport, &bytes)); came++)
		answerer_receive(&answerer, now, data, bytes);
	for (went = 0; went < DATAGRAMS && transport->ready(transport); went++) {
		bytes = answerer_poll(&answerer, now, datagram, &stranger);
		if (!bytes)
			break;
		(void)transport->send(transport, datagram, bytes);
	}
	return came || went;
}

/* Where there is nothing else to do. */
static void serve_and_rest(void)
{
	end_rest(serve());
}

static const char *listen(struct migration *m, const struct boot_info *info)
{
	struct answerer_setup setup = { .look = look, .ctx = m };
	struct end end;

	TRY(end_open(&end, m->config, info));
	setup.key = end.key;
	setup.random = end.random;
	setup.limit = end.limit;
	end_offer(&setup.offer, m->from, true, m->config->compress);
	if (m->config->precopy) {
		setup.offer.needs |= LINK_FEATURE_ROUNDS;
		TRY(rounds_begin(&rounds, m->from, m->config));
		setup.round = next_round;
		setup.map = (const uint8_t *)rounds.map.word;
	} else {
		setup.offer.features &= ~(uint64_t)LINK_FEATURE_ROUNDS;
	}
	transport = end.transport;
	MUST(!answerer_init(&answerer, &setup), "the link cannot be set up with this key");
	return NULL;
}

/* --- until it goes ------------------------------------------------------------------------ */

/* Whoever takes the guest is there. Return: NULL, or what went wrong; *done: the guest may stop. */
static const char *run_ahead(const struct migration *m, bool *done)
{
	*done = !m->config->precopy || ahead_is_over;
	return *done || rounds.marked ? NULL : rounds_mark(&rounds);
}

/* Runs until the moment to go has come and somebody is there to take it. */
static const char *run_here(struct migration *m)
{
	uint64_t due = 0;
	bool done;

	for (;;) {
		TRY(depart_turn(m));
		if (ncpus > 1)
			serve_and_rest();
		else
			(void)serve();
		if (!depart_due(m))
			continue;
		if (answerer_connected(&answerer, end_now())) {
			TRY(run_ahead(m, &done));
			if (done)
				return NULL;
			due = 0;
			continue;
		}
		if (!due) {
			due = end_now();
			con_printf(
				"cleave: link: the guest is ready to go; waits for another machine\n");
		}
		MUST(end_now() - due < (uint64_t)m->config->limit_ms * 1000,
		     "no other machine has come within limit=");
	}
}

/* Offers the guest, which stands still. NULL: it is gone, or it is to go on here; or why it is not
 * wanted. */
static const char *offer(struct migration *m)
{
	if (answerer_freeze(&answerer, end_now(), state, vm_state_save(m->from, state)))
		return NULL;
	while (answerer_phase(&answerer) == LINK_FROZEN) {
		serve_and_rest();
		if (migrate_out_of_time(m) && !answerer_thaw(&answerer))
			return "the other machine did not take the guest within timeout=";
	}
	if (answerer_phase(&answerer) == LINK_RUNS_HERE && answerer_left(&answerer))
		return link_reason_text(answerer_left(&answerer));
	return NULL;
}

/* Until it is given away. */
static const char *give_away(struct migration *m)
{
	while (answerer_phase(&answerer) != LINK_GONE) {
		depart_begin(m);
		TRY(depart_stop(m, run_here(m)));
		TRY(offer(m));
		if (answerer_phase(&answerer) != LINK_GONE)
			con_printf(
				"cleave: link: the other machine has not taken the guest: it goes on "
				"here\n");
	}
	gone = clock_now();
	return NULL;
}

/* --- once it is gone ---------------------------------------------------------------------- */

static void progress(const struct migration *m, uint64_t *next)
{
	if (!m->verbose || clock_now() < *next)
		return;
	*next = clock_now() + us_to_cycles(PROGRESS_S * UINT64_C(1000000));
	con_printf("cleave-progress: sent %llu pages, %llu datagrams\n",
		   (unsigned long long)answerer.stats.pages_sent,
		   (unsigned long long)answerer.stats.datagrams_sent);
}

static const char *serve_pages(struct migration *m)
{
	uint64_t next = 0, end;

	con_printf("cleave: link: the guest is gone; its memory is served\n");
	while (!answerer_done(&answerer)) {
		serve_and_rest();
		progress(m, &next);
		TRY(monitor_turn());
		MUST(!migrate_out_of_time(m),
		     "the other machine has not said within timeout= that it has all pages");
	}
	for (end = end_now() + LINGER_US; end_now() < end;)
		serve_and_rest();
	return NULL;
}

/* --- the report --------------------------------------------------------------------------- */

static void report_ahead(const struct migration *m, struct json *j)
{
	unsigned int n = MIN(rounds.n, CONFIG_PRECOPY_MAX);
	uint64_t stood = gone ? cycles_to_us(gone - m->stopped) : 0;

	if (m->verbose && n) {
		con_printf("cleave:   pre-copy: %u rounds, %llu dirty at the stop; the guest stood "
			   "still for %llu us until it was gone\n",
			   n, (unsigned long long)rounds.at_stop, (unsigned long long)stood);
		report_rounds_print(rounds.pages, n);
	}
	json_int(j, "precopy_rounds", n);
	json_uint(j, "precopy_dirty_at_stop", rounds.at_stop);
	json_int(j, "stood_still_us", gone ? (int64_t)stood : -1);
	report_rounds_json(j, rounds.pages, n);
}

static void report_sent(const struct migration *m, const char *why)
{
	const struct link_stats *s = &answerer.stats;
	static struct json j;

	if (m->verbose)
		con_printf(
			"cleave: sent %s: %llu pages with contents, %llu runs, in %llu datagrams of "
			"%llu bytes; %s\n",
			m->config->name, (unsigned long long)s->pages_sent,
			(unsigned long long)s->runs_sent, (unsigned long long)s->datagrams_sent,
			(unsigned long long)s->bytes_sent, link_suite_name(answerer.channel.suite));
	json_begin(&j);
	json_str(&j, "name", m->config->name);
	json_str(&j, "verdict", why ? why : "pass");
	report_ahead(m, &j);
	report_link_counts(&j, s, link_suite_name(answerer.channel.suite), transport);
	json_end(&j);
}

/* Nobody took it: it comes to its end where it is. */
static void run_to_its_end(struct migration *m)
{
	const char *why = NULL;

	con_printf("cleave: the guest was not migrated: it runs to its end here\n");
	atomic_store_explicit(&m->from->asked_to_finish, true, memory_order_release);
	depart_begin(m);
	while (!vm_over(m->from) && !migrate_out_of_time(m) && !why)
		why = (vm_wait(m->from), monitor_turn());
	watch_end();
	vm_stop(m->from);
	if (!vm_over(m->from))
		why = "it did not end in time";
	if (!why)
		why = vm_casualty(m->from);
	if (!why)
		why = vm_verdict(m->from);
	con_printf("cleave: the guest at its end: %s\n", why ? why : "all is right");
}

static const char *whole(struct migration *m, const struct boot_info *info)
{
	struct source_pace at_once = { .arrive = 1 };
	const char *why;

	TRY(depart_make(m, info));
	source_vm_init(&m->source, &m->from->mem.ept, m->from->mem.frames, &at_once);
	TRY(listen(m, info));
	MUST(vm_state_bytes(m->from->nvcpus) <= sizeof(state), "no room for the guest's state");
	why = lose_pages(&m->from->mem, m->config, m->config->lose, &m->lost_pages);
	if (!why)
		why = give_away(m);
	if (!why)
		why = serve_pages(m);
	else if (answerer_phase(&answerer) != LINK_GONE && !vm_any_over(m->from) &&
		 !migrate_out_of_time(m))
		run_to_its_end(m);
	report_sent(m, why);
	return why;
}

const char *send(struct migration *m, const struct run_config *config, const struct boot_info *info)
{
	const char *why;

	*m = (struct migration){
		.config = config,
		.machine = &info->config,
		.begun = clock_now(),
		.verbose = info->config.verbose,
	};
	MUST(!config->lose_late && config->hops == 1,
	     "lose_late= and hops= are for a migration within one machine");
	if (bitmap_make(&m->lost_pages, config->region >> PAGE_SHIFT))
		return "no memory to note what is lost";
	why = whole(m, info);
	rounds_end(&rounds);
	bitmap_free(&m->lost_pages);
	if (m->from)
		vm_destroy(m->from);
	return why;
}
