/* SPDX-License-Identifier: MIT */
/* Verifies the migrated VM: compares and counts everything that can be. */
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/migrate/lose.h"
#include "hv/migrate/migrate.h"
#include "hv/policy/policy.h"
#include "hv/vm/run.h"
#include "mm/machine.h"

/* --- contents ----------------------------------------------------------------------------- */

#define WORDS (PAGE_SIZE / sizeof(uint64_t))

static bool same_page(const uint64_t *a, const uint64_t *b)
{
	uint64_t differs = 0;

	for (unsigned int i = 0; i < WORDS; i += 4)
		differs |= (a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) |
			   (a[i + 3] ^ b[i + 3]);
	return !differs;
}

/* Most pages of a large guest were never touched, and an emulator takes its time for each word. */
static bool zero_page(const uint64_t *page)
{
	uint64_t any = 0;

	for (const uint64_t *end = page + WORDS; page < end; page += 16) {
#pragma GCC unroll 16
		for (unsigned int i = 0; i < 16; i++)
			any |= page[i];
	}
	return !any;
}

/* Did the guest discard the page, and not touch it since? */
static bool is_discarded(const struct migration *m, gfn_t gfn)
{
	struct ept_state e = ept_lookup(&m->to->mem.ept, gfn);

	return e.kind == EPT_ABSENT && e.zero;
}

static bool is_lost(const struct vm *vm, gfn_t gfn)
{
	return ept_lookup(&vm->mem.ept, gfn).kind == EPT_POISON;
}

/* A page that the source lost must be lost; any other lost page was lost on purpose. */
static const char *compare_lost(struct migration *m, gfn_t gfn)
{
	m->lost++;
	if (!is_lost(m->to, gfn))
		return "a page that the source has lost is not lost at the destination";
	if (bitmap_test(&m->lost_pages, gfn))
		return NULL;
	return m->watched.changes ? "a page that the payload uses is lost: the monitor lost it"
				  : "a page is lost that nobody has lost";
}

static const char *differs(gfn_t gfn, const char *why)
{
	con_printf("cleave: gpa 0x%llx: %s\n", (unsigned long long)gfn_to_gpa(gfn).v, why);
	return why;
}

/* It is what the guest says, or what the source had: no page is both unknown and changed. A whole
 * system speaks for no page: its own checks do, and its leaves must be dirty. */
static const char *compare_present(struct migration *m, gfn_t gfn, const void *a, const void *b)
{
	const struct vouches *word = &m->to->vouches;
	bool same = a ? same_page(a, b) : zero_page(b);

	if (vouched(word, gfn) && !vouch_holds(word, gfn, b))
		return differs(gfn, "a page is not what the guest says it is");
	if (!same && !m->to->platform && !vouched(word, gfn) && !vouched_own(word, gfn))
		return differs(
			gfn, "a page differs from the source's, and the guest has not written it");
	if (same) {
		m->compared++;
		return NULL;
	}
	m->written++;
	m->written_own += vouched_own(word, gfn);
	if (m->hw_dirty && !ept_lookup(&m->to->mem.ept, gfn).dirty)
		return differs(gfn, "a page was written, and its leaf is not dirty");
	return NULL;
}

/* Was it left at the source, as nobody has asked for it? */
static bool is_owed(const struct migration *m, gfn_t gfn)
{
	struct ept_state e = ept_lookup(&m->to->mem.ept, gfn);

	return order_of(m->config->order)->on_demand && e.kind == EPT_ABSENT && !e.zero;
}

/* A page that the guest knows about must have come. */
static const char *compare_owed(struct migration *m, gfn_t gfn)
{
	m->owed++;
	return vouched(&m->to->vouches, gfn)
		       ? differs(gfn, "a page has not come that the guest vouches for")
		       : NULL;
}

/* The page is not there. */
static const char *compare_absent(struct migration *m, gfn_t gfn)
{
	if (!is_discarded(m, gfn))
		return differs(gfn, "a page of the destination is not there");
	if (vouched(&m->to->vouches, gfn) && !vouched_zeros(&m->to->vouches, gfn))
		return differs(gfn, "a page is discarded that the guest says has contents");
	m->written++;
	return NULL;
}

static const char *compare_page(struct migration *m, gfn_t gfn)
{
	const void *a = mem_page(&m->from->mem, gfn), *b = mem_page(&m->to->mem, gfn);

	if (is_lost(m->from, gfn) || is_lost(m->to, gfn))
		return compare_lost(m, gfn);
	return b ? compare_present(m, gfn, a, b) : compare_absent(m, gfn);
}

