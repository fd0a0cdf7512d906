/* SPDX-License-Identifier: MIT */
/* Changes of a guest's memory that somebody asked the monitor for: in steps of a few MiB, so that
 * nobody waits long for the boot CPU. */
#ifndef HV_MONITOR_CHANGE_H
#define HV_MONITOR_CHANGE_H

#include "hv/monitor/answer.h"
#include "hv/monitor/watched.h"
#include "hv/monitor/words.h"

struct change {
	struct watched *on;
	enum monitor_word_id id;
	gfn_t gfn, at, end; /* all of it, and what is left */
	enum pg_level level;
	unsigned int perms;
	uint64_t done, refused; /* entries, or pages */
	int err;
};

/* Begins one of the commands `ept split` to `ept protect`. NULL, or why not, in a sentence. */
const char *change_begin(struct change *c, struct watched *on, const struct monitor_call *call);

/* Goes on. False: it is through; call change_answer(). */
bool change_step(struct change *c);

/* What became of it, which is counted. NULL: good; or what went wrong. */
const char *change_answer(const struct change *c, struct answer *a);

#endif
