/* SPDX-License-Identifier: MIT */
/*
 * The asker: the destination of a migration, or whoever restores a snapshot.
 *
 * It opens the session, asks for the state, takes the guest over, and then asks for pages, each
 * again until it has come. Its phase says what the caller may do:
 *
 *	CONNECTING	it opens the first session
 *	WAITING		the guest runs at the source, or its state is on its way; pre-copy goes on
 *	STATE		the state is here: load it, then asker_take_over() or asker_refuse()
 *	TAKING		the source is asked to let go; the guest may not run yet
 *	RUNS		the guest runs here, and nowhere else: ask for pages
 *	DONE		all pages are here, and the source knows, or does not answer
 *	REFUSED		it does not go: asker_reason(), asker_detail(); the guest is at the source
 *
 * If the session is lost, or the source was restarted, the asker opens another and stays in its
 * phase: what was asked for and has not come is asked for again, nothing else is. If the source
 * takes the guest back, it returns to WAITING. From TAKING on it cannot leave by itself: only the
 * source knows whether it has let go, and another image than the one that was taken is refused.
 *
 * After the limit without an answer asker_is_cut() is true: it keeps all that there is, and sends
 * nothing until asker_retry(). In RUNS the guest may go on meanwhile.
 *
 * Call it from one CPU at a time.
 */
#ifndef HV_LINK_ASKER_H
#define HV_LINK_ASKER_H

#include "hv/link/channel.h"
#include "hv/link/link.h"
#include "hv/link/pace.h"

enum asker_phase {
	ASKER_CONNECTING,
	ASKER_WAITING,
	ASKER_STATE,
	ASKER_TAKING,
	ASKER_RUNS,
	ASKER_DONE,
	ASKER_REFUSED,
};

enum asker_page_state {
	ASKER_FREE,
	ASKER_WANTED, /* not asked for yet */
	ASKER_ASKED,
	ASKER_CAME,
};

#define ASKER_URGENT     1u /* asker_page.wanted: who waits */
#define ASKER_BACKGROUND 2u

/* A page that was asked for: 5.4 KiB. */
struct asker_page {
	gfn_t gfn;
	gfn_t first;    /* of its background request */
	uint64_t asked; /* us: when somebody wanted it */
	uint64_t sent;  /* us: when it was asked for last */
	uint64_t due;   /* us: when to ask again at the latest; or when it came */
	uint8_t state;  /* enum asker_page_state */
	uint8_t wanted;
	bool urgently;             /* it was asked for so, last */
	uint8_t have;              /* mask of pieces, LINK_PARITY's among them */
	uint8_t tries;             /* how often it was asked for */
	uint8_t again;             /* pieces that were asked for again */
	struct link_extent extent; /* when it has come */
	uint8_t bytes[LINK_PIECES * LINK_PIECE_BYTES];
	uint8_t parity[LINK_PIECE_BYTES];
};

struct asker_setup {
	struct link_key key;
	struct link_random random;
	/* The fields that the header of link_offer says are the asker's; version, suites, image,
	 * taker and state_bytes are filled in. */
	struct link_offer offer;
	void *state; /* room for the guest's state; the caller's */
	size_t state_room;
	uint8_t *map; /* room for a bit of each page below link_end(); the caller's. NULL: no
			 pre-copy */
	struct asker_page *pages; /* room for requests; the caller's */
	unsigned int npages;      /* at least 64 */
	unsigned int window;      /* most background pages under way on the wire */
	uint64_t limit;           /* us without an answer until it is cut; 0: never */
	uint64_t retry_min;       /* us: the shortest timer of an ask. 0: 20000 */
};

/* What came, as struct page_answer (hv/source/source.h) has it. */
struct asker_answer {
	struct link_extent extent; /* .data is valid until the next asker_take(). A run may be
				    * longer than what was asked for, or 0 frames: then a run that
				    * was given out before has it, and this only completes. */
	gfn_t completes;           /* the first gfn of the request that is done by it, or... */
	bool urgent;
	uint64_t waited; /* us since it was asked for */
};

#define ASKER_NOTHING UINT64_MAX /* ...none */

#define ASKER_BUCKETS 32 /* latencies of urgent requests: bucket n has those below 2^n us */

enum asker_session {
	ASKER_CLOSED,
	ASKER_OPENING,
	ASKER_OPEN,
};

enum asker_map_state {
	ASKER_NO_MAP, /* no round has begun */
	ASKER_MAP_COMES,
	ASKER_MAP_CAME,
};

/* The newest round of pre-copy. */
struct asker_map {
	enum asker_map_state state;
	unsigned int round; /* from 1 on */
	bool last;          /* made when the guest had stopped, for good as far as we know */
	bool overtaken;     /* the guest went on since it was asked for: it is not the last */
	uint32_t first;     /* pieces below have come */
	uint64_t have;      /* mask: bit n is piece first + n */
	uint64_t next;      /* us: when to ask again */
	unsigned int tries;
};

struct asker {
	struct asker_setup setup;
	enum asker_phase phase;
	enum link_reason reason;
	const char *detail;
	bool begun;   /* `heard` is set */
	bool cut;     /* nothing was heard for too long */
	bool ending;  /* asker_finish() */
	bool leaving; /* the answerer is to know that we refuse */