/* Does no payload ever write there? */
static bool is_unused(const struct migration *m, gfn_t gfn)
{
	return !m->to->platform && !vouched_own(&m->to->vouches, gfn) &&
	       !lose_is_used(m->config, gfn);
}

/* The source's memory is on another machine: then a page is what the guest says, or zeros where no
 * payload writes. */
static const char *compare_alone(struct migration *m, gfn_t gfn)
{
	const struct vouches *word = &m->to->vouches;
	const void *page = mem_page(&m->to->mem, gfn);

	if (is_lost(m->to, gfn)) {
		m->lost++;
		return bitmap_test(&m->lost_pages, gfn) ? NULL
							: "a page is lost that nobody has lost";
	}
	if (!page)
		return compare_absent(m, gfn);
	if (vouched(word, gfn) && !vouch_holds(word, gfn, page))
		return differs(gfn, "a page is not what the guest says it is");
	if (is_unused(m, gfn) && !zero_page(page))
		return differs(gfn, "a page has contents where no payload writes");
	m->compared += vouched(word, gfn) || is_unused(m, gfn);
	return NULL;
}

static const char *compare_all(struct migration *m,
			       const char *(*compare)(struct migration *m, gfn_t gfn))
{
	for (gfn_t gfn = 0; gfn < m->to->mem.frames; gfn++) {
		const char *why = is_owed(m, gfn) ? compare_owed(m, gfn) : compare(m, gfn);

		if (why)
			return why;
	}
	return NULL;
}

static const char *compare_contents(struct migration *m)
{
	uint64_t told = m->discarded_for;
	const char *why = compare_all(m, m->from ? compare_page : compare_alone);

	if (why || !m->from)
		return why;
	for (unsigned int i = 0; i < m->to->nvcpus; i++)
		told += m->to->vcpu[i].pages_written;
	if (!m->to->platform && m->written - m->written_own > told)
		return "more pages changed than the guest says it wrote";
	return NULL;
}

/* --- counters ----------------------------------------------------------------------------- */

#define URGENT_BEHIND (64 * KIB) /* bytes of other work, at most */

/* Each wait is in [2^b, 2^(b+1)) cycles, so their sum has limits, too. Bucket 0 has 0 and 1. */
static bool waits_add_up(const struct fault_stats *w)
{
	uint64_t least = 0, most = 0;

	for (unsigned int b = 0; b < LATENCY_BUCKETS - 1; b++) {
		least += w->latency[b] * (b ? UINT64_C(1) << b : 0);
		most += w->latency[b] * ((UINT64_C(2) << b) - 1);
	}
	return least <= w->block_cycles && w->block_cycles <= most;
}

/* What the source sent page by page was placed, or dropped as a duplicate. Where pieces come whole,
 * contents are at hand or in place, or answers may be dropped for other reasons, nobody can tell.
 */
static bool sent_adds_up(const struct migration *m)
{
	const struct run_config *c = m->config;

	if (!c->latency_us || m->arrive > 1 || c->precopy || c->lose || m->pager.starved)
		return true;
	/* A page that the monitor loses may be under way. */
	if (m->watched.changes && m->stats.lost_early)
		return true;
	return m->to->mem.pager.source->sent == m->pager.data_frames + m->pager.duplicates;
}

static const char *check_counters(const struct migration *m)
{
	const struct ept_stats *s = &m->stats;
	uint64_t waits = 0, latencies = 0;

	if (m->pager.data_frames + m->pager.zero_frames + (uint64_t)(s->given_up + s->lost_early) +
		    m->owed !=
	    m->to->mem.frames)
		return "pages arrived + zero pages + discarded and lost ones differ from the pages of "
		       "the region";
	if (m->pager.demand + m->pager.background + m->pager.refilled != (uint64_t)s->arrivals)
		return "arrivals on demand + in the background + refills differ from the arrivals";
	if (s->splits_absent + s->splits_present - s->collapses !=
	    m->end.tables - m->at_switch.tables)
		return "splits and collapses do not account for the tables";
	if (s->tables_freed != s->collapses)
		return "tables that collapsed were not freed";
	for (unsigned int i = 0; i < m->to->nvcpus; i++) {
		const struct vcpu_stats *v = &m->to->vcpu[i].stats;
		const struct fault_stats *w = &v->wait;

		if (w->faults != v->by[EXIT_STAGE2] + v->calls_faulted)
			return "the faults differ from the exits for the second stage";
		if (w->wait_cycles > w->block_cycles || w->block_max > w->block_cycles ||
		    w->block_cycles > m->finished - m->to->first_entry)
			return "the blocktime is less than the waits, or more than the time";
		if (!waits_add_up(w))
			return "the latency histogram does not add up to the blocktime";
		waits += w->waits;
		for (unsigned int b = 0; b < LATENCY_BUCKETS; b++)
			latencies += w->latency[b];
	}
	if (waits + m->pager.at_hand + m->pager.pieces_at_hand != latencies)
		return "the latency histogram does not add up to the waits and the faults at hand";
	if (tlb_rounds(&m->to->mem.tlb) != (uint64_t)s->syncs)
		return "flushes that were owed were not made";
	if (!sent_adds_up(m))
		return "pages that the source sent differ from those placed and the duplicates";
	if (m->stream.healed && !m->pager.starved)
		return "a request was answered, and its page did not come";
	if (m->to->mem.pager.work_max > URGENT_BEHIND)
		return "urgent pages waited behind more work than a step of 64 KiB";
	return NULL;
}

