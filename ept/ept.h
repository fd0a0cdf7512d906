/* SPDX-License-Identifier: MIT */
/*
 * The second stage of either maker (Intel's EPT, AMD's nested paging): the page that everybody
 * reads.
 *
 * WHERE THINGS ARE
 *
 *    ept/        what others may include     ept/path/  arrive, split, collapse: the product
 *    ept/entry/  what 64 bits mean           ept/ops/   every other operation
 *    ept/tree/   tables, slots, walks, what waits for a flush
 *
 *  Each room uses those before it: entry, tree, path, ops. Why something was not done is one of
 *  the refusals in ept/refusal.h.
 *
 * A TABLE
 *
 *  has 512 slots of 8 bytes. A slot of level 3, 2, 1 covers 1 GiB, 2 MiB, 4 KiB; it holds a leaf,
 *  a hidden entry, or the address of a table one level below.
 *
 *    gfn  35      27 26      18 17       9 8        0
 *        |  index 4 |  index 3 |  index 2 |  index 1 |
 *             |          |          |          '---> slot of 4 KiB --> frame
 *             |          |          '---> slot of 2 MiB --> table, or a leaf of 2 MiB
 *             |          '---> slot of 1 GiB --> table, or a leaf of 1 GiB
 *   root -----'---> slot of 512 GiB --> table
 *
 *  A SPLIT replaces one entry by a table that says the same; a COLLAPSE is the way back.
 *
 *     slot of 2 MiB                 slot of 2 MiB      table of 512
 *    [ PRESENT, F, A=1, D=1 ] ---> [ TABLE ----------]-->[ PRESENT, F,           A=1, D=1 ]
 *                             <---                       [ PRESENT, F + 4 KiB,   A=1, D=1 ]
 *     one compare-and-swap          and a counter, 512   [   ...                          ]
 *                                                        [ PRESENT, F + 511 * 4 KiB, ...  ]
 *
 * A second-stage table is the only record of what has arrived. A leaf that has not arrived is
 * ABSENT: the hardware does not see it, but it keeps its frame, permissions and memory type, at any
 * level. There is no bitmap beside it, and no lock on the way of an arriving page.
 *
 *            map                    fill                 publish
 *    NONE ---------> ABSENT -----------------> FILLING -----------> PRESENT
 *      ^  \             |  \ <-----------------'   give up             |  |
 *      |   \ map        |   \ split                                    |  | split
 *      |    '-----------|----\-----------------------------------------'  v
 *      |                |     '--> TABLE of 512 ABSENT            TABLE of 512 PRESENT
 *      |  unmap         v                                              |
 *      '------------ (any)    <------------- collapse -----------------'
 *
 *    poison: ABSENT or PRESENT -> POISON; it blocks collapse and stays until it is unmapped.
 *    discard: ABSENT or PRESENT -> ABSENT, marked as zero: it is never asked for again.
 *    freeze: PRESENT -> FROZEN, by one owner, who flushes and then thaws it with another frame or
 *    other rights. Meanwhile accesses wait, and everybody else gets EPT_BUSY.
 *
 * WHO MAY CHANGE A SLOT
 *
 *  - Hidden entries move by compare-and-swap, without a lock: request (sets a flag), fill
 *    (ABSENT -> FILLING), arrival in place (ABSENT -> PRESENT), split of an absent entry (ABSENT ->
 *    TABLE). A loser looks again.
 *  - A FILLING slot belongs to the one who filled it, alone: publish and give up are plain stores.
 *    So a page is filled once, and a late copy cannot overwrite what the guest has written since.
 *  - A FROZEN slot belongs to the CPU that froze it, alone, across a flush. Do not wait for it
 *    inside of the second stage: the flush waits for you to leave. Other CPUs may still set late
 *    accessed and dirty bits in it, by compare-and-swap; therefore the thaw uses
 *    compare-and-swap, too.
 *  - All else (map, split of a present leaf, collapse, freeze, protect, poison, unmap) holds the
 *    lock of the table that contains the slot. Collapse and unmap also hold the lock of the
 *    child table that they take away, always parent before child, and mark it dead. A CPU that
 *    finds a table dead after locking it starts again from the root. Only two bits are
 *    cleared without the lock: the dirty bit of a tracked leaf, which never collapses; and the
 *    accessed bit of a slot that points to a table, by a collection (ept/track.h).
 *  - Hardware sets accessed and dirty bits at any time. So a present entry is changed by
 *    compare-and-swap even under the lock.
 *
 * WHY ARRIVAL NEEDS NO LOCK
 *
 *  An arriving page writes (ept/path/arrive.c) its slot, by one compare-and-swap and one store;
 *  its table's counter, by one addition; this CPU's own statistics (struct ept_cpu); and if it
 *  splits, a page of this CPU's own magazine, and the slot above. The CPUs that place a slot's 7
 *  neighbours, or whose guests walk there, share its line; those that place pages of the same
 *  2 MiB share the counter. No line is written by all; nobody takes a lock, so nobody waits for a
 *  CPU that stands still. Step by step, and who else may be there:
 *
 *  Walk down (slot_find). Anybody may change any slot on the way. An unlinked table is not reused
 *  before the unlinker's flush completes, and that flush waits until this CPU has left the walk. So
 *  a pointer may be out of date, and then the next compare-and-swap fails.
 *
 *  Split of an absent entry. Several may build a table, from the entry they saw; the swap lets
 *  one of them link it, with all its entries, and the others discard what nobody has seen.
 *
 *  Fill (ABSENT -> FILLING). Against another fill or request, split, poison, unmap: one swap
 *  wins, and the loser looks again. Against collapse: it wants all entries PRESENT, and this one
 *  is not. Against unmap, which takes tables away: each entry became NONE by swap first, so in a
 *  dead table nothing is ABSENT and this swap fails.
 *
 *  Contents. The slot is ours. Nobody changes what is FILLING: unmap and poison wait for us, here
 *  in the table, for we wait for nobody; collapse and split refuse. So the table stays, too.
 *
 *  Publish (FILLING -> PRESENT, a store with release). From here the hardware sees the page, and
 *  all that it may see was written before. Under the table's lock it may at once be poisoned,
 *  unmapped or frozen: our counting is only late. Where the contents are in the frame already, one
 *  swap fills and publishes (ABSENT -> PRESENT): there is nothing to write in between, so nobody
 *  needs to see FILLING.
 *
 *  Count. Under the lock the counter is never above the number of PRESENT entries: an arrival
 *  increments it after it publishes, and whoever removes a leaf decrements it before unlocking. So
 *  "512" under the lock means that all are PRESENT and that nobody still has to count. No arrival
 *  changes a PRESENT entry, so under a collapse only hardware changes anything. If pages only
 *  arrive, exactly one CPU sees 512. If others remove pages, the answer is a hint that collapse
 *  checks. The table still exists: an unmap that emptied it waits for us to leave.
 *
 *  Split, collapse, poison, unmap and freeze change what the guest may be using. They hold the lock
 *  of the slot's table, parent before child, and never wait for a flush while they hold one. A CPU
 *  waits for FROZEN outside, where it acknowledges flushes. The table of a FROZEN slot stays: it is
 *  neither full nor empty. A harvest ors late accessed and dirty bits into the FROZEN entry, and
 *  the thaw publishes them with it.
 *
 *  Checked by tests/spin (all orders, two entries a table), tests/host/interleave_ept.c (this
 *  code, all orders with few preemptions) and test_ept_race_tsan.c (memory order, real geometry).
 *
 * MEMORY ORDER
 *
 *  publish stores with release, so that the page's contents are there before the entry is. (The
 *  hardware's walk is ordered by TSO.) A table's entries are written before the compare-and-swap,
 *  with release, that links it. The counter of present entries is added to after the entry
 *  is published; who makes it 512 has acquired all the others' entries.
 *
 * WHEN A FLUSH IS OWED (SDM vol. 3C, "Guidelines for Use of the INVEPT Instruction")
 *
 *    change                                     flush                        free the child table
 *    hidden -> anything (arrival, absent split) none                         -
 *    present split, same translation            before relying on 4 KiB      -
 *    collapse, same translation                 one per batch                after it
 *    permission lost, unmap, poison, A/D clear  before reporting done        after it
 *    frame or rights change with the size       freeze, flush, thaw          after it
 *
 *  Functions that may owe one take a `struct ept_gather`. ept_sync() flushes once, gathers the
 *  accessed and dirty bits that a stale walk set in a table that was taken away meanwhile, and
 *  frees those tables. ops->flush() returns when every CPU that may have walked this root has
 *  flushed and stood, at some moment since, outside of any function below.
 *
 * WHAT A CALLER OWES
 *
 *  Each CPU uses its own `struct ept_cpu` and no other's. Between two calls a CPU holds no pointer
 *  into a table.
 */
