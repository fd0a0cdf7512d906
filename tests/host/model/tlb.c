/* SPDX-License-Identifier: MIT */
/* The model TLB. See tests/host/model/tlb.h. */
#include <string.h>

#include "tests/host/model/tlb.h"

static gfn_t base_of(const struct ept_format *fmt, gfn_t gfn, unsigned int level)
{
	return gfn & ~(fmt_frames(fmt, (enum pg_level)level) - 1);
}

static _Atomic uint64_t *entry_at(const struct ept *ept, hpa_t table, gfn_t gfn, unsigned int level)
{
	_Atomic uint64_t *entries = frame_virt(ept->pool, table);

	return &entries[fmt_index(ept->fmt, gfn, (enum pg_level)level)];
}

static bool leaf_serves(const struct tlb_leaf *l, const struct ept_format *fmt, gfn_t gfn,
			unsigned int perms)
{
	return l->gfn == base_of(fmt, gfn, l->level) && !(perms & ~(unsigned int)l->perms) &&
	       (!(perms & EPT_W) || l->dirty);
}

static bool pointer_serves(const struct tlb_pointer *p, const struct ept_format *fmt, gfn_t gfn)
{
	return p->gfn == base_of(fmt, gfn, p->level + 1u);
}

void tlb_flush(struct tlb *tlb)
{
	tlb->nleaves = 0;
	tlb->npointers = 0;
}

static void remember_leaf(struct tlb *tlb, const struct tlb_leaf *new)
{
	for (unsigned int i = 0; i < tlb->nleaves; i++) {
		const struct tlb_leaf *l = &tlb->leaf[i];

		if (l->gfn == new->gfn && l->frame == new->frame && l->level == new->level &&
		    l->perms == new->perms && l->memtype == new->memtype && l->dirty == new->dirty)
			return;
	}
	if (tlb->nleaves < TLB_LEAVES)
		tlb->leaf[tlb->nleaves++] = *new;
	else
		tlb->leaf[tlb->victim++ % TLB_LEAVES] = *new;
}

static void remember_pointer(struct tlb *tlb, const struct tlb_pointer *new)
{
	for (unsigned int i = 0; i < tlb->npointers; i++) {
		const struct tlb_pointer *p = &tlb->pointer[i];

		if (p->gfn == new->gfn && p->table.v == new->table.v && p->level == new->level)
			return;
	}
	if (tlb->npointers < TLB_POINTERS)
		tlb->pointer[tlb->npointers++] = *new;
	else
		tlb->pointer[tlb->victim++ % TLB_POINTERS] = *new;
}

/* SDM vol. 3C, "Operations that Invalidate Cached Mappings": an EPT violation does. */
static void forget(struct tlb *tlb, const struct ept_format *fmt, gfn_t gfn)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < tlb->nleaves; i++)
		if (tlb->leaf[i].gfn != base_of(fmt, gfn, tlb->leaf[i].level))
			tlb->leaf[kept++] = tlb->leaf[i];
	tlb->nleaves = kept;
	kept = 0;
	for (unsigned int i = 0; i < tlb->npointers; i++)
		if (!pointer_serves(&tlb->pointer[i], fmt, gfn))
			tlb->pointer[kept++] = tlb->pointer[i];
	tlb->npointers = kept;
}

unsigned int tlb_ways_of(const struct tlb *tlb, const struct ept_format *fmt, gfn_t gfn,
			 unsigned int perms)
{
	unsigned int n = 1;

	for (unsigned int i = 0; i < tlb->npointers; i++)
		n += pointer_serves(&tlb->pointer[i], fmt, gfn);
	for (unsigned int i = 0; i < tlb->nleaves; i++)
		n += leaf_serves(&tlb->leaf[i], fmt, gfn, perms);
	return n;
}

static const struct tlb_pointer *nth_pointer(const struct tlb *tlb, const struct ept_format *fmt,
					     gfn_t gfn, unsigned int *n)
{
	for (unsigned int i = 0; i < tlb->npointers; i++)
		if (pointer_serves(&tlb->pointer[i], fmt, gfn) && (*n)-- == 0)
			return &tlb->pointer[i];
	return NULL;
}

static const struct tlb_leaf *nth_leaf(const struct tlb *tlb, const struct ept_format *fmt,
				       gfn_t gfn, unsigned int perms, unsigned int n)
{
	for (unsigned int i = 0; i < tlb->nleaves; i++)
		if (leaf_serves(&tlb->leaf[i], fmt, gfn, perms) && n-- == 0)
			return &tlb->leaf[i];
	return NULL;
}

/* Where a leaf's memory begins. Below its size the address field may hold other things. */
static uint64_t leaf_frame(const struct ept_format *fmt, uint64_t e, unsigned int level)
{
	uint64_t bytes = fmt_frames(fmt, (enum pg_level)level) << PAGE_SHIFT;

	return e & fmt->addr & ~(bytes - 1);
}

/* Hardware would walk on into whatever a page holds that is no table any more; a test must not. The
 * frame's state is a plain variable, so that TSan sees a walk into a table that is not published
 * yet, or freed already. */
static bool is_table_page(const struct ept *ept, hpa_t table)
{
	return frame_of(ept->pool, table)->state == FRAME_USED;
}

