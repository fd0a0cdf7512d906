/* SPDX-License-Identifier: MIT */
/*
 * Every byte of the link between two machines. docs/protocol.md says what they mean and in which
 * order they travel; a test compares its tables with this file.
 *
 * Two sides: the ASKER is the destination of a migration, the ANSWERER its source, or a server of
 * a snapshot. Only the asker has timers: it asks again. Numbers are little endian; what is called
 * `zero` must be zero. A datagram fits into one UDP datagram at an MTU of 1500.
 *
 *	link_hello	->		clear	a nonce, and which suites the asker can
 *	link_welcome	<-		clear	the answerer's nonce, and the suite
 *	link_open	->		sealed	what the asker is; it carries its nonce in clear
 *	link_stale	<-		clear	"I do not know that session": only a hint
 *	link_head	either way	sealed	all the rest, within a session
 *
 * A sealed datagram within a session:
 *
 *	link_head (clear, but authenticated) | link_body, and what its kind says | tag
 */
#ifndef HV_LINK_WIRE_H
#define HV_LINK_WIRE_H

#include "mm/types.h"

#define LINK_VERSION 1

#define LINK_DATAGRAM_MAX 1472 /* bytes: MTU 1500 less the headers of IPv4 and UDP */
#define LINK_NONCE        16   /* bytes */
#define LINK_ID           16   /* bytes of an image's identity, and of a taker's */
#define LINK_TAG          16   /* bytes */

/* A page travels in pieces: 1368, 1368 and 1360 bytes. */
#define LINK_PIECES      3
#define LINK_PIECE_BYTES 1368u
#define LINK_PARITY      3    /* the piece that is the exclusive or of the three, padded by zeros */
#define LINK_PIECES_ALL  0x7u /* mask of the three */
#define LINK_PIECES_MASK 0xfu /* and with the parity piece */

/* A state blob travels in pieces of LINK_PIECE_BYTES, the last one shorter. */
#define LINK_STATE_PIECES 64
#define LINK_STATE_MAX    (LINK_STATE_PIECES * LINK_PIECE_BYTES) /* bytes: 87,552 */

#define LINK_PACKED __attribute__((packed))

/* --- before there is a session: link_hello.session is 0 --------------------------------------- */

enum link_clear_kind {
	LINK_HELLO = 1,
	LINK_WELCOME = 2,
	LINK_OPEN = 3,
	LINK_STALE = 4,
};

/* How datagrams are sealed. A side offers a mask of 1 << suite. */
enum link_suite {
	LINK_SUITE_NONE = 0,   /* a checksum against accidents: both sides say insecure=1 */
	LINK_SUITE_CHACHA = 1, /* ChaCha20-Poly1305 */
	LINK_SUITE_AES = 2,    /* AES-128-GCM */
	LINK_SUITES = 3,
	LINK_SUITE_REFUSED = 255, /* in link_welcome: no suite in common */
};

/* As long as the answer, so that nobody can make an answerer send more than he sends himself. */
struct link_hello {
	uint32_t session; /* 0 */
	uint8_t kind;
	uint8_t zero;
	uint16_t version;
	uint8_t nonce[LINK_NONCE]; /* the asker's: new for each session */
	uint32_t suites;           /* mask */
	uint8_t zeros[12];
} LINK_PACKED;

struct link_welcome {
	uint32_t session; /* 0 */
	uint8_t kind;
	uint8_t suite;
	uint16_t version;
	uint8_t asker_nonce[LINK_NONCE]; /* which hello is meant */
	uint8_t nonce[LINK_NONCE];       /* the answerer's: new as soon as a session has used it */
} LINK_PACKED;

/* Then a link_offer, sealed with the new session's key, and the tag. */
struct link_open {
	uint32_t session; /* 0 */
	uint8_t kind;
	uint8_t suite;
	uint16_t version;
	uint8_t asker_nonce[LINK_NONCE];
	uint64_t counter; /* counts with those of link_head: this session's */
} LINK_PACKED;

struct link_stale {
	uint32_t session; /* 0 */
	uint8_t kind;
	uint8_t zero;
	uint16_t version;
	uint32_t
		unknown; /* the session that the answerer does not know; or the first bytes of the
			  * nonce of a link_open that does not open: another key, or an old nonce */
} LINK_PACKED;

/* --- within a session ------------------------------------------------------------------------ */

struct link_head {
	uint32_t session; /* never 0 */
	uint64_t counter; /* counts this sender's datagrams in this session, from 1 */
} LINK_PACKED;