#ifndef EPT_EPT_H
#define EPT_EPT_H

#include <stdatomic.h>

#include "ept/entry.h"
#include "ept/refusal.h"
#include "ept/stats.h"
#include "mm/frame.h"

#ifndef EPT_GATHER_MAX     /* a test that runs all orders has few */
#define EPT_GATHER_MAX 257 /* tables that wait for one flush; 2 flushes collapse a full GiB */
#endif

#define EPT_FROZEN_MAX 16 /* slots that are frozen for one flush: accesses wait as long */

/* Why a table is small: it must be remembered, and collapse must undo the reason. */
enum ept_why {
	EPT_WHY_MAP = 1,     /* the backing was never larger, or not aligned */
	EPT_WHY_ARRIVAL = 2, /* single pages arrive */
	EPT_WHY_ASKED = 4,   /* somebody called ept_split() */
	EPT_WHY_DIRTY = 8,   /* dirty tracking */
	EPT_WHY_POISON = 16, /* part of it is lost */
	EPT_WHY_NX = 32,     /* somebody executes there, and large leaves may not be executed */
	EPT_WHY_COW = 64,    /* single pages were copied */
};

/* Kept in the owner word of a table page's frame. */
struct ept_table {
	_Atomic uint16_t present; /* entries that are PRESENT leaves */
	_Atomic uint8_t lock;     /* see "who may change a slot" */
	_Atomic uint8_t dead;     /* no longer linked; set under the lock, for good */
	_Atomic uint8_t why;      /* enum ept_why, or-ed */
	uint8_t level;            /* of its entries */
	_Atomic uint8_t quiet; /* a collection left nothing dirty in it, and since then nobody but
				* hardware can have made a page dirty: see ept/track.h */
	uint8_t unused;
} __attribute__((may_alias));
_Static_assert(sizeof(struct ept_table) == sizeof(uint64_t), "must fit the frame's owner word");

