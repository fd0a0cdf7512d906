/* SPDX-License-Identifier: MIT */
/*
 * Post-copy over a link: the pure core. Nothing here has a clock, a socket, or memory of its own:
 * who calls gives the time in microseconds, carries datagrams, and owns all buffers. So the same
 * files run in the machine, and both ends of a migration in one test on the host.
 *
 *	wire.h		every byte
 *	link.h		what both ends share
 *	asker.h		the destination: asks, and has all the timers
 *	answerer.h	the source: answers
 *
 * The transport calls x_receive() for each datagram that came, and x_poll() for as long as there
 * is something to send and room to send it: nothing is queued behind x_poll(), so what is urgent
 * overtakes all that has not been handed over. Keep the transport's own queue short.
 *
 * What comes in is hostile until it has been opened and checked. Bad datagrams are counted and
 * dropped; none is an error of the caller's.
 */
#ifndef HV_LINK_LINK_H
#define HV_LINK_LINK_H

#include "hv/link/wire.h"

/* The contents of pages. */
struct link_extent {
	gfn_t gfn;
	uint64_t frames;  /* 1 where there is data */
	const void *data; /* 4 KiB, or NULL */
	enum link_what what;
};

/* What both sides know beforehand. */
struct link_key {
	const uint8_t *bytes; /* the caller's; must outlive the side that uses it */
	size_t n;             /* bytes, at least LINK_KEY_MIN; 0: none */
	bool insecure;        /* goes without a key; n must be 0 */
	bool aes; /* this CPU has AES-NI and PCLMULQDQ, and vector registers are saved */
};

#define LINK_KEY_MIN 16

/* Unpredictable bytes for nonces. */
struct link_random {
	void (*fill)(void *ctx, void *to, size_t n);
	void *ctx;
};

/* What a side has seen; both have the same list. */
#define LINK_STATS(X)                                                                              \
	X(datagrams_sent)                                                                          \
	X(bytes_sent) /* of UDP payload */                                                         \
	X(datagrams_received)                                                                      \
	X(bytes_received)                                                                          \
	X(pages_sent)  /* answerer: pages with contents, counted by their first piece */           \
	X(pieces_sent) /* of pages */                                                              \
	X(runs_sent)                                                                               \
	X(pages_packed) /* that travelled in one datagram, among those of the next two: sent, or   \
			   came */                                                                 \
	X(pages_came)   /* asker: pages with contents that were complete */                        \
	X(runs_came)                                                                               \
	X(pieces_again)     /* asker: pieces that were asked for again, as their page... */        \
	X(again_overtaken)  /* asker: ...was overtaken: in pages, as the next two */               \
	X(again_timed_out)  /* asker: ...had not come when its timer ran out */                    \
	X(again_urgent)     /* asker: ...became urgent */                                          \
	X(pieces_duplicate) /* asker: came twice, or for a page that nobody waits for */           \
	X(parity_repaired)  /* asker: pages that the parity piece completed */                     \
	X(asks_dropped)     /* answerer: there was no room to keep them; they come again */        \
	X(bad_form)         /* too short, too long, a kind or a number that is not allowed */      \
	X(bad_seal)         /* did not open: corrupted, forged, or another key */                  \
	X(replayed)         /* opened, but had been received before */                             \
	X(unknown_session)  /* of an earlier session, or of none */                                \
	X(unasked)          /* asker: a good datagram that answers nothing that was asked */       \
	X(sessions)         /* opened */

struct link_stats {
#define X(name) uint64_t name;
	LINK_STATS(X)
#undef X
};

/* May a side with this key begin? 0; -EPERM: no key, and insecure is not set; -EINVAL: the key is
 * too short, or there are both. */
int must_check link_key_check(const struct link_key *key);

/* The suites that a side with this key offers: a mask. */
uint32_t link_suites(const struct link_key *key);

/* The best suite of those and of this key's, or LINK_SUITE_REFUSED. */
unsigned int link_best_suite(const struct link_key *key, uint32_t offered);

/* Are all of these frames in one of the offer's regions? */
bool link_has(const struct link_offer *offer, gfn_t gfn, uint64_t frames);

/* One above the last frame of the offer's regions. */
uint64_t link_end(const struct link_offer *offer);

/* The reason's sentence; never NULL, whatever the number. */
const char *link_reason_text(unsigned int reason);

/* A cipher's name, for the report: "ChaCha20-Poly1305". */
const char *link_suite_name(unsigned int suite);

/**
 * link_mismatch() - can a guest move from there to here?
 * @here: the asker's offer
 * @there: the answerer's
 * @detail: set to what the sentence does not say: "CPUID 7 EBX", "single 4 KiB pages arrive in
 *	larger backing", or ""
 *
 * Return: LINK_REASON_NONE: yes; or why not, the first reason of all.
 */
enum link_reason link_mismatch(const struct link_offer *here, const struct link_offer *there,
			       const char **detail);

#endif