/* Whether hardware takes the entry for a table, a leaf, or nothing. FAULT: it refuses it. */
static enum tlb_outcome examine(const struct ept_format *fmt, uint64_t e, unsigned int level,
				bool *table)
{
	bool leaf = level == PG_LEVEL_4K || (e & fmt->large);

	*table = !leaf;
	if (!(e & fmt->seen))
		return TLB_VIOLATION;
	return leaf && !fmt_may_be_leaf(fmt, (enum pg_level)level) ? TLB_FAULT : TLB_HIT;
}

/* Hardware sets bits only in an entry that is still what its walk has read. */
static bool set_bits(_Atomic uint64_t *at, uint64_t e, uint64_t bits)
{
	return (e & bits) == bits || atomic_compare_exchange_strong(at, &e, e | bits);
}

static void remember_entry(struct tlb *tlb, const struct ept *ept, gfn_t gfn, unsigned int level,
			   uint64_t e)
{
	const struct ept_format *fmt = ept->fmt;
	struct tlb_leaf l = {
		.gfn = base_of(fmt, gfn, level),
		.frame = leaf_frame(fmt, e, level),
		.level = (uint8_t)level,
		.perms = (uint8_t)fmt->perms_of(e),
		.memtype = (uint8_t)fmt->memtype_of(e, (enum pg_level)level),
		.dirty = tlb->plain || (e & fmt->dirty),
	};

	remember_leaf(tlb, &l);
}

static enum tlb_outcome walk(struct tlb *tlb, const struct ept *ept, gfn_t gfn, unsigned int perms,
			     struct tlb_pointer from, struct tlb_access *access)
{
	const struct ept_format *fmt = ept->fmt;
	uint64_t offset;

	while (is_table_page(ept, from.table)) {
		_Atomic uint64_t *at = entry_at(ept, from.table, gfn, from.level);
		uint64_t e = atomic_load(at);
		uint64_t bits = tlb->plain ? 0 : fmt->accessed;
		bool table;
		enum tlb_outcome o = examine(fmt, e, from.level, &table);

		if (o != TLB_HIT)
			return o;
		if (!table && (perms & ~fmt->perms_of(e)))
			return TLB_VIOLATION;
		if (!table && !tlb->plain && perms & EPT_W)
			bits |= fmt->dirty;
		if (!set_bits(at, e, bits))
			continue;
		if (!table) {
			remember_entry(tlb, ept, gfn, from.level, e | bits);
			offset = gfn - base_of(fmt, gfn, from.level);
			access->frame = leaf_frame(fmt, e, from.level) + (offset << PAGE_SHIFT);
			access->sets = tlb->plain ? 0 : perms & EPT_W ? 3 : 1;
			access->stale = false;
			access->level = from.level;
			return TLB_HIT;
		}
		from.gfn = base_of(fmt, gfn, from.level);
		from.table = hpa(e & fmt->addr);
		from.level--;
		remember_pointer(tlb, &from);
	}
	return TLB_FAULT;
}

enum tlb_outcome tlb_access(struct tlb *tlb, const struct ept *ept, gfn_t gfn, unsigned int perms,
			    unsigned int way, struct tlb_access *access)
{
	struct tlb_pointer from = { .table = ept->root, .level = (uint8_t)ept->fmt->top };
	enum tlb_outcome o;

	if (way > 0) {
		unsigned int n = way - 1;
		const struct tlb_pointer *p = nth_pointer(tlb, ept->fmt, gfn, &n);
		const struct tlb_leaf *l = p ? NULL : nth_leaf(tlb, ept->fmt, gfn, perms, n);

		if (l) {
			access->frame = l->frame + ((gfn - l->gfn) << PAGE_SHIFT);
			access->sets = 0;
			access->stale = true;
			access->level = l->level;
			return TLB_HIT;
		}
		if (p)
			from = *p;
	}
	o = walk(tlb, ept, gfn, perms, from, access);
	if (o != TLB_HIT)
		forget(tlb, ept->fmt, gfn);
	return o;
}

bool tlb_knows_table(const struct tlb *tlb, hpa_t table)
{
	for (unsigned int i = 0; i < tlb->npointers; i++)
		if (tlb->pointer[i].table.v == table.v)
			return true;
	return false;
}

enum tlb_outcome tlb_peek(const struct ept *ept, gfn_t gfn, struct ept_state *leaf)
{
	const struct ept_format *fmt = ept->fmt;
	hpa_t table = ept->root;
	unsigned int level = fmt->top;

	for (;;) {
		uint64_t e = atomic_load(entry_at(ept, table, gfn, level));
		bool is_table;
		enum tlb_outcome o = examine(fmt, e, level, &is_table);
		uint64_t offset = (gfn - base_of(fmt, gfn, level)) << PAGE_SHIFT;

		if (o != TLB_HIT)
			return o;
		if (!is_table) {
			*leaf = (struct ept_state){
				.kind = EPT_PRESENT,
				.level = (enum pg_level)level,
				.frame = hpa(leaf_frame(fmt, e, level) + offset),
				.perms = fmt->perms_of(e),
				.memtype = fmt->memtype_of(e, (enum pg_level)level),
				.accessed = (e & fmt->accessed) != 0,
				.dirty = (e & fmt->dirty) != 0,
			};
			return TLB_HIT;
		}
		table = hpa(e & fmt->addr);
		level--;
	}
}