enum ept_event {
	EPT_EV_SPLIT,
	EPT_EV_COLLAPSE,
	EPT_EV_SYNC,
	EPT_EV_REFUSED /* a collapse; + ept_nr() of the refusal */
};

/* How writes are noted: see ept/track.h. */
enum ept_track_by {
	EPT_TRACK_NOT,
	EPT_TRACK_WRITES, /* the first write to each page faults */
	EPT_TRACK_DIRTY,  /* hardware sets dirty bits */
};

/* What the second stage needs of whoever drives it. */
struct ept_ops {
	/* One 4 KiB page, whatever is in it. 0, or EPT_NO_TABLE. */
	int (*table_alloc)(void *ctx, unsigned int cpu, hpa_t *table);
	/* Called after the flush that was owed. */
	void (*table_free)(void *ctx, unsigned int cpu, hpa_t table);
	/* See "when a flush is owed". */
	void (*flush)(void *ctx, unsigned int cpu);
	/* May be NULL. `level`: of the slot that changed. */
	void (*trace)(void *ctx, unsigned int cpu, enum ept_event event, gfn_t gfn,
		      enum pg_level level);
};

struct ept;

/* One table that was unlinked and waits for the flush. */
struct ept_gathered {
	hpa_t table;
	gfn_t gfn;        /* first frame that it mapped */
	uint32_t seen_ad; /* accessed/dirty bits that are accounted for already */
	uint8_t level;    /* of the slot that pointed to it */
	bool harvest;     /* late bits may come, and matter: the range is still mapped */
	uint8_t frozen;   /* not 0: thaw[frozen - 1] takes its place after the flush */
};

