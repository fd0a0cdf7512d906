/* SPDX-License-Identifier: MIT */
/*
 * Refusals: why the second stage did not do what it was asked to. One list, one meaning each.
 * Functions return 0 (or a count), or one of these, which are negative. A header names the refusals
 * that a function can give; what a refusal means is said here.
 *
 * Where mm/err.h has an error of the same meaning, the number is that error's, so that a refusal
 * can be handed on.
 */
#ifndef EPT_REFUSAL_H
#define EPT_REFUSAL_H

#include "mm/err.h"

/* X(name, number, word for reports, what it means) */
#define EPT_REFUSALS(X)                                                                            \
	X(EPT_INVALID, -EINVAL, "invalid", "the arguments make no sense: nothing was done")        \
	X(EPT_NO_TABLE, -ENOMEM, "no_table", "there is no table page: call again when there is")   \
	X(EPT_FULL, -ENOSPC, "full", "a list of fixed length is full")                             \
	X(EPT_BUSY, -EBUSY, "busy",                                                                \
	  "somebody else is at work on it: it is being filled, or frozen; wait outside")           \
	X(EPT_LOOK_AGAIN, -301, "look_again", "it changed meanwhile; never leaves ept/")           \
	/* what is there */                                                                        \
	X(EPT_UNMAPPED, -ENOENT, "unmapped", "nothing is mapped there")                            \
	X(EPT_NOT_HERE, -EAGAIN, "not_here", "it has not arrived: ask for it")                     \
	X(EPT_HERE, -EEXIST, "here", "it is here already, or something else is")                   \
	X(EPT_SMALLER, -E2BIG, "smaller", "smaller pieces are there: use a lower level")           \
	X(EPT_ASKED, -EALREADY, "asked", "somebody asked for it before")                           \
	X(EPT_DISCARDED, -ENODATA, "discarded", "its contents were given up: it is zeros")         \
	X(EPT_LOST, -EHWPOISON, "lost", "the memory is lost")                                      \
	X(EPT_FOREIGN, -EXDEV, "foreign", "the frame is shared with another address space")        \
	X(EPT_OWN, -302, "own", "the frame is its own: there is no need to bring one")             \
	/* why the guest may not */                                                                \
	X(EPT_FORBIDDEN, -EFAULT, "forbidden", "the guest does not have that right")               \
	/* why a table stays */                                                                    \
	X(EPT_HOLE, -303, "hole", "something in it has not arrived, or is not mapped")             \
	X(EPT_MIXED, -304, "mixed", "rights or memory types differ, or something is tracked")      \
	X(EPT_SCATTERED, -305, "scattered", "its frames are not contiguous, or not aligned")       \
	X(EPT_EXECUTED, -EPERM, "executed", "it is small because it is executed")

enum ept_refusal {
#define X(name, number, word, what) name = (number),
	EPT_REFUSALS(X)
#undef X
};

/* The places of the refusals in an array that has one element for each: see ept_nr(). */
enum {
#define X(name, number, word, what) name##_NR,
	EPT_REFUSALS(X)
#undef X
	EPT_REFUSALS_N,
};

/* Where a refusal is counted: x.refused[ept_nr(EPT_HOLE)]. */
static inline unsigned int ept_nr(enum ept_refusal refusal)
{
	switch (refusal) {
#define X(name, number, word, what)                                                                \
	case name:                                                                                 \
		return name##_NR;
		EPT_REFUSALS(X)
#undef X
	}
	return EPT_INVALID_NR;
}

/* Its word in reports; "?" for what is no refusal. */
const char *ept_refusal_name(int refusal);

#endif
