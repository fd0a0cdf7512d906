/* SPDX-License-Identifier: MIT */
/* The trace's stream, read back by its format: each record comes once and in order, or is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/serial.h"
#include "hv/base/trace.h"
#include "hv/base/trace_stream.h"

#define CPUS  2
#define BYTES (64u << 20)

uint64_t clock_khz = 1000;
unsigned int ncpus = CPUS;
struct trace_place trace_places[MAX_CPUS];

static struct trace_record *rings[CPUS];
static uint8_t *line; /* what went through the port */
static size_t sent, at;

/* --- what the stream needs ------------------------------------------------------------------ */

void serial_init(struct serial *s, uint16_t port)
{
	s->port = port;
	s->alive = true;
}

void serial_write(struct serial *s, const uint8_t *bytes, size_t n)
{
	assert_true(s->alive && sent + n <= BYTES);
	memcpy(line + sent, bytes, n);
	sent += n;
}

void serial_drain(struct serial *s)
{
	(void)s;
}

void con_printf(const char *fmt, ...)
{
	(void)fmt;
}

bool trace_enlarge(void)
{
	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		struct trace_place *place = &trace_places[cpu];

		place->begin = rings[cpu];
		place->end = rings[cpu] + TRACE_RECORDS_LARGE;
		place->next = rings[cpu];
		place->laps = 0;
	}
	return true;
}

/* --- a reader ------------------------------------------------------------------------------- */

static uint64_t number(void)
{
	uint64_t n = 0;
	unsigned int shift = 0;

	do {
		assert_true(at < sent);
		n |= (uint64_t)(line[at] & 0x7f) << shift;
		shift += 7;
	} while (line[at++] & 0x80);
	return n;
}

static uint64_t difference(uint64_t *before)
{
	uint64_t n = number();

	return *before += n >> 1 ^ -(n & 1);
}

static struct {
	uint64_t tsc, a[TRACE_EVENT_COUNT], b[TRACE_EVENT_COUNT];
	uint64_t records, lost;
} seen[CPUS];

/* Each CPU's n-th event, from 0 on, says so in all of its values. */
static uint64_t value(uint64_t n)
{
	return n * UINT64_C(0x9e3779b97f4a7c15);
}

static void read_record(unsigned int cpu)
{
	uint64_t event = number(), n = seen[cpu].records++ + seen[cpu].lost;

	assert_int_equal(event, n % TRACE_EVENT_COUNT);
	assert_int_equal(difference(&seen[cpu].tsc), 1000 + n);
	assert_int_equal(difference(&seen[cpu].a[event]), value(n));
	assert_int_equal(difference(&seen[cpu].b[event]), ~value(n));
}

/* Reads all chunks; false: the end was not among them. */
static bool read_chunks(void)
{
	while (at < sent) {
		uint64_t cpu = number(), n;

		if (!cpu--)
			return true;
		assert_true(cpu < CPUS);
		seen[cpu].lost += number();
		for (n = number(); n; n--)
			read_record((unsigned int)cpu);
	}
	return false;
}

static uint64_t noted[CPUS];

static void note(unsigned int cpu, uint64_t n)
{
	for (; n; n--, noted[cpu]++)
		trace_at(cpu, 1000 + noted[cpu], noted[cpu] % TRACE_EVENT_COUNT, value(noted[cpu]),
			 ~value(noted[cpu]));
}

static int set_up(void **state)
{
	(void)state;
	line = malloc(BYTES);
	for (unsigned int cpu = 0; cpu < CPUS; cpu++)
		rings[cpu] = calloc(TRACE_RECORDS_LARGE, sizeof(struct trace_record));
	memset(seen, 0, sizeof(seen));
	memset(noted, 0, sizeof(noted));
	sent = 0;
	trace_stream_begin("EPT");
	at = 0;
	assert_memory_equal(line, TRACE_STREAM_BEGINS, sizeof(TRACE_STREAM_BEGINS) - 1);
	while (memcmp(line + at, "\n\n", 2))
		at++;
	at += 2;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	trace_stream_end();
	free(line);
	for (unsigned int cpu = 0; cpu < CPUS; cpu++)
		free(rings[cpu]);
	return 0;
}

/* --- claims --------------------------------------------------------------------------------- */

static void what_is_read_in_time_comes_whole_and_in_order(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 30000; i++) {
		note(i % 3 ? 1 : 0, i % 11);
		trace_stream_poll();
	}
	trace_stream_end();
	assert_true(read_chunks());
	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		assert_true(noted[cpu] > TRACE_RECORDS_LARGE / 2);
		assert_int_equal(seen[cpu].records, noted[cpu]);
		assert_int_equal(seen[cpu].lost, 0);
	}
}

static void what_is_overwritten_is_counted_to_the_record(void **state)
{
	(void)state;
	note(1, 10);
	trace_stream_all();
	note(1, 5 * TRACE_RECORDS_LARGE + 123);
	note(0, TRACE_RECORDS_LARGE - 1);
	trace_stream_end();
	assert_true(read_chunks());
	assert_true(seen[1].lost > 4 * TRACE_RECORDS_LARGE);
	assert_int_equal(seen[1].records + seen[1].lost, noted[1]);
	assert_int_equal(seen[0].records, noted[0]);
	assert_int_equal(trace_sums.lost, seen[1].lost);
	assert_int_equal(trace_sums.sent, seen[0].records + seen[1].records);
}

static void the_newest_record_of_a_cpu_that_runs_is_left(void **state)
{
	(void)state;
	note(0, 5);
	note(1, 5);
	trace_stream_all();
	assert_false(read_chunks());
	assert_int_equal(seen[0].records, 5);
	assert_int_equal(seen[1].records, 4);
	/* At the end of the ring it cannot be told how much there is. */
	note(1, TRACE_RECORDS_LARGE - 6);
	trace_stream_all();
	assert_false(read_chunks());
	assert_int_equal(seen[1].records, 4);
	trace_stream_end();
	assert_true(read_chunks());
	assert_int_equal(seen[1].records, noted[1]);
}

static void a_ring_that_fills_up_is_read_faster(void **state)
{
	(void)state;
	note(1, TRACE_RECORDS_LARGE * 3 / 4);
	for (unsigned int i = 0; i < 2 * CPUS; i++)
		trace_stream_poll();
	assert_false(read_chunks());
	assert_true(seen[1].records > 1000);
}

int main(void)
{
#define CASE(claim) cmocka_unit_test_setup_teardown(claim, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		CASE(what_is_read_in_time_comes_whole_and_in_order),
		CASE(what_is_overwritten_is_counted_to_the_record),
		CASE(the_newest_record_of_a_cpu_that_runs_is_left),
		CASE(a_ring_that_fills_up_is_read_faster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
