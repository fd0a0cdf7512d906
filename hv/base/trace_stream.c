/* SPDX-License-Identifier: MIT */
/* The trace's stream. See hv/base/trace_stream.h. */
#include "hv/base/trace_stream.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/serial.h"
#include "hv/base/trace.h"
#include "mm/percpu.h"

#define BATCH      32   /* records of a chunk, and of a look in passing */
#define HURRY      1024 /* of a look at a ring that fills up */
#define RECORD_MAX 33   /* bytes: four numbers, of at most 10 but for the event */

bool trace_streams;
struct trace_sums trace_sums;

/* How far each CPU's ring was read, and the values that the next record's are compared with. */
static struct reader {
	uint64_t taken, lost; /* records; and of those lost, what no chunk has said yet */
	uint64_t tsc;
	uint64_t a[TRACE_EVENT_COUNT], b[TRACE_EVENT_COUNT];
} readers[MAX_CPUS];

static struct serial port;
static struct trace_record batch[BATCH];
static uint8_t bytes[BATCH * RECORD_MAX];
static size_t nbytes;
static bool busy; /* a panic may come in the middle of a chunk */

/* --- bytes --------------------------------------------------------------------------------- */

static void put_number(uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		bytes[nbytes++] = (uint8_t)(n | 0x80);
	bytes[nbytes++] = (uint8_t)n;
}

static void put_difference(uint64_t value, uint64_t *before)
{
	uint64_t d = value - *before;

	*before = value;
	put_number(d << 1 ^ -(d >> 63));
}

static void put_record(struct reader *reader, const struct trace_record *r)
{
	put_number(r->event);
	put_difference(r->tsc, &reader->tsc);
	put_difference(r->a, &reader->a[r->event]);
	put_difference(r->b, &reader->b[r->event]);
}

static void send(void)
{
	serial_write(&port, bytes, nbytes);
	nbytes = 0;
}

/* --- rings --------------------------------------------------------------------------------- */

/* How many records a CPU has written in all, or `least` if that cannot be told just now: while it
 * runs, at the end of its ring the two numbers change one after the other. */
static uint64_t written(unsigned int cpu, uint64_t least, bool runs)
{
	const struct trace_place *place = &trace_places[cpu];
	uint64_t size = (uint64_t)(place->end - place->begin);
	uint64_t laps, again, at;

	do {
		laps = atomic_load_explicit(&place->laps, memory_order_acquire);
		at = (uint64_t)(atomic_load_explicit(&place->next, memory_order_acquire) -
				place->begin);
		again = atomic_load_explicit(&place->laps, memory_order_acquire);
	} while (laps != again);
	if (runs && at == size - 1)
		return least;
	return laps * size + at;
}

/* Skips what is overwritten, or will be while it is read. @end: written so far */
static void skip_lost(struct reader *reader, uint64_t size, uint64_t end)
{
	uint64_t lost;

	if (end - reader->taken < size)
		return;
	lost = end - reader->taken - size / 2;
	reader->taken += lost;
	reader->lost += lost;
	trace_sums.lost += lost;
}

/* Copies at most BATCH records; returns how many. @runs: leave the newest one, which the CPU may be
 * writing */
static unsigned int take(unsigned int cpu, bool runs)
{
	const struct trace_place *place = &trace_places[cpu];
	uint64_t size = (uint64_t)(place->end - place->begin);
	struct reader *reader = &readers[cpu];
	uint64_t end = written(cpu, reader->taken, runs);
	unsigned int n = 0;

	skip_lost(reader, size, end);
	for (uint64_t i = reader->taken; i + runs < end && n < BATCH; i++)
		batch[n++] = place->begin[i & (size - 1)];
	/* Half a ring of room: unless this CPU was stopped for long, nothing was overwritten. */
	end = written(cpu, end, runs);
	if (n && end - reader->taken >= size) {
		skip_lost(reader, size, end);
		return 0;
	}
	reader->taken += n;
	return n;
}

/* Returns how many records it has sent. */
static unsigned int send_chunk(unsigned int cpu, bool runs)
{
	struct reader *reader = &readers[cpu];
	unsigned int n = take(cpu, runs);

	if (!n && !reader->lost)
		return 0;
	put_number(cpu + 1);
	put_number(reader->lost);
	put_number(n);
	reader->lost = 0;
	for (unsigned int i = 0; i < n; i++)
		put_record(reader, &batch[i]);
	send();
	trace_sums.sent += n;
	return n;
}

static uint64_t waiting(unsigned int cpu)
{
	return written(cpu, readers[cpu].taken, cpu != 0) - readers[cpu].taken;
}

/* --- the stream ---------------------------------------------------------------------------- */

static void put_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void put_text(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	nbytes = (size_t)fmt_vprint((char *)bytes, sizeof(bytes), fmt, ap);
	va_end(ap);
	send();
}

static void put_head(const char *second_stage)
{
	static const char *const events[] = {
#define X(name, a, b, what) #name " " #a " " #b,
		TRACE_EVENTS(X)
#undef X
	};

	put_text(TRACE_STREAM_BEGINS "tsc_khz %llu\ncpus %u\nsecond_stage %s\n",
		 (unsigned long long)clock_khz, ncpus, second_stage);
	for (unsigned int i = 0; i < ARRAY_LEN(events); i++)
		put_text("event %s\n", events[i]);
	put_text("\n");
}

void trace_stream_begin(const char *second_stage)
{
	serial_init(&port, COM3);
	if (!port.alive) {
		con_printf("cleave: trace=all: there is no third serial port: only the last events "
			   "are kept\n");
		return;
	}
	if (!trace_enlarge()) {
		con_printf("cleave: trace=all: not enough memory: only the last events are kept\n");
		return;
	}
	__builtin_memset(readers, 0, sizeof(readers));
	trace_sums = (struct trace_sums){ 0 };
	put_head(second_stage);
	trace_streams = true;
}

void trace_stream_some(void)
{
	static unsigned int turn;
	unsigned int cpu = turn++ % ncpus;
	unsigned int most = waiting(cpu) > TRACE_RECORDS_LARGE / 2 ? HURRY : BATCH;

	busy = true;
	for (unsigned int n = 0, sent = 1; sent && n < most; n += sent)
		sent = send_chunk(cpu, cpu != 0);
	busy = false;
}

static void send_all(bool others_run)
{
	busy = true;
	for (unsigned int cpu = 0; cpu < ncpus; cpu++)
		while (send_chunk(cpu, cpu && others_run))
			;
	busy = false;
}

void trace_stream_all(void)
{
	if (trace_streams)
		send_all(true);
}

void trace_stream_end(void)
{
	if (!trace_streams || busy)
		return;
	send_all(false);
	put_number(0);
	send();
	serial_drain(&port);
	trace_streams = false;
	con_printf("cleave: trace: %llu records, %llu lost\n", (unsigned long long)trace_sums.sent,
		   (unsigned long long)trace_sums.lost);
}
