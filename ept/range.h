/* SPDX-License-Identifier: MIT */
/*
 * Changing ranges of guest memory at 4 KiB edges, whatever sizes it is mapped in: these split only
 * entries that reach across an edge. Holes are fine everywhere.
 *
 * All of these wait for pages that are being filled. All return
 *
 *	EPT_INVALID	the range is empty or not in the address space, or bad arguments
 *	EPT_NO_TABLE	no table page for a split at an edge
 *	EPT_BUSY	something there is frozen: let the CPUs pass, then call again
 *
 * and then have changed only the sizes of entries; unless another CPU split, collapsed or froze in
 * the range meanwhile: then part may be changed, and the same call again does the rest.
 */
#ifndef EPT_RANGE_H
#define EPT_RANGE_H

#include "ept/ept.h"

/**
 * ept_protect() - grant just these rights. What has not arrived keeps them until it is here, and
 * splits and collapses keep them.
 * @perms: as ept_map()
 * Flush: owed if a right was lost; none if rights were gained: at worst one fault is spurious.
 */
int must_check ept_protect(struct ept_cpu *me, gfn_t gfn, uint64_t frames, unsigned int perms,
			   struct ept_gather *g);

/**
 * ept_discard() - give up the contents: the range reads as zeros. Ask nobody for it any more. It is
 * absent until ept_fill_zero(); ept_fill() refuses late arrivals with EPT_DISCARDED. The frames
 * stay with the range, and after ept_sync() nobody uses them. Poison stays. Flush: owed if anything
 * was present.
 */
int must_check ept_discard(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g);

/**
 * ept_poison_range() - the memory of the range is lost, in entries as large as they are.
 * Flush: owed if anything was present.
 */
int must_check ept_poison_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames,
				struct ept_gather *g);

/**
 * ept_move() - map what is mapped at [from, from + frames) at [to, to + frames) instead, without
 * copying: entry by entry, as large as the distance between the two allows. What was asked for must
 * be asked for again, at its new address.
 * @to: nothing is mapped there, nobody maps or unmaps anything there meanwhile, and the ranges do
 * not overlap. Sync all collapses inside `from` first; otherwise late accessed and dirty bits of a
 * table that still waits in another CPU's gather are applied to the old address. During the move
 * all other CPUs find the rest of both ranges frozen.
 * Return: also EPT_HERE, with nothing changed. After EPT_NO_TABLE nothing has moved. If another CPU
 * got in the way (see above), all is at `from` again but for pages that it froze at `to`; ask again
 * for what was asked for.
 * Flush: owed; until ept_sync() the old addresses may still be reachable.
 */
int must_check ept_move(struct ept_cpu *me, gfn_t from, gfn_t to, uint64_t frames,
			struct ept_gather *g);

enum ept_share {
	EPT_SHARED, /* both write to the same memory */
	EPT_PRIVATE /* whoever writes gets a copy of the 4 KiB page: ept/relocate.h */
};

/**
 * ept_clone() - map in a second address space what is mapped in this one, in entries of the same
 * sizes: it costs table pages, not memory. What has not arrived is absent in the clone, too; as its
 * frame belongs to the first address space, ept_fill() answers EPT_FOREIGN there: see
 * ept_fill_into(). Not copied: requests, accessed and dirty bits, dirty tracking.
 * @clone: of the same format, on the same CPU, with nothing mapped in the range
 * @g: of the original
 * Return: also EPT_HERE; EPT_FOREIGN: EPT_SHARED, and something is private already; EPT_INVALID
 * also where the clone cannot give the rights: see ept_map() and ept_set_nx(). After any error
 * nothing is mapped in the clone; pages of the original may be left write-protected as private
 * ones, which a write resolves.
 * Flush: owed if EPT_PRIVATE, before anybody runs the clone.
 */
int must_check ept_clone(struct ept_cpu *me, struct ept_cpu *clone, gfn_t gfn, uint64_t frames,
			 enum ept_share share, struct ept_gather *g);

#endif
