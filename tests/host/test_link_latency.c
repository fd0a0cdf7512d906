/* SPDX-License-Identifier: MIT */
/*
 * How long a vCPU waits for a page, over a simulated link of 1 Gbit/s, in microseconds of simulated
 * time: the same on every machine, whatever else it does. The measure is the link's own round trip:
 * an ask there, and a datagram back, with nothing else on it and nobody who takes time to answer.
 */
#include "tests/host/link/case.h"

#define EACH  12 /* us for a frame of 1514 bytes */
#define RUNS  4  /* migrations, each of another VM */
#define NEVER (600 * SECONDS)

struct waits {
	uint64_t trip, median, p99; /* us */
	unsigned int n;
};

static uint32_t all[RUNS * WAITS_MAX];

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void migrate(uint64_t seed, const struct faults *faults, bool idle)
{
	machines_init(&m, seed, faults);
	memset(m.vm.kind, VM_DATA, sizeof(m.vm.kind));
	m.step = 2;
	m.faults_max = 1; /* or urgent pages wait for each other */
	m.idle = idle;
	machines_begin(&m);
	if (!machines_until(&m, ASKER_DONE, NEVER) || machines_verify(&m))
		fail_msg("seed %lu: phase %d, %s", (unsigned long)seed, asker_phase(&m.asker),
			 machines_verify(&m));
}

static struct waits measure(uint64_t delay, unsigned int loss, bool idle)
{
	struct faults faults = { .delay = delay, .each = EACH, .lose = loss };
	struct waits w = { .trip = 2 * (delay + EACH) };

	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		migrate(seed, &faults, idle);
		memcpy(all + w.n, m.wait, m.waits * sizeof(all[0]));
		w.n += m.waits;
	}
	assert_true(w.n > 10 * RUNS);
	qsort(all, w.n, sizeof(all[0]), by_size);
	w.median = all[w.n / 2];
	w.p99 = all[w.n * 99 / 100];
	printf("# round trip %lu us, loss %u.%u %%, %s: %u urgent pages, median %lu us (%lu.%02lu round "
	       "trips), p99 %lu us (%lu.%02lu)\n",
	       (unsigned long)w.trip, loss / 10, loss % 10,
	       idle ? "idle" : "full of background data", w.n, (unsigned long)w.median,
	       (unsigned long)(w.median / w.trip), (unsigned long)(w.median * 100 / w.trip % 100),
	       (unsigned long)w.p99, (unsigned long)(w.p99 / w.trip),
	       (unsigned long)(w.p99 * 100 / w.trip % 100));
	return w;
}

static const uint64_t delays[] = { 100, 500 }; /* us, one way */

static void idle_a_page_takes_1_2_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		struct waits w = measure(delays[i], 0, true);

		assert_true(10 * w.median <= 12 * w.trip);
	}
}

static void under_full_load_a_page_takes_2_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		struct waits w = measure(delays[i], 0, false);

		assert_true(w.median <= 2 * w.trip);
	}
}

/* What is lost is noticed by what overtakes it, or after a timer of 20 ms. */
static void with_losses_most_pages_take_no_longer(void **state)
{
	(void)state;
	for (unsigned int loss = 10; loss <= 100; loss *= 10) {
		struct waits idle = measure(500, loss, true), loaded = measure(500, loss, false);

		assert_true(10 * idle.median <= 12 * idle.trip);
		assert_true(loaded.median <= 2 * loaded.trip);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_a_page_takes_1_2_round_trips),
		cmocka_unit_test(under_full_load_a_page_takes_2_round_trips),
		cmocka_unit_test(with_losses_most_pages_take_no_longer),
	};

	return cmocka_run_group_tests_name("how long a vCPU waits for a page", tests, NULL, NULL);
}