/* A slot that is frozen until the flush. */
struct ept_thaw {
	_Atomic uint64_t *slot;
	struct ept_table *table; /* that contains it */
	uint64_t leaf;           /* what it becomes */
};

struct ept_gather {
	struct ept_cpu *cpu;
	unsigned int n;
	unsigned int frozen; /* slots to be thawed */
	bool owed;           /* a flush is owed even if n is 0 */
	struct ept_thaw thaw[EPT_FROZEN_MAX];
	struct ept_gathered table[EPT_GATHER_MAX];
};

/* One CPU's handle on one address space. */
struct ept_cpu {
	struct ept *ept;
	unsigned int cpu;
	struct ept_counters stats; /* written by this CPU, read by all */
} __attribute__((aligned(CACHE_LINE)));

/* What a walk needs of format and pool, side by side. */
struct ept_walk {
	uintptr_t virt_offset;
	uintptr_t owners;     /* where the owner word of frame 0 is, or would be */
	uint64_t addr;        /* of a table entry */
	uint64_t table_mask;  /* an entry above 4 KiB is a table if these bits of it */
	uint64_t table_bits;  /* are these */
	uint64_t absent_mask; /* likewise an absent entry */
	uint64_t plain_mask;  /* likewise one whose leaf is what its rights say */
	uint64_t space;       /* frames in the address space */
	uint64_t usual;       /* the same where tables have four levels of 512 entries, else 0 */
	uint64_t index_mask;
	unsigned int index_bits;
	unsigned int entries;          /* of a table */
	unsigned int top_shift;        /* of a gfn, to its index in the root */
	unsigned int leaf_levels;      /* as the format's */
	uint64_t inside[PG_LEVEL_MAX]; /* bits of a gfn that lie inside a page of the level */
};

struct ept {
	struct ept_walk walk;
	const struct ept_format *fmt;
	const struct ept_ops *ops;
	void *ctx;
	struct frame_pool *pool; /* where table pages live: their pointers and owner words */
	hpa_t root;
	enum pg_level leaf_max; /* no leaf above this level is made, by map or by collapse */
	uint64_t backing_end;   /* addresses of frames are below: see ept_set_width() */
	bool nx;                /* leaves above 4 KiB cannot be executed: ept_set_nx() */
	_Atomic enum ept_track_by track;
	/* What fmt->leaf() says for each level and each entry_rights(): an arrival only looks it
	 * up. */
	uint64_t leaf[PG_LEVEL_512G][ENTRY_RIGHTS];
	struct ept_cpu cpu[MAX_CPUS];
};

/**
 * ept_init() - an empty address space.
 * @leaf_max: largest leaf to use; lowered to what the format has
 * Return: 0, or EPT_NO_TABLE.
 */
int must_check ept_init(struct ept *ept, const struct ept_format *fmt, const struct ept_ops *ops,
			void *ctx, struct frame_pool *pool, enum pg_level leaf_max);

/**
 * ept_set_nx() - from now on large leaves are mapped without the right to execute; the first fetch
 * splits them down to 4 KiB (ept/access.h). For CPUs with the iTLB multihit erratum, where
 * IA32_ARCH_CAPABILITIES.PSCHANGE_MC_NO is 0 (SDM vol. 4, table of the architectural MSRs).
 * To be called before anything is mapped.
 */
void ept_set_nx(struct ept *ept);

/**
 * ept_set_width() - the machine's physical addresses have `bits` bits (CPUID 0x80000008, EAX 7:0):
 * the rest of an entry's address field is reserved. Without this call the format's width counts.
 */
void ept_set_width(struct ept *ept, unsigned int bits);

/* Frees all tables. No CPU may run or walk this address space any more. Backing frames are the
 * caller's. */
void ept_destroy(struct ept *ept, unsigned int cpu);

static inline struct ept_cpu *ept_cpu(struct ept *ept, size_t cpu)
{
	return &ept->cpu[cpu];
}

/* --- ept/ops/map.c ------------------------------------------------------------------------ */

