/* SPDX-License-Identifier: MIT */
/*
 * The answerer: the source of a migration, or a server of a snapshot.
 *
 * It keeps nothing for a request but a place in a short queue, and may drop it: who asks, asks
 * again. It has one session; who opens another with the right key replaces it. Its phase says who
 * may run the guest:
 *
 *	RUNS_HERE --answerer_freeze()--> FROZEN --LINK_TAKE--> GONE
 *	    ^                              |
 *	    +--- time limit, LINK_LEAVE, --+
 *		 answerer_thaw(): the image gets another identity
 *
 * The guest may run here in RUNS_HERE alone. Only a LINK_TAKE that names this very image leads to
 * GONE, and nothing leads out of it: a take that comes late names an image that is no more, and is
 * refused. In GONE the state and the pages are for the taker alone. A server of a snapshot begins
 * in GONE with nobody as its taker, and serves whoever asks.
 *
 * Pre-copy: where the setup has round(), the asker may ask for pages in RUNS_HERE, too, in rounds
 *of which it asks for each when it has the pages of the one before. The one that it asks for in
 *FROZEN is the last: it says what of all that was sent is of no use.
 *
 * Call it from one CPU at a time.
 */
#ifndef HV_LINK_ANSWERER_H
#define HV_LINK_ANSWERER_H

#include "hv/link/channel.h"
#include "hv/link/link.h"
#include "hv/link/pack/pack.h"

#define ANSWERER_URGENT     32 /* asks kept, each a link_ask */
#define ANSWERER_BACKGROUND 32

struct answerer_setup {
	struct link_key key;
	struct link_random random;
	/* The fields that the header of link_offer says are the answerer's; version, phase, image,
	 * state_bytes are filled in. */
	struct link_offer offer;
	/* A server of a snapshot: its image's identity. NULL: a machine; identities are random. */
	const uint8_t *snapshot;
	const void *state; /* of a snapshot; else NULL */
	size_t state_bytes;
	uint64_t limit; /* us in FROZEN without a word from the asker, until it thaws; 0: never */
	/**
	 * look() - the contents of the image from gfn on.
	 * @extent: .gfn <= gfn < .gfn + .frames. A run may begin earlier and be longer than one
	 *	datagram can say; .data is valid until the next look().
	 *
	 * Called by answerer_poll() only, for pages of the offer's regions only; in GONE, and while
	 *the guest runs once round() has returned true.
	 */
	void (*look)(void *ctx, gfn_t gfn, struct link_extent *extent);
	/**
	 * round() - write the map of the next round of pre-copy.
	 * @round: from 1 on; 1 again: another session, which has no pages
	 * @last: the guest has stopped
	 *
	 * The map is of all pages with contents in round 1, and of those that were written since
	 * the last call in a later one; each page's contents are read afterwards. NULL: no
	 * pre-copy, and the offer must not have LINK_FEATURE_ROUNDS. Return: false: not yet.
	 */
	bool (*round)(void *ctx, unsigned int round, bool last);
	const uint8_t *map; /* that round() writes: a bit for each page below link_end() */
	void *ctx;          /* of both */
};

/* A link_ask that waits to be answered. */
struct answerer_ask {
	gfn_t gfn;
	uint64_t taken; /* mask of pages that were asked for urgently meanwhile, from gfn on */
	uint64_t data;  /* mask of pages with contents that are not sent yet, from gfn on */
	uint8_t frames, pieces;
	uint8_t left; /* mask of the first such page's pieces that are not sent yet */
	bool looked;  /* `data` is known, the runs are sent */
};

struct answerer_ring {
	uint32_t head, n, size; /* the first, how many, and room for */
	struct answerer_ask *ask;
};

enum answerer_owes {
	ANSWERER_WELCOME = 1 << 0, /* to a stranger, as the next two */
	ANSWERER_STALE = 1 << 1,
	ANSWERER_NOT_YOU = 1 << 2,
	ANSWERER_OPENED = 1 << 3,
	ANSWERER_REFUSED = 1 << 4,
	ANSWERER_GIVEN = 1 << 5,
	ANSWERER_STATUS = 1 << 6,
	ANSWERER_ENDED = 1 << 7,
};

