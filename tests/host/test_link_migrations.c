/* SPDX-License-Identifier: MIT */
/* A thousand migrations of a small VM over a link with every fault, by seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/host/link/machines.h"
#include "tests/host/random.h"

#define MIGRATIONS 1000
#define SECONDS    UINT64_C(1000000)

static struct machines m;

static unsigned int upto(uint64_t *seed, unsigned int n)
{
	return rnd(seed) % (n + 1);
}

/* Of the faults each migration has some, and few have all. */
static struct faults draw(uint64_t *seed)
{
	struct faults f = { .delay = 20 + upto(seed, 400), .each = 10 };
	unsigned int which = rnd(seed);

	f.lose = which & 1 ? upto(seed, 100) : 0;
	f.duplicate = which & 2 ? upto(seed, 50) : 0;
	f.reorder = which & 4 ? upto(seed, 100) : 0;
	f.corrupt = which & 8 ? upto(seed, 30) : 0;
	f.truncate = which & 16 ? upto(seed, 30) : 0;
	f.replay = which & 32 ? upto(seed, 30) : 0;
	f.jitter = which & 64 ? upto(seed, 300) : 0;
	return f;
}

/* What else happens: at a moment, once. */
enum event {
	NOTHING,
	CUT,
	CUT_FOR_LONG,          /* longer than the source waits */
	SOURCE_RESTARTED,      /* by a server with the same image: after the switch-over */
	DESTINATION_RESTARTED, /* before it */
	OTHER_IMAGE_FIRST,
	ANOTHER_SESSION,
	EVENTS
};

static void cut_for(uint64_t us)
{
	uint64_t end = m.now + us;

	m.link.cut = true;
	while (m.now < end && !m.broken)
		machines_step(&m);
	m.link.cut = false;
}

static void restart_source(bool other_first)
{
	if (asker_phase(&m.asker) != ASKER_RUNS)
		return;
	machines_kill_source(&m);
	faulty_drop(&m.link);
	if (other_first) {
		machines_restart_source(&m, false);
		cut_for(1000);
		for (unsigned int i = 0; i < 5000; i++)
			machines_step(&m);
		m.image[3] ^= 0x55;
	}
	machines_restart_source(&m, true);
}

static void happen(enum event event)
{
	switch (event) {
	case CUT:
		cut_for(100000);
		break;
	case CUT_FOR_LONG:
		cut_for(SECONDS);
		break;
	case SOURCE_RESTARTED:
	case OTHER_IMAGE_FIRST:
		restart_source(event == OTHER_IMAGE_FIRST);
		break;
	case DESTINATION_RESTARTED:
		if (!m.was_gone && asker_phase(&m.asker) < ASKER_TAKING)
			machines_restart_destination(&m);
		break;
	case ANOTHER_SESSION:
		asker_retry(&m.asker, m.now);
		break;
	default:
		break;
	}
}

static const char *migrate_by(uint64_t n)
{
	uint64_t seed = n * 7919 + 1;
	struct faults faults = draw(&seed);
	enum event event = (enum event)upto(&seed, EVENTS - 1);
	uint64_t moment = upto(&seed, 60000);
	unsigned int suite = rnd(&seed) % 3;

	machines_init(&m, seed, &faults);
	m.restore = rnd(&seed) % 8 == 0;
	m.rounds_wanted = rnd(&seed) % 2 ? upto(&seed, 4) : 0;
	if (suite == LINK_SUITE_NONE && !faults.replay)
		m.answerer_setup.key = m.asker_setup.key = (struct link_key){ .insecure = true };
	m.answerer_setup.key.aes = suite == LINK_SUITE_AES && __builtin_cpu_supports("pclmul") &&
				   __builtin_cpu_supports("aes");
	m.asker_setup.key.aes = m.answerer_setup.key.aes;
	machines_begin(&m);
	for (uint64_t end = m.now + moment; m.now < end && !m.broken;)
		machines_step(&m);
	happen(event);
	/* Refused while the source waits for the one that died. */
	for (unsigned int i = 0; i < 20 && !machines_until(&m, ASKER_DONE, 5 * SECONDS); i++)
		if (asker_phase(&m.asker) == ASKER_REFUSED)
			machines_restart_destination(&m);
	if (asker_phase(&m.asker) != ASKER_DONE && !m.broken)
		return "it did not end";
	return machines_verify(&m);
}

static void a_thousand_migrations_end_with_the_right_contents(void **state)
{
	const char *from = getenv("FROM"), *count = getenv("COUNT");
	uint64_t first = from ? strtoull(from, NULL, 0) : 0;
	uint64_t n = count ? strtoull(count, NULL, 0) : MIGRATIONS;
	uint64_t ahead = 0, again = 0;

	(void)state;
	for (uint64_t i = first; i < first + n; i++) {
		const char *why = migrate_by(i);

		if (why)
			fail_msg("migration %llu: %s (phase %d, %s%s, %llu pages)",
				 (unsigned long long)i, why, asker_phase(&m.asker),
				 link_reason_text(asker_reason(&m.asker)), asker_detail(&m.asker),
				 (unsigned long long)m.arrived.n);
		ahead += m.came_ahead;
		again += m.ahead.kept - MIN(m.came_ahead, m.ahead.kept);
	}
	printf("# %lu pages came ahead, %lu more were written since\n", (unsigned long)ahead,
	       (unsigned long)again);
	assert_true(ahead > 10 * n && again > n); /* of 256, in each second migration or so */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_migrations_end_with_the_right_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