/**
 * ept_map() - map [gfn, gfn + frames) to contiguous backing, in the largest leaves that alignment,
 * the format and leaf_max allow.
 * @backing: address of the first frame, 4 KiB aligned; the last one still has an address that an
 * entry can hold
 * @memtype: one that the format can express
 * @kind: EPT_ABSENT or EPT_PRESENT
 * @perms: not none, no EPT_W without EPT_R; EPT_X alone not where the format always lets read, or
 * where large leaves cannot be executed
 * Return: 0; EPT_HERE if anything is mapped there, EPT_INVALID for a range outside the address
 * space or empty, or for other arguments than these, EPT_NO_TABLE: in each case what was mapped
 * before stays and nothing of this call is mapped, and no table is left over.
 * Flush: none. (After an error in the middle it has flushed by itself.)
 */
int must_check ept_map(struct ept_cpu *me, gfn_t gfn, uint64_t frames, hpa_t backing,
		       unsigned int perms, enum ept_memtype memtype, enum ept_kind kind);

/**
 * ept_unmap() - unmap [gfn, gfn + frames). Present leaves that reach across an edge are split.
 * Waits for pages that are being filled. Holes are fine. Tables that map nothing any more go away,
 * also those that reach out of the range: a map there gets the largest leaves again.
 * Return: 0; EPT_NO_TABLE if a split at an edge found no table; EPT_BUSY: something there is
 * frozen. In both cases nothing is unmapped, unless another CPU split, collapsed or froze
 * meanwhile: then call again, from outside of the second stage.
 * Flush: owed, through @g.
 */
int must_check ept_unmap(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g);

/* --- ept/path/arrive.c: the path of an arriving page -------------------------------------- */

struct ept_claim {
	_Atomic uint64_t *slot;
	uint64_t entry; /* the FILLING entry */
	struct ept_table *table;
	gfn_t gfn;
	enum pg_level level;
	hpa_t frame; /* where the contents go: level_frames(level) * 4 KiB */
};

/**
 * ept_request() - note that somebody waits for the 4 KiB page at gfn; splits down to it.
 * Return: 0: the caller is the first, and asks the source;
 * EPT_ASKED: asked for before; EPT_BUSY: it is being filled, or frozen; EPT_HERE: it is here, retry
 * the access; EPT_LOST: it is lost; EPT_DISCARDED: it was discarded, fill it with zeros;
 * EPT_UNMAPPED: nothing is mapped; EPT_NO_TABLE: no page means anything else, but an entry on the
 * way may be split already.
 */
static inline int must_check ept_request(struct ept_cpu *me, gfn_t gfn);

/* As ept_request(), for the whole piece of `level` that gfn lies in: only what is larger is split,
 * and where smaller pieces are, the one at gfn is asked for. */
int must_check ept_request_piece(struct ept_cpu *me, gfn_t gfn, enum pg_level level);

static inline int ept_request(struct ept_cpu *me, gfn_t gfn)
{
	return ept_request_piece(me, gfn, PG_LEVEL_4K);
}

/**
 * ept_fill() - claim the page at gfn to write its contents; splits absent entries down to `level`.
 * The caller writes to claim->frame, then calls ept_publish() or ept_give_up(), on the same CPU,
 * and calls nothing else of this address space in between.
 * @gfn: aligned to the level
 * Return: 0 and *claim; EPT_HERE: here already (a duplicate); EPT_BUSY: somebody else fills it, or
 * it is frozen; EPT_SMALLER: part of it is here or smaller pieces are under way: use a lower level;
 * EPT_DISCARDED: it was discarded, what arrives is void: see ept_fill_zero(); EPT_FOREIGN: its
 * frame is not its own: see ept_fill_into(); EPT_LOST, EPT_UNMAPPED, EPT_INVALID (level,
 * alignment); EPT_NO_TABLE: as ept_request().
 */
int must_check ept_fill(struct ept_cpu *me, gfn_t gfn, enum pg_level level,
			struct ept_claim *claim);

/* As ept_fill(), for zeros: also what was discarded. */
int must_check ept_fill_zero(struct ept_cpu *me, gfn_t gfn, enum pg_level level,
			     struct ept_claim *claim);