enum link_kind {
	/* From the asker. */
	LINK_ASK = 1,       /* detail: how many link_ask follow */
	LINK_STATE_ASK = 2, /* then link_state_ask */
	LINK_TAKE = 3,      /* then link_image: "I have all of the state. May I run?" */
	LINK_DONE = 4,      /* nothing is owed any more */
	LINK_LEAVE = 5,     /* detail: enum link_reason, why the asker goes */
	LINK_MAP_ASK = 6,   /* then link_map_ask */
	/* From the answerer. */
	LINK_OPENED = 17, /* then a link_offer: the answer to link_open */
	LINK_STATUS = 18, /* then link_status: the answer to a link_state_ask without pieces */
	LINK_STATE =
		19, /* detail: which piece; gfn: bytes of the whole; link_image, then the piece */
	LINK_PAGE = 20,        /* detail: which piece, or LINK_PARITY, and the round; gfn; then the
				* piece */
	LINK_RUNS = 21,        /* detail: how many link_run follow; gfn: the round */
	LINK_GIVEN = 22,       /* then link_image: "run; I never shall again" */
	LINK_ENDED = 23,       /* the answer to LINK_DONE and LINK_LEAVE */
	LINK_REFUSED = 24,     /* detail: enum link_reason */
	LINK_PACKED_PAGE = 25, /* detail: the round; gfn; then the page as one LZ4 block, where both
				* sides can */
	LINK_MAP = 26,         /* detail: the round; gfn: which piece, and LINK_MAP_LAST; then
				* the piece */
};

struct link_body {
	uint8_t kind;
	uint8_t detail;    /* as the kind says, or 0 */
	uint16_t gfn_high; /* bits 32 to 47; 0 where the kind has none */
	uint32_t gfn_low;
} LINK_PACKED;

#define LINK_ASKS_MAX       32 /* in one datagram */
#define LINK_ASK_FRAMES_MAX 64 /* of one link_ask */
#define LINK_URGENT         1u /* link_ask.flags: somebody waits for it */

struct link_ask {
	uint64_t gfn;
	uint16_t frames; /* 1 to LINK_ASK_FRAMES_MAX */
	uint8_t pieces;  /* mask of the pieces of each page that are wanted */
	uint8_t flags;
	uint32_t zero;
} LINK_PACKED;

/* A run of pages without contents: a link_run's bits. It may be larger than what was asked for, and
 * begin before it. */
#define LINK_RUN_GFN_BITS    40
#define LINK_RUN_FRAMES_BITS 21
#define LINK_RUN_FRAMES_MAX  (UINT64_C(1) << 20) /* 4 GiB */
#define LINK_RUNS_MAX        LINK_ASK_FRAMES_MAX /* in one datagram */

enum link_what {
	LINK_DATA = 0, /* never in a run */
	LINK_ZEROS = 1,
	LINK_LOST = 2, /* the source has lost them: poison */
};

struct link_run {
	uint64_t bits; /* 0-39: gfn; 40-60: frames; 61-63: enum link_what */
} LINK_PACKED;

struct link_state_ask {
	uint64_t pieces; /* mask; 0: tell me how far you are */
} LINK_PACKED;

/*
 * Pre-copy: while the guest runs at the source, its pages are asked for in rounds, counted from 1.
 * The map of a round has a bit for each page that it is about: in the first, of those with
 * contents; in a later one, of those that were written since the map before. What a page's datagram
 * names is the round in which its contents were read; 0: the guest had stopped for good.
 */
#define LINK_ROUNDS_MAX       63
#define LINK_ROUND(detail)    ((detail) >> 2) /* of LINK_PAGE and LINK_PACKED_PAGE */
#define LINK_DETAIL(r, piece) ((r) << 2 | (piece))
#define LINK_MAP_FRAMES       (LINK_PIECE_BYTES * 8) /* pages that a piece of a map tells of */

#define LINK_MAP_LAST (UINT64_C(1) << 32) /* the guest had stopped when the map was made */

/* Asks for pieces of the newest map; or, with the next round's number, for the next round. */
struct link_map_ask {
	uint32_t round;  /* 1 to LINK_ROUNDS_MAX */
	uint32_t first;  /* piece */
	uint64_t pieces; /* mask: bit n is piece first + n */
} LINK_PACKED;

struct link_image {
	uint8_t id[LINK_ID];
} LINK_PACKED;

/* Where the answerer stands. It only ever goes on to the next, or from FROZEN back to RUNS, where
 * the image gets another identity. See hv/link/answerer.h. */
enum link_phase {
	LINK_RUNS_HERE = 1, /* the guest runs at the source; no page can be asked for */
	LINK_FROZEN = 2,    /* it is stopped, and can still go on at the source */
	LINK_GONE = 3,      /* it was given away: it never runs at the source again */
};