struct answerer {
	struct answerer_setup setup;
	enum link_phase phase;
	uint8_t image[LINK_ID];
	uint8_t taker[LINK_ID]; /* of the session: outside of RUNS_HERE it alone is served */

	struct channel channel; /* the session */
	struct channel other;   /* that of an asker who is only told that he is not served */
	uint64_t features;      /* that both sides of the session can */
	bool open;
	bool ready; /* the asker has said that all fits */
	uint8_t asker_nonce[LINK_NONCE];
	uint8_t nonce[LINK_NONCE]; /* the next session's */
	uint64_t heard;            /* us: the last datagram that opened */
	uint64_t frozen;           /* us: when the guest stopped last */

	uint32_t owes;            /* what to send next: mask of enum answerer_owes */
	struct link_hello hello;  /* that the welcome answers */
	uint32_t unknown;         /* that the stale names */
	uint64_t state_pieces;    /* mask */
	unsigned int round;       /* of pre-copy; 0: none has begun */
	bool map_last;            /* its map was made when the guest had stopped */
	uint32_t map_first;       /* the piece that bit 0 of the next one is */
	uint64_t map_pieces;      /* mask */
	enum link_reason refusal; /* that LINK_REFUSED names */
	enum link_reason left;    /* why the asker left, if it did */
	bool done;                /* nothing is owed to the asker any more */

	struct answerer_ring urgent, background;
	struct answerer_ask urgent_slot[ANSWERER_URGENT];
	struct answerer_ask background_slot[ANSWERER_BACKGROUND];

	uint64_t pack_room[PACK_ROOM / 8];
	struct link_stats stats;
};

/* Begins in RUNS_HERE, or in GONE for a snapshot. The setup is copied; what it points to must
 * outlive the answerer. Errors: as link_key_check(). */
int must_check answerer_init(struct answerer *s, const struct answerer_setup *setup);

/**
 * answerer_receive() - take one datagram.
 * @now: us, never less than in an earlier call
 * Return: true: it opened. The transport notes its sender as the peer. Else he is a stranger, of
 * whom it notes the last one.
 */
bool answerer_receive(struct answerer *s, uint64_t now, const void *datagram, size_t bytes);

/**
 * answerer_poll() - what to send next.
 * @out: at least LINK_DATAGRAM_MAX bytes
 * @to_stranger: set: to the last stranger, or to the peer
 *
 * Ends FROZEN when the limit is over: look at answerer_phase() after each call.
 * Return: bytes; 0: nothing now.
 */
size_t answerer_poll(struct answerer *s, uint64_t now, void *out, bool *to_stranger);

/**
 * answerer_freeze() - the guest has stopped: let the asker have it.
 * @state: what the destination needs to run it; must stay where it is until the phase is RUNS_HERE
 *	again or the answerer is not used any more
 *
 * The guest's memory must not change from here on. Return: 0; -EAGAIN: nobody is connected, or the
 * phase is not RUNS_HERE; -E2BIG: more than LINK_STATE_MAX bytes, or than the asker has room for.
 */
int must_check answerer_freeze(struct answerer *s, uint64_t now, const void *state, size_t bytes);

/* Takes the guest back: then it may run here. Return: 0; -EPERM: it was given away. */
int must_check answerer_thaw(struct answerer *s);

/* Has an asker a session, do the offers fit, and was it heard within the last two seconds? */
bool answerer_connected(const struct answerer *s, uint64_t now);

static inline enum link_phase answerer_phase(const struct answerer *s)
{
	return s->phase;
}

/* The asker has all pages: the source may end. */
static inline bool answerer_done(const struct answerer *s)
{
	return s->done;
}

/* Why the asker left, or LINK_REASON_NONE. */
static inline enum link_reason answerer_left(const struct answerer *s)
{
	return s->left;
}

#endif
