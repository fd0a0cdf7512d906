/* SPDX-License-Identifier: MIT */
/* A simulated link with faults. See tests/host/link/faulty.h. */
#include "tests/host/link/faulty.h"

#include <string.h>

#include "tests/host/random.h"

#define QUEUE_US 60 /* of its own sending time a sender's queue holds so much */

void faulty_init(struct faulty *f, uint64_t seed, const struct faults *faults)
{
	memset(f, 0, sizeof(*f));
	f->seed = seed;
	f->faults = *faults;
	f->next[FAULTY_TO_ANSWERER] = f->next[FAULTY_TO_ASKER] = UINT64_MAX;
}

static bool chance(struct faulty *f, unsigned int of_1000)
{
	return rnd(&f->seed) % 1000 < of_1000;
}

bool faulty_ready(const struct faulty *f, enum faulty_way way, uint64_t now)
{
	return f->busy[way] <= now + QUEUE_US;
}

static void damage(struct faulty *f, struct faulty_datagram *d)
{
	if (chance(f, f->faults.corrupt))
		d->bytes[rnd(&f->seed) % d->n] ^= (uint8_t)(1u << rnd(&f->seed) % 8);
	if (chance(f, f->faults.truncate))
		d->n = 1 + rnd(&f->seed) % d->n;
}

static void enqueue(struct faulty *f, enum faulty_way way, uint64_t due, const void *datagram,
		    size_t n)
{
	for (unsigned int i = 0; i < FAULTY_QUEUE; i++) {
		struct faulty_datagram *d = &f->queue[i];

		if (d->due)
			continue;
		d->due = due + (f->faults.jitter ? rnd(&f->seed) % f->faults.jitter : 0);
		if (chance(f, f->faults.reorder))
			d->due += rnd(&f->seed) % (4 * f->faults.delay + 1);
		if (f->faults.late && chance(f, f->faults.late))
			d->due += rnd(&f->seed) % (f->faults.late_by + 1);
		f->next[way] = MIN(f->next[way], d->due);
		d->way = way;
		d->number = f->number++;
		d->n = n;
		memcpy(d->bytes, datagram, n);
		damage(f, d);
		return;
	}
	f->lost++;
}

static void record(struct faulty *f, enum faulty_way way, const void *datagram, size_t n)
{
	struct faulty_datagram *d = &f->recorded[rnd(&f->seed) % FAULTY_RECORDED];

	d->way = way;
	d->n = n;
	memcpy(d->bytes, datagram, n);
}

void faulty_send(struct faulty *f, enum faulty_way way, uint64_t now, const void *datagram,
		 size_t n)
{
	const struct faulty_datagram *old = &f->recorded[rnd(&f->seed) % FAULTY_RECORDED];

	f->sent++;
	f->busy[way] = (f->busy[way] > now ? f->busy[way] : now) + f->faults.each;
	record(f, way, datagram, n);
	if (f->cut || chance(f, f->faults.lose)) {
		f->lost++;
		return;
	}
	enqueue(f, way, f->busy[way] + f->faults.delay, datagram, n);
	if (chance(f, f->faults.duplicate))
		enqueue(f, way, f->busy[way] + f->faults.delay, datagram, n);
	if (old->n && chance(f, f->faults.replay))
		enqueue(f, old->way, f->busy[way] + f->faults.delay, old->bytes, old->n);
}

size_t faulty_receive(struct faulty *f, enum faulty_way way, uint64_t now, uint8_t *to)
{
	struct faulty_datagram *next = NULL;

	if (now < f->next[way])
		return 0;
	f->next[way] = UINT64_MAX;
	for (unsigned int i = 0; i < FAULTY_QUEUE; i++) {
		struct faulty_datagram *d = &f->queue[i];

		if (!d->due || d->way != way)
			continue;
		f->next[way] = MIN(f->next[way], d->due);
		if (d->due > now)
			continue;
		if (!next || d->due < next->due ||
		    (d->due == next->due && d->number < next->number))
			next = d;
	}
	if (!next)
		return 0;
	next->due = 0;
	memcpy(to, next->bytes, next->n);
	return next->n;
}

void faulty_drop(struct faulty *f)
{
	for (unsigned int i = 0; i < FAULTY_QUEUE; i++)
		f->queue[i].due = 0;
}
