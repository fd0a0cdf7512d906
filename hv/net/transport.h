/* SPDX-License-Identifier: MIT */
/*
 * A way to another machine: it sends datagrams and polls for them. Any of them may be lost, come
 * twice, late, out of order or changed, and anybody may have sent it. Boot CPU only.
 */
#ifndef HV_NET_TRANSPORT_H
#define HV_NET_TRANSPORT_H

#include "mm/types.h"

/* Datagrams, but for what says otherwise. */
#define TRANSPORT_COUNTS(X)                                                                        \
	X(sent)                                                                                    \
	X(received)                                                                                \
	X(bytes_sent)     /* as the wire sees them: headers included */                            \
	X(bytes_received) /* likewise */                                                           \
	X(full)           /* not sent: there was no room */                                        \
	X(unknown)        /* not sent: nobody has said where the peer is */                        \
	X(foreign)        /* came, and were not for us, or made no sense */

struct transport_counts {
#define X(name) uint64_t name;
	TRANSPORT_COUNTS(X)
#undef X
};

struct transport {
	const char *name;   /* for reports */
	size_t payload_max; /* bytes of a datagram */
	struct transport_counts counts;
	/* Sends a datagram of at most payload_max bytes. -EAGAIN: not now: the sender's timers
	 * will say it again. */
	int (*send)(struct transport *t, const void *data, size_t bytes);
	/* Is there room to send one? */
	bool (*ready)(struct transport *t);
	/* The next datagram that has come, valid until the next call; NULL: none. */
	const void *(*poll)(struct transport *t, size_t *bytes);
};

#endif
