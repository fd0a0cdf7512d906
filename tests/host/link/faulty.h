/* SPDX-License-Identifier: MIT */
/* A simulated link with faults, in both directions. Times in microseconds. */
#ifndef TESTS_HOST_LINK_FAULTY_H
#define TESTS_HOST_LINK_FAULTY_H

#include "hv/link/wire.h"

#define FAULTY_QUEUE    256 /* datagrams under way, of both directions */
#define FAULTY_RECORDED 64

enum faulty_way {
	FAULTY_TO_ANSWERER,
	FAULTY_TO_ASKER,
};

/* Chances are of 1000. */
struct faults {
	unsigned int lose, duplicate, reorder, corrupt, truncate, replay;
	uint64_t delay, jitter; /* us */
	uint64_t each;          /* us that one datagram occupies the link */
	unsigned int late;      /* chance that one comes later by... */
	uint64_t late_by;       /* ...up to so many us */
};

struct faulty_datagram {
	uint64_t due; /* 0: free */
	uint64_t number;
	size_t n;
	enum faulty_way way;
	uint8_t bytes[LINK_DATAGRAM_MAX];
};

struct faulty {
	struct faults faults;
	uint64_t seed;
	uint64_t busy[2]; /* until then a datagram occupies that direction */
	uint64_t next[2]; /* no datagram comes earlier */
	bool cut;
	uint64_t sent, lost, number;
	struct faulty_datagram queue[FAULTY_QUEUE];
	struct faulty_datagram recorded[FAULTY_RECORDED]; /* by somebody who listens */
};

void faulty_init(struct faulty *f, uint64_t seed, const struct faults *faults);

/* Has the sender's queue room? */
bool faulty_ready(const struct faulty *f, enum faulty_way way, uint64_t now);

void faulty_send(struct faulty *f, enum faulty_way way, uint64_t now, const void *datagram,
		 size_t n);

/* The next datagram that has come; returns its bytes, 0: none. */
size_t faulty_receive(struct faulty *f, enum faulty_way way, uint64_t now, uint8_t *to);

/* All that is under way is lost. */
void faulty_drop(struct faulty *f);

#endif
