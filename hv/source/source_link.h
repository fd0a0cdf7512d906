/* SPDX-License-Identifier: MIT */
/* Another machine as the source: the asker (hv/link/asker.h) on a transport. */
#ifndef HV_SOURCE_LINK_H
#define HV_SOURCE_LINK_H

#include "hv/link/asker.h"
#include "hv/net/transport.h"
#include "hv/source/source.h"

#define SOURCE_RESTS 16

struct source_link {
	struct page_source source;
	struct asker asker;
	struct transport *transport;
	void (*before)(void);  /* called before a datagram is opened or sealed */
	struct bitmap *lost;   /* the caller's: gets a bit for each page that the source has lost */
	bool cut;              /* on purpose: nothing goes out, nothing is taken in */
	bool silent;           /* the other side has been silent for the limit, and that was said */
	enum link_reason told; /* that the user was told last */
	uint64_t next_retry;   /* us */
	uint64_t good;         /* datagrams of the other side, at the last look */
	/* Runs of which an urgent page was given out first, and runs of lost pages, which are given
	 * out one by one. */
	unsigned int nrests;
	struct page_reply rest[SOURCE_RESTS];
	struct source_ring urgent[MAX_CPUS]; /* from the CPUs that run vCPUs to the boot CPU */
	struct source_request urgent_slot[MAX_CPUS][SOURCE_URGENT];
};

/* Connects to whoever answers. Everything in @setup must outlive it, and @transport, @lost.
 * @before: of struct source_link. Errors: as asker_init(). */
int must_check source_link_init(struct source_link *s, const struct asker_setup *setup,
				struct transport *transport, struct bitmap *lost,
				void (*before)(void));

/* Takes what has come, and sends what is to be sent: a bounded amount of work. Return: was there
 * any? Boot CPU only. */
bool source_link_pump(struct source_link *s);

#endif