	enum asker_session session;
	struct channel channel;
	uint8_t nonce[LINK_NONCE];
	uint64_t heard;          /* us: the last datagram that opened */
	uint64_t polled;         /* us: the last asker_poll() */
	uint64_t next;           /* us: when to ask for what is not a page again */
	uint64_t said;           /* us: when it was asked for last */
	unsigned int tries;      /* of that */
	unsigned int not_opened; /* answers in a row that say our key opens nothing */

	struct link_offer
		there;        /* the answerer's: its image, phase, and state are kept up to date */
	uint64_t state_have;  /* mask of pieces */
	uint64_t state_asked; /* those asked for last */
	struct asker_map map;

	struct pace pace;
	unsigned int under_way;  /* background pages on the wire */
	struct asker_page *lent; /* asker_take() has lent its bytes */

	uint64_t latency[ASKER_BUCKETS];
	struct link_stats stats;
};

/* Begins in CONNECTING. The setup is copied; what it points to must outlive the asker. Errors: as
 * link_key_check(); -EINVAL: too few pages. */
int must_check asker_init(struct asker *a, const struct asker_setup *setup);

/* Takes one datagram. @now: us, never less than in an earlier call */
void asker_receive(struct asker *a, uint64_t now, const void *datagram, size_t bytes);

/**
 * asker_poll() - what to send next.
 * @out: at least LINK_DATAGRAM_MAX bytes
 *
 * Call it often also when nothing came: it holds the timers. Return: bytes; 0: nothing now.
 */
size_t asker_poll(struct asker *a, uint64_t now, void *out);

/* --- pre-copy: while the guest runs at the source ----------------------------------------------
 *
 * asker_next_round(), and when the map has come forget the pages that it has, for they have
 * changed; then ask for them in the background, and keep those that come with data. When there are
 * no more, the next round. When the guest has stopped (there.phase), one more round: what its map
 * has is of no use, all else that was kept is right. Take the guest over only then.
 *
 * A session that is lost loses all of it: stats.sessions counts them.
 */

/* Can both sides? Is it the time for it? */
static inline bool asker_has_rounds(const struct asker *a)
{
	return (a->phase == ASKER_WAITING || a->phase == ASKER_STATE) && a->session == ASKER_OPEN &&
	       a->setup.map && a->there.features & a->setup.offer.features & LINK_FEATURE_ROUNDS;
}

/* Asks for the next round's map. Drops what was asked for and has not come. Return: 0; -EAGAIN: not
 * now; -ENOSPC: there are no more rounds: forget all pages. */
int must_check asker_next_round(struct asker *a, uint64_t now);

/* The map of the round that was asked for is in the setup's room. */
static inline bool asker_map_came(const struct asker *a)
{
	return a->map.state == ASKER_MAP_CAME;
}

/* --- the switch-over ------------------------------------------------------------------------ */

/* In ASKER_STATE: the state's bytes, in the setup's room. */
size_t asker_state_bytes(const struct asker *a);

/* In ASKER_STATE: the state is loaded and good. The guest may run as soon as the phase is RUNS. */
void asker_take_over(struct asker *a);

/* Before TAKING: the guest stays at the source. LINK_REASON_STATE, LINK_REASON_USER, ... */
void asker_refuse(struct asker *a, enum link_reason reason);

/* --- pages ------------------------------------------------------------------------------------ */

/**
 * asker_ask() - ask for pages.
 * @frames: 1 to LINK_ASK_FRAMES_MAX, 1 if it is urgent; all of them in one region
 * @urgent: a vCPU waits. Urgent pages are not held back by the window.
 *
 * Each request is answered by one or more answers, the last of which completes it. A page that is
 * asked for urgently and in the background is given out for both. A quarter of the setup's pages
 * is kept for urgent requests.
 *
 * Return: 0; -EAGAIN: the phase is not RUNS, and no round of pre-copy is on; -ENOSPC: too much is
 * under way; -EINVAL: not pages of the guest; -EALREADY: an urgent request for the page, or a
 * background one for one of the pages, is under way.
 */
int must_check asker_ask(struct asker *a, uint64_t now, gfn_t gfn, uint64_t frames, bool urgent);

/* Takes the next answer, urgent ones first, or only these. False: none has come. */
bool must_check asker_take(struct asker *a, bool urgent_only, struct asker_answer *answer);

/* All pages are here and nothing will be asked for: tells the source, and goes to DONE. */
void asker_finish(struct asker *a, uint64_t now);

/* --- when it does not go ---------------------------------------------------------------------- */

/* Goes on after it was cut. */
void asker_retry(struct asker *a, uint64_t now);

static inline enum asker_phase asker_phase(const struct asker *a)
{
	return a->phase;
}

/* Nothing has been heard for the setup's limit. */
static inline bool asker_is_cut(const struct asker *a)
{
	return a->cut;
}

static inline enum link_reason asker_reason(const struct asker *a)
{
	return a->reason;
}

/* What the reason's sentence does not say, or "". */
static inline const char *asker_detail(const struct asker *a)
{
	return a->detail;
}

#endif