/**
 * ept_fill_into() - as ept_fill(), of one 4 KiB page whose frame is not its own (of a clone: see
 * ept/range.h), into a frame that the caller brings, and that is the page's own from then on.
 * After ept_give_up() it is still the caller's.
 * @frame: 4 KiB aligned; the caller's
 * Return: as ept_fill(), with claim->frame = frame (also for what was discarded: then zeros are to
 * be written, see claim->entry & ENTRY_ZERO); EPT_OWN; EPT_INVALID: no entry can hold the address.
 */
int must_check ept_fill_into(struct ept_cpu *me, gfn_t gfn, hpa_t frame, struct ept_claim *claim);

/**
 * ept_publish() - the claimed page is complete: the guest may see it.
 * Return: true if this page was the last one of its table: the range is ready to collapse to
 * claim->level + 1.
 * Flush: none.
 */
bool ept_publish(struct ept_cpu *me, const struct ept_claim *claim);

/**
 * ept_arrive_in_place() - ept_fill() and ept_publish() at once, of one 4 KiB page whose contents
 * are in its frame already: one compare-and-swap, ABSENT -> PRESENT. Return: 0; 1: as true of
 * ept_publish(); or as ept_fill(), and nothing is claimed. Flush: none.
 */
int must_check ept_arrive_in_place(struct ept_cpu *me, gfn_t gfn);

/* The claimed page is lost at its source: it is lost here, too, instead of being published.
 * Flush: none. */
void ept_lose(struct ept_cpu *me, const struct ept_claim *claim);

/* Not filled after all: the page is absent again (and still requested, if it was). */
void ept_give_up(struct ept_cpu *me, const struct ept_claim *claim);

/* --- ept/path/split.c --------------------------------------------------------------------- */

/**
 * ept_split() - make what maps gfn as small as `level`; the translation stays the same, accessed
 * and dirty bits are copied to every piece.
 * @why: remembered in the new tables
 * Return: 0 (also if it is that small already); EPT_UNMAPPED; EPT_LOST; EPT_BUSY: a larger piece is
 * being filled, or it is frozen; EPT_NO_TABLE: what could be split is, the translation is
 * unchanged.
 * Flush: owed before the caller relies on the smaller pieces, through @g. None for absent entries.
 */
int must_check ept_split(struct ept_cpu *me, gfn_t gfn, enum pg_level level, enum ept_why why,
			 struct ept_gather *g);

/* What became of a range. In entries of the size that was found or made. */
struct ept_split_result {
	uint64_t split;                   /* entries that became tables */
	uint64_t refused[EPT_REFUSALS_N]; /* that stayed, by ept_nr() of what ept_split() says */
};

/* Makes what maps [gfn, gfn + frames) as small as `level`, as far as it can be: what cannot is
 * counted, and the rest goes on. Idempotent. Flush: as ept_split(). */
void ept_split_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames, enum pg_level level,
		     enum ept_why why, struct ept_gather *g, struct ept_split_result *result);

/* --- ept/path/collapse.c ------------------------------------------------------------------ */

/**
 * ept_collapse() - collapse the tables below the slot of `level` that covers gfn into one leaf,
 * which stays mapped throughout, and go on upwards while tables become complete.
 * @level: PG_LEVEL_2M or above
 * Return: the number of tables that went away; 0: there is no table. Or the refusal, which is also
 * counted: EPT_HOLE, EPT_BUSY, EPT_LOST, EPT_MIXED, EPT_SCATTERED, EPT_EXECUTED (see
 * ept_recover_nx()); EPT_INVALID (level, address, or above leaf_max).
 * Flush: owed, through @g. Full gathers sync themselves, and so does a collapse by which the guest
 * loses the right to execute.
 */
int must_check ept_collapse(struct ept_cpu *me, gfn_t gfn, enum pg_level level,
			    struct ept_gather *g);

struct ept_collapse_result {
	uint64_t collapsed;               /* tables that went away */
	uint64_t refused[EPT_REFUSALS_N]; /* that stayed, by ept_nr() of what ept_collapse() says */
};

/* Collapses whatever can be in [gfn, gfn + frames), to the largest leaves. Idempotent. Tables that
 * reach outside the range are left alone. Flush: owed, through @g. */