struct link_status {
	uint8_t image[LINK_ID];
	uint8_t phase;
	uint8_t zeros[3];
	uint32_t state_bytes; /* of the blob; 0 while the guest runs */
} LINK_PACKED;

/* --- what a side offers ---------------------------------------------------------------------- */

/* The sentences are what a user reads; %s is what the check adds. */
#define LINK_FEATURES(X)                                                                           \
	X(SMALL_ARRIVALS, 0, "single 4 KiB pages arrive in larger backing")                        \
	X(EXACT_ADDRESS, 1, "faults name the exact 4 KiB page")                                    \
	X(POISON, 2, "lost pages travel as lost pages")                                            \
	X(PARITY, 3, "a parity piece for urgent pages")                                            \
	X(MEMORY_ONLY, 4, "memory without a guest, which no machine can run")                      \
	X(PACKED, 5, "pages packed by LZ4")                                                        \
	X(ROUNDS, 6, "rounds of pre-copy, while the guest runs at the source")

enum link_feature {
#define X(name, bit, what) LINK_FEATURE_##name = 1 << (bit),
	LINK_FEATURES(X)
#undef X
};

#define LINK_REGIONS_MAX 4

struct link_region {
	uint64_t gfn;
	uint64_t frames; /* 0: there is no such region, nor any after it */
} LINK_PACKED;

/* Words of feature bits, as the CPU's own registers have them. The answerer says which of them its
 * guest has seen, the asker which it has. */
#define LINK_CPU_WORDS(X)                                                                          \
	X(1_ECX, "CPUID 1 ECX")                                                                    \
	X(1_EDX, "CPUID 1 EDX")                                                                    \
	X(7_EBX, "CPUID 7 EBX")                                                                    \
	X(7_ECX, "CPUID 7 ECX")                                                                    \
	X(7_EDX, "CPUID 7 EDX")                                                                    \
	X(D_1_EAX, "CPUID D.1 EAX")                                                                \
	X(E1_ECX, "CPUID 80000001 ECX")                                                            \
	X(E1_EDX, "CPUID 80000001 EDX")                                                            \
	X(E7_EDX, "CPUID 80000007 EDX")                                                            \
	X(E8_EBX, "CPUID 80000008 EBX")                                                            \
	X(XCR0, "XCR0")                                                                            \
	X(6_EAX, "CPUID 6 EAX")

enum link_cpu_word {
#define X(name, text) LINK_CPU_##name,
	LINK_CPU_WORDS(X)
#undef X
	LINK_CPU_WORDS_N
};

enum link_vendor {
	LINK_VENDOR_VMX = 1,
	LINK_VENDOR_SVM = 2,
};

struct link_offer {
	uint16_t version;
	uint8_t vendor;         /* enum link_vendor: whose vCPU state it is */
	uint8_t backing;        /* largest leaf: enum pg_level; the sides may differ */
	uint8_t vcpus;          /* asker: at most; answerer: the guest's */
	uint8_t phase;          /* answerer: enum link_phase; asker: 0 */
	uint16_t state_version; /* layout of the state blob */
	uint32_t suites;        /* asker: what its hello offered; answerer: 0 */
	uint32_t state_bytes;   /* answerer: as link_status; asker: room for it */
	uint64_t features;      /* mask of enum link_feature that this side can */
	uint64_t needs;         /* those that the other side must have, too */
	struct link_region region[LINK_REGIONS_MAX];
	uint32_t cpu[LINK_CPU_WORDS_N];
	uint8_t image[LINK_ID]; /* answerer: the image; asker: the one it wants, or zeros */
	uint8_t taker[LINK_ID]; /* asker: who it is, for as long as it lives; answerer: 0 */
} LINK_PACKED;

/* --- reasons ---------------------------------------------------------------------------------- */

/* Why a side refuses, or leaves. The sentence is what both users read. */
#define LINK_REASONS(X)                                                                            \
	X(NONE, 0, "no reason")                                                                    \
	X(VERSION, 1, "the sides speak different versions of the protocol")                        \
	X(SUITE, 2, "one side has a key and the other has none, or no cipher is common to both")   \
	X(KEY, 3, "the source does not accept the key: set the same key on both sides")            \
	X(VENDOR, 4, "one side is VMX, the other SVM: their vCPU states differ")                   \
	X(STATE_VERSION, 5, "the sides were built with different layouts of the vCPU state")       \
	X(STATE_SIZE, 6, "the state of the guest is larger than the destination has room for")     \
	X(VCPUS, 7, "the guest has more vCPUs than the destination can run")                       \
	X(REGIONS, 8, "the memory layouts differ: set the same region= on both sides")             \
	X(CPU, 9, "the guest relies on a CPU feature that the destination lacks")                  \
	X(FEATURES, 10, "one side needs a feature of the protocol that the other lacks")           \
	X(IMAGE, 11, "the server has another image: restart it with the one that was begun with")  \
	X(TAKEN, 12, "the guest was given to another destination")                                 \
	X(STATE, 13, "the destination cannot load the state")                                      \
	X(PHASE, 14, "that cannot be asked for now")                                               \
	X(TIME, 15, "the other side has not answered within the time limit")                       \
	X(USER, 16, "the user ended it")

