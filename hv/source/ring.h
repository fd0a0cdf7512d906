/* SPDX-License-Identifier: MIT */
/* Requests on their way from one CPU, which writes, to one that reads. */
#ifndef HV_SOURCE_RING_H
#define HV_SOURCE_RING_H

#include <stdatomic.h>

#include "mm/err.h"
#include "mm/types.h"

#define SOURCE_URGENT 16 /* requests of one CPU under way */

struct source_request {
	gfn_t first; /* as it was asked for */
	gfn_t gfn;   /* the rest that is not answered yet */
	uint64_t frames;
	uint64_t due; /* TSC: no answer before */
};

struct source_ring {
	_Atomic uint32_t head; /* reader's */
	_Atomic uint32_t tail; /* writer's */
	uint32_t size;         /* power of two */
	struct source_request *request;
};

/* An empty ring. @request: room for `size` requests, a power of two; the caller's */
static inline void ring_init(struct source_ring *ring, struct source_request *request,
			     uint32_t size)
{
	*ring = (struct source_ring){ .request = request, .size = size };
}

/* -ENOSPC: it is full. */
static inline int must_check ring_put(struct source_ring *ring,
				      const struct source_request *request)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) == ring->size)
		return -ENOSPC;
	ring->request[tail & (ring->size - 1)] = *request;
	/* Release: the reader sees the request before it sees the tail. */
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return 0;
}

/* The oldest request, or NULL. */
static inline struct source_request *ring_head(struct source_ring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	return head == atomic_load_explicit(&ring->tail, memory_order_acquire)
		       ? NULL
		       : &ring->request[head & (ring->size - 1)];
}

/* Takes it off. */
static inline void ring_take(struct source_ring *ring)
{
	atomic_store_explicit(&ring->head,
			      atomic_load_explicit(&ring->head, memory_order_relaxed) + 1,
			      memory_order_release);
}

#endif
