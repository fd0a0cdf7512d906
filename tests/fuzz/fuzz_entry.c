/* SPDX-License-Identifier: MIT */
/*
 * Single entries: any 64 bits, at any level, in each format; and any state that can be encoded.
 * What hardware makes of them is written down in tests/host/model/bits_*.c, apart from ept/.
 *
 *	byte 0: 1:0 format, 3:2 level, 4 tracked, 5 requested, 6 accessed, 7 dirty
 *	1-8: an entry; 9: kind, 7:5 permissions; 10: 3:0 memory type, 4 cow, 5 zero, 7:6 withheld;
 *	11-16: frame, in units of 4 KiB
 */
#include "ept/entry.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/model/bits.h"
#include "tests/host/model/toy.h"

struct format {
	const struct ept_format *fmt;
	const struct hardware *hw; /* the toy has none */
};

static const struct format formats[] = {
	{ &ept_format_toy, NULL },
	{ &ept_format_intel, &hardware_intel },
	{ &ept_format_amd, &hardware_amd },
};
static const enum ept_memtype memtypes[] = { EPT_UC, EPT_WC, EPT_WT, EPT_WP, EPT_WB };
static const enum ept_kind kinds[] = { EPT_NONE,   EPT_ABSENT, EPT_FILLING,
				       EPT_POISON, EPT_FROZEN, EPT_PRESENT };

static bool same(const struct ept_state *a, const struct ept_state *b)
{
	return a->kind == b->kind && a->level == b->level && a->frame.v == b->frame.v &&
	       a->perms == b->perms && a->memtype == b->memtype && a->requested == b->requested &&
	       a->tracked == b->tracked && a->withheld == b->withheld && a->zero == b->zero &&
	       a->cow == b->cow && a->accessed == b->accessed && a->dirty == b->dirty;
}

/* Permissions as hardware has them. */
static unsigned int seen_perms(const struct ept_state *s)
{
	return s->perms & ~s->withheld;
}

/* All, where this format has no entry that gives just these. */
static unsigned int possible_perms(const struct ept_format *fmt, unsigned int perms)
{
	bool never = !perms || (perms & (EPT_R | EPT_W)) == EPT_W;

	if (never || fmt->perms_of(fmt->leaf(PG_LEVEL_4K, perms, EPT_WB)) != perms)
		return EPT_RWX;
	return perms;
}

/* --- any 64 bits ----------------------------------------------------------------------------- */

/* What is legal for this hardware, and of the sort that we make, says the same to both. */
static void check_legal(const struct format *f, uint64_t e, const struct ept_state *s)
{
	struct bits b = f->hw->read(e, s->level);
	uint64_t ignored;

	if (b.sort == BITS_TABLE) {
		fuzz_check(b.perms == EPT_RWX);
		return;
	}
	fuzz_check(s->memtype == (b.memtype == 7 ? EPT_UC : b.memtype)); /* 7: UC- */
	fuzz_check(s->accessed == b.accessed && s->dirty == b.dirty);
	if (s->withheld & b.perms)
		return; /* we never let what is withheld be done */
	fuzz_check(seen_perms(s) == b.perms);
	/* UC has several encodings with AMD; bit 7 of a small leaf means nothing to Intel. */
	ignored = f->hw == &hardware_intel && s->level == PG_LEVEL_4K ? UINT64_C(1) << 7 : 0;
	fuzz_check(s->memtype == EPT_UC || ((entry_encode(f->fmt, s) ^ e) & ~ignored) == 0);
}

/* Kind and address are as hardware has them, whatever the rest is. */
static void check_seen(const struct format *f, uint64_t e, const struct ept_state *s)
{
	struct bits b = f->hw->read(e, s->level);

	fuzz_check((b.sort == BITS_HIDDEN) == !(e & f->fmt->seen));
	if (b.sort == BITS_HIDDEN)
		return;
	fuzz_check(s->kind == (b.sort == BITS_TABLE ? EPT_TABLE : EPT_PRESENT));
	fuzz_check(s->frame.v == b.frame);
	if (!f->hw->wrong(e, s->level, 52))
		check_legal(f, e, s);
}

/* Whether our encoder can have made it. The kinds from PRESENT on are told by the hardware's bits,
 * so hidden entries do not have them. */
static bool is_ours(const struct ept_format *fmt, uint64_t e, const struct ept_state *s)
{
	if (!(e & fmt->seen))
		return s->kind < EPT_PRESENT;
	return s->kind == EPT_PRESENT && possible_perms(fmt, s->perms) == s->perms &&
	       possible_perms(fmt, seen_perms(s)) == seen_perms(s);
}