/* --- levels ------------------------------------------------------------------------------- */

/* Leaves as a walk over the tables finds them: the counters must say the same. */
static const char *check_census(const struct migration *m)
{
	const struct granularity *e = &m->end;
	struct ept_census c;

	ept_census(&m->to->mem.ept, 0, m->to->mem.frames, &c);
	if (c.kind[EPT_PRESENT][PG_LEVEL_4K] != (uint64_t)e->pages_4k ||
	    c.kind[EPT_PRESENT][PG_LEVEL_2M] != (uint64_t)e->pages_2m ||
	    c.kind[EPT_PRESENT][PG_LEVEL_1G] != (uint64_t)e->pages_1g)
		return "the leaves that are there differ from the counters";
	return NULL;
}

/* Is all of [gfn, gfn + frames) present? *small: it has a leaf below this level. */
static bool is_full(const struct ept *ept, gfn_t gfn, enum pg_level level, bool *small)
{
	*small = false;
	for (gfn_t at = gfn; at < gfn + level_frames(level);) {
		struct ept_state s = ept_lookup(ept, at);

		if (s.kind != EPT_PRESENT)
			return false;
		*small |= s.level < level;
		at = state_end(&s, at);
	}
	return true;
}

/* No range that is complete is left in smaller leaves; holes and losses keep theirs small. */
static const char *check_full(const struct migration *m, enum pg_level level)
{
	uint64_t frames = m->to->mem.frames;

	for (gfn_t gfn = 0; gfn + level_frames(level) <= frames; gfn += level_frames(level)) {
		bool small;

		if (is_full(&m->to->mem.ept, gfn, level, &small) && small) {
			con_printf("cleave: gpa 0x%llx: a complete range is mapped in smaller "
				   "leaves\n",
				   (unsigned long long)gfn_to_gpa(gfn).v);
			return "a complete range is left in small leaves";
		}
	}
	return NULL;
}

/* Each complete range collapses when its policy says so. Only what executing has split, and what
 * completes while the piece of a whole GiB is written, may be left for the last sweep; and what
 * the monitor has split, or put under another policy. */
static bool was_forgotten(const struct migration *m)
{
	return m->healed && !m->watched.reshaped && !m->to->mem.ept.nx &&
	       m->arrive <= level_frames(PG_LEVEL_2M);
}

static const char *check_levels(const struct migration *m)
{
	const char *why = check_census(m);

	if (!why && was_forgotten(m))
		why = "complete ranges were collapsed only by a last sweep";
	if (m->to->mem.pager.policy->keeps_small) {
		if (!why && m->stats.collapses && !m->watched.reshaped)
			why = "something collapsed, and nothing should";
		return why;
	}
	for (enum pg_level level = PG_LEVEL_2M; !why && level <= m->backing; level++)
		why = check_full(m, level);
	return why;
}

/* --- the whole -------------------------------------------------------------------------- */

const char *migrate_verify(struct migration *m)
{
	bool ended = m->hop + 1 == m->config->hops;
	const char *why = ended ? vm_verdict(m->to) : NULL;
	gfn_t where;

	if (!why)
		why = check_levels(m);
	if (!why)
		why = ept_check(&m->to->mem.ept, &where);
	if (!why && ended) /* else the guest could not vouch yet */
		why = compare_contents(m);
	if (!why)
		why = check_counters(m);
	return why;
}
