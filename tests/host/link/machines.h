/* SPDX-License-Identifier: MIT */
/*
 * Two machines and the link between them: a small VM is migrated from one to the other. The VM's
 * pages hold what their number and the image's age say, so that a page of another moment is
 * noticed. In each step of time who runs the guest is looked at.
 */
#ifndef TESTS_HOST_LINK_MACHINES_H
#define TESTS_HOST_LINK_MACHINES_H

#include "hv/link/ahead.h"
#include "hv/link/answerer.h"
#include "hv/link/asker.h"
#include "tests/host/link/faulty.h"

#define VM_PAGES  256
#define VM_STATE  (3 * LINK_PIECE_BYTES + 77)
#define WINDOW    48
#define PAGES     96 /* struct asker_page */
#define WAITS_MAX 4096

enum vm_page {
	VM_ZERO,
	VM_DATA,
	VM_LOST,
};

struct vm {
	uint64_t seed;
	bool plain;   /* its pages pack well */
	uint64_t age; /* how often it has run on after it was stopped */
	uint64_t frames;
	uint8_t kind[VM_PAGES];
	uint16_t writes[VM_PAGES];   /* to the page: its contents go by it */
	uint8_t dirty[VM_PAGES / 8]; /* since the last map was made */
	uint8_t map[VM_PAGES / 8];
	unsigned int rounds; /* maps that were made */
};

/* What the destination has. */
struct arrived {
	bool here[VM_PAGES], written[VM_PAGES], asked[VM_PAGES];
	uint8_t kind[VM_PAGES];
	uint8_t bytes[VM_PAGES][PAGE_SIZE];
	uint64_t n;
	bool ahead[VM_PAGES]; /* .bytes have what came ahead */
	uint8_t map[VM_PAGES / 8];
};

struct machines {
	uint64_t now, seed;
	uint64_t step;                              /* us of one step */
	unsigned int faults_max;                    /* vCPUs that wait */
	bool idle;                                  /* the background stream asks for nothing */
	uint64_t source_stands, destination_stands; /* us: still until then */
	struct faulty link;
	struct vm vm;

	struct answerer answerer;
	struct answerer_setup answerer_setup;
	bool source_up, source_runs;
	bool restore;               /* the source is a server of a snapshot */
	unsigned int rounds_wanted; /* of pre-copy */
	unsigned int stops_at;      /* the source, as soon as this round has begun; 0: at random */
	uint8_t image[LINK_ID];
	uint8_t state[VM_STATE];

	struct asker asker;
	struct asker_setup asker_setup;
	struct asker_page pages[PAGES];
	uint8_t state_here[LINK_STATE_MAX];
	bool destination_runs;
	bool was_gone; /* the source has let go once */
	struct ahead ahead;
	uint64_t came_ahead; /* pages that were right at the switch-over */
	struct arrived arrived;
	gfn_t next; /* of the background stream */
	unsigned int under_way, faults;
	uint64_t duplicates, urgent;
	uint32_t wait[WAITS_MAX]; /* us: how long urgent pages took */
	unsigned int waits;
	uint64_t loaded; /* the age of the state that is loaded */
	bool load_fails, load_waits;
	const char *broken; /* what was not as it must be */
};

/* Sets both up; nothing has begun. `faults`: of the link */
void machines_init(struct machines *m, uint64_t seed, const struct faults *faults);

/* Begins, with what the setups say by then. */
void machines_begin(struct machines *m);

/* A step's time of everything. */
void machines_step(struct machines *m);

/* Steps until the asker is in that phase; false: not before that much time. */
bool machines_until(struct machines *m, enum asker_phase phase, uint64_t us);

/* The source takes the guest back, lets it run, and stops it again, all at once. */
bool machines_stop_again(struct machines *m);

/* The source dies. The guest is gone if it had not let go. */
void machines_kill_source(struct machines *m);

/* A server of the same image in its place, or of another. */
void machines_restart_source(struct machines *m, bool same_image);

/* The destination dies and begins anew, as another taker. */
void machines_restart_destination(struct machines *m);

/* All pages came, and all are right? NULL, or what is wrong. */
const char *machines_verify(const struct machines *m);

/* Bytes of the VM's pages with contents. */
uint64_t machines_data_bytes(const struct machines *m);

#endif