static void check_any(const struct format *f, uint64_t e, enum pg_level level)
{
	struct ept_state s = entry_decode(f->fmt, e, level), again;
	uint64_t made;

	fuzz_check(s.level == level && s.kind == entry_kind(f->fmt, e, level));
	fuzz_check(entry_kind_name(s.kind)[0]);
	fuzz_check((s.frame.v & ~f->fmt->addr) == 0 && s.perms <= EPT_RWX);
	if (f->hw)
		check_seen(f, e, &s);
	if (!is_ours(f->fmt, e, &s))
		return;
	made = entry_encode(f->fmt, &s);
	again = entry_decode(f->fmt, made, level);
	fuzz_check(same(&s, &again) && entry_encode(f->fmt, &again) == made);
}

/* --- any state that can be ------------------------------------------------------------------- */

static void check_leaf(const struct format *f, uint64_t e, const struct ept_state *s)
{
	struct bits b = f->hw->read(e, s->level);

	if (f->hw->wrong(e, s->level, 52))
		fuzz_fail("%s refuses %lx at level %d: %s", f->hw->name, (long)e, s->level,
			  f->hw->wrong(e, s->level, 52));
	fuzz_check(b.sort == BITS_LEAF && b.frame == s->frame.v && b.perms == seen_perms(s));
	fuzz_check(b.memtype == s->memtype && b.accessed == s->accessed && b.dirty == s->dirty);
}

/* L1TF: what stands in the address field of a hidden entry is the opposite of its frame. */
static void check_hidden(const struct format *f, uint64_t e, const struct ept_state *s)
{
	struct ept_state frozen = *s, is;

	fuzz_check(field(e, 2, 0) == 0);
	if (f->hw)
		fuzz_check(f->hw->read(e, s->level).sort == BITS_HIDDEN);
	if (s->kind == EPT_NONE)
		return;
	fuzz_check((address(e, 12) ^ s->frame.v) == address(~UINT64_C(0), 12));
	frozen.kind = EPT_FROZEN;
	is = entry_decode(f->fmt, entry_with_kind(e, EPT_FROZEN), s->level);
	fuzz_check(same(&is, &frozen));
}

static void check_state(const struct format *f, const struct ept_state *s)
{
	uint64_t e = entry_encode(f->fmt, s);
	struct ept_state is = entry_decode(f->fmt, e, s->level);

	fuzz_check(same(&is, s));
	if (s->kind != EPT_PRESENT)
		check_hidden(f, e, s);
	else if (f->hw)
		check_leaf(f, e, s);
}

static void check_table(const struct format *f, hpa_t at, enum pg_level level)
{
	uint64_t e = entry_table(f->fmt, at);
	struct bits b;

	fuzz_check(entry_kind(f->fmt, e, level) == EPT_TABLE);
	fuzz_check(entry_decode(f->fmt, e, level).frame.v == at.v);
	if (!f->hw)
		return;
	b = f->hw->read(e, level);
	fuzz_check(!f->hw->wrong(e, level, 52) && b.sort == BITS_TABLE && b.frame == at.v);
}

/* --- from bytes ------------------------------------------------------------------------------ */

static struct ept_state take_state(const struct ept_format *fmt, unsigned int flags,
				   enum pg_level level, struct fuzz_input *in)
{
	unsigned int kind = (unsigned int)fuzz_take(in, 1), type = (unsigned int)fuzz_take(in, 1);
	struct ept_state s = { .kind = kinds[kind % ARRAY_LEN(kinds)], .level = level };

	if (s.kind == EPT_NONE)
		return s;
	s.perms = possible_perms(fmt, kind >> 5);
	s.memtype = memtypes[(type & 15) % ARRAY_LEN(memtypes)];
	s.tracked = flags & 0x10;
	s.cow = type & 0x10;
	s.frame = hpa(fuzz_take(in, 6) << PAGE_SHIFT & address(~UINT64_C(0), 12));
	if (s.kind != EPT_PRESENT) {
		s.requested = flags & 0x20;
		s.zero = type & 0x20;
		return s;
	}
	s.level = MIN(level, PG_LEVEL_1G);
	s.frame.v = ALIGN_DOWN(s.frame.v, fmt_frames(fmt, s.level) << PAGE_SHIFT);
	s.accessed = flags & 0x40;
	s.dirty = flags & 0x80;
	s.withheld = s.perms & ((type & 0x40 ? EPT_W : 0u) | (type & 0x80 ? EPT_X : 0u));
	if (s.withheld == s.perms) /* it leaves something: otherwise it would be hidden */
		s.withheld = 0;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned int flags = (unsigned int)fuzz_take(&in, 1);
	const struct format *f = &formats[(flags & 3) % ARRAY_LEN(formats)];
	enum pg_level level = (enum pg_level)(PG_LEVEL_4K + (flags >> 2) % f->fmt->top);
	struct ept_state s;

	check_any(f, fuzz_take(&in, 8), level);
	s = take_state(f->fmt, flags, level, &in);
	check_state(f, &s);
	check_table(f, hpa(s.frame.v & f->fmt->addr), MAX(level, PG_LEVEL_2M));
	return 0;
}