void ept_collapse_range(struct ept_cpu *me, gfn_t gfn, uint64_t frames, struct ept_gather *g,
			struct ept_collapse_result *result);

/**
 * ept_recover_nx() - undo the splits that fetches from large leaves have made, in bounded steps.
 * What is executed again is split again.
 * @next: where to go on; advanced
 * @budget: at most so many slots of 2 MiB or more are looked at in this step, whatever becomes of
 * them; larger ones, which may be complete by then, come on top: one for each GiB that is passed
 * Return: how many tables collapsed. *next == end: done.
 * Flush: made, at most 16 tables frozen for one.
 */
unsigned int ept_recover_nx(struct ept_cpu *me, gfn_t *next, gfn_t end, unsigned int budget,
			    struct ept_gather *g);

/* --- ept/ops/poison.c --------------------------------------------------------------------- */

/**
 * ept_poison() - the 4 KiB page at gfn is lost: splits down to it.
 * Return: 0; EPT_LOST: it was before; EPT_UNMAPPED; EPT_BUSY (a larger piece is being filled, or it
 * is frozen); EPT_NO_TABLE (nothing lost, nothing changed in what is mapped).
 * Flush: owed, through
 * @g.
 */
int must_check ept_poison(struct ept_cpu *me, gfn_t gfn, struct ept_gather *g);

/* --- ept/tree/gather.c -------------------------------------------------------------------- */

void ept_gather_init(struct ept_gather *g, struct ept_cpu *me);

/* Flushes if that is owed, once, and frees what waits for it. A gather must not die unsynced. */
void ept_sync(struct ept_gather *g);

/* --- ept/tree/walk.c ---------------------------------------------------------------------- */

/* What maps gfn: the leaf, or the hidden entry, and its level. A snapshot. */
struct ept_state ept_lookup(const struct ept *ept, gfn_t gfn);

/* Is gfn present? Then *frame is the frame of that page, 4 KiB. Says no more than ept_lookup(), for
 * half of its work: sources ask it for each page. */
bool ept_page(const struct ept *ept, gfn_t gfn, hpa_t *frame);

/**
 * ept_filled() - how much of the 2 MiB around gfn is present. A snapshot, at the cost of one walk
 * whatever the sizes of the entries.
 * @level: of the entry that maps gfn, if it is 2 MiB or larger; PG_LEVEL_4K: smaller ones do
 * Return: present pages of 4 KiB; the latest arrivals may not be counted yet.
 */
unsigned int ept_filled(const struct ept *ept, gfn_t gfn, enum pg_level *level);

/* Will gfn come, or change, without another request? It is asked for, being filled, or frozen. */
bool ept_awaited(const struct ept *ept, gfn_t gfn);

/* One entry on the way from the root to gfn; path[level]. Levels that are not there are NONE.
 * For reports. */
void ept_path(const struct ept *ept, gfn_t gfn, uint64_t path[PG_LEVEL_MAX]);

/* What is mapped in a range, counted by a walk over it, in entries by level. */
struct ept_census {
	uint64_t kind[EPT_KINDS][PG_LEVEL_MAX];
};

void ept_census(const struct ept *ept, gfn_t gfn, uint64_t frames, struct ept_census *census);

/* The same in bounded steps, without the tables: adds at most `max` entries to *census (the caller
 * clears it first). Returns where to go on; `end`: done. */
gfn_t ept_census_some(const struct ept *ept, gfn_t gfn, gfn_t end, unsigned int max,
		      struct ept_census *census);

/* Sums the CPUs' counters. */
void ept_stats_sum(const struct ept *ept, struct ept_stats *sum);

/* --- ept/tree/check.c --------------------------------------------------------------------- */

/**
 * ept_check() - walk everything and verify what must hold while nobody changes anything: entries
 * legal for their level, present counters and pages by level equal to what is there, nothing
 * locked, dead, FILLING or FROZEN, number of tables as counted.
 * Return: NULL, or a sentence about the first thing that is wrong, and *where.
 */
const char *ept_check(const struct ept *ept, gfn_t *where);

#endif
