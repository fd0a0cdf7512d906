/* SPDX-License-Identifier: MIT */
/*
 * Dirty tracking: which 4 KiB pages has the guest written since the last time?
 *
 *	ept_track_begin()			how writes are noted
 *	ept_track_some() until it is through	marks entries, and splits ahead down to 4 KiB
 *	ept_track_collect(), again and again	reports and clears
 *	ept_untrack_some() until it is through	takes the marks away
 *	ept_track_end()
 *	ept_collapse_range()			back to large leaves, in place
 *
 * A page is dirty if its entry's dirty bit is set: by hardware (EPT_TRACK_DIRTY; the log of "Page-
 * Modification Logging", SDM vol. 3C, tells which ones), or by ept_resolve() at the fault that the
 * first write makes (EPT_TRACK_WRITES, where hardware sets no such bits). What was written before
 * the tracking began is reported by the first collection: it is a superset, never less.
 *
 * The caller reads a page's contents after the ept_sync() that follows the collection. A write that
 * comes later is in the next collection.
 *
 * A collection skips tables that nobody has walked. A walk marks the slot that points to the table
 * as accessed before it marks a page as dirty, and a CPU that remembers the pointer does not: so
 * such a mark is cleared by a collection that found nothing dirty, and counts from its flush on.
 *
 * A marked entry never collapses, so the marks are all the state there is. An arriving page keeps
 * its mark, clean: an arrival is no write. A discarded page is reported. A moved page keeps its
 * mark. Pages that are lost, cloned or mapped anew while tracking goes on are not tracked.
 */
#ifndef EPT_TRACK_H
#define EPT_TRACK_H

#include "ept/ept.h"

/* Return: 0; EPT_BUSY: tracking is on; EPT_INVALID: `by` says none. */
int must_check ept_track_begin(struct ept *ept, enum ept_track_by by);

/**
 * ept_track_some() - mark and split a bounded part of [*next, end).
 * @next: where to go on; advanced
 * @budget: entries to look at or to write in this step; at least one table's worth is done
 * Return: 0 (through if *next == end); EPT_NO_TABLE: a leaf could not be split, call again when
 * there are tables; EPT_BUSY: something is frozen, call again.
 * Flush: owed before tracking is relied on.
 */
int must_check ept_track_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
			      struct ept_gather *g);

/**
 * ept_track_collect() - report and clear the pages of [gfn, gfn + frames) that are dirty. Of a leaf
 * that is larger than 4 KiB all pages are; if it reaches out of the range, it stays dirty. So does
 * what is frozen: it is reported again.
 * @bitmap: bit i stands for gfn + i; bits are set, none is cleared; frames / 64 words, rounded up
 * Return: pages reported.
 * Flush: owed, before contents are read and before the next collection.
 */
uint64_t ept_track_collect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, uint64_t *bitmap,
			   struct ept_gather *g);

/* Takes marks away, in bounded steps like ept_track_some(), and with its results. Splits only what
 * reaches out of the range. Flush: owed if it split. */
int must_check ept_untrack_some(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
				struct ept_gather *g);

/* Call this when no mark is left: ept_untrack_some() has been through all that was marked, at the
 * addresses where it is now, and nothing was moved meanwhile. ept_check() finds what is left. */
void ept_track_end(struct ept *ept);

#endif