enum link_reason {
#define X(name, number, text) LINK_REASON_##name = (number),
	LINK_REASONS(X)
#undef X
	LINK_REASONS_N
};

_Static_assert(sizeof(struct link_hello) == 40 && sizeof(struct link_welcome) == 40,
	       "an answer is never longer than what asks for it");
_Static_assert(sizeof(struct link_open) == 32 && sizeof(struct link_stale) == 12, "no padding");
_Static_assert(sizeof(struct link_head) == 12 && sizeof(struct link_body) == 8, "no padding");
_Static_assert(sizeof(struct link_ask) == 16 && sizeof(struct link_run) == 8, "no padding");
_Static_assert(LINK_PIECES *LINK_PIECE_BYTES - 8 == PAGE_SIZE, "the last piece is 8 bytes short");
_Static_assert(sizeof(struct link_head) + sizeof(struct link_body) +
			       LINK_ASKS_MAX * sizeof(struct link_ask) + LINK_TAG <=
		       LINK_DATAGRAM_MAX,
	       "a datagram has room for its asks");

/* Bytes of a piece: of a page, where parity is as long as the longest; and of a state blob. */
static inline size_t link_page_piece(unsigned int piece)
{
	return piece == LINK_PIECES - 1 ? LINK_PIECE_BYTES - 8 : LINK_PIECE_BYTES;
}

static inline size_t link_state_piece(size_t total, unsigned int piece)
{
	return MIN(total - piece * LINK_PIECE_BYTES, (size_t)LINK_PIECE_BYTES);
}

/* The mask of all pieces of a state of so many bytes. */
static inline uint64_t link_state_pieces(size_t bytes)
{
	size_t n = (bytes + LINK_PIECE_BYTES - 1) / LINK_PIECE_BYTES;

	return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* Pieces of a map of so many pages, from page 0 on; and bytes of one, the last one shorter. */
static inline uint32_t link_map_pieces(uint64_t frames)
{
	return (uint32_t)((frames + LINK_MAP_FRAMES - 1) / LINK_MAP_FRAMES);
}

static inline size_t link_map_piece(uint64_t frames, uint32_t piece)
{
	return MIN((frames + 7) / 8 - piece * (uint64_t)LINK_PIECE_BYTES,
		   (uint64_t)LINK_PIECE_BYTES);
}

/* How many pieces a mask has. */
static inline unsigned int link_count(unsigned int mask)
{
	unsigned int n = 0;

	for (; mask; mask &= mask - 1)
		n++;
	return n;
}

static inline struct link_body link_body(enum link_kind kind, unsigned int detail, gfn_t gfn)
{
	return (struct link_body){
		.kind = (uint8_t)kind,
		.detail = (uint8_t)detail,
		.gfn_high = (uint16_t)(gfn >> 32),
		.gfn_low = (uint32_t)gfn,
	};
}

static inline gfn_t link_body_gfn(const struct link_body *body)
{
	return (gfn_t)body->gfn_high << 32 | body->gfn_low;
}

static inline struct link_run link_run(gfn_t gfn, uint64_t frames, enum link_what what)
{
	return (struct link_run){ gfn | frames << LINK_RUN_GFN_BITS |
				  (uint64_t)what << (LINK_RUN_GFN_BITS + LINK_RUN_FRAMES_BITS) };
}

static inline gfn_t link_run_gfn(struct link_run run)
{
	return run.bits & ((UINT64_C(1) << LINK_RUN_GFN_BITS) - 1);
}

static inline uint64_t link_run_frames(struct link_run run)
{
	return run.bits >> LINK_RUN_GFN_BITS & ((UINT64_C(1) << LINK_RUN_FRAMES_BITS) - 1);
}

static inline enum link_what link_run_what(struct link_run run)
{
	return (enum link_what)(run.bits >> (LINK_RUN_GFN_BITS + LINK_RUN_FRAMES_BITS));
}

#endif
