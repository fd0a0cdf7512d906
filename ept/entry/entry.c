/* SPDX-License-Identifier: MIT */
/* Encoding and decoding of single entries. See ept/entry.h. */
#include "ept/entry.h"

static uint64_t encode_hidden(const struct ept_state *s)
{
	bool frozen = s->kind == EPT_FROZEN;

	return (uint64_t)s->kind << ENTRY_KIND_SHIFT | (uint64_t)s->perms << ENTRY_PERMS_SHIFT |
	       (uint64_t)s->memtype << ENTRY_MEMTYPE_SHIFT | (~s->frame.v & ENTRY_FRAME_MASK) |
	       (s->requested ? ENTRY_REQUESTED : 0) | (s->tracked ? ENTRY_TRACKED : 0) |
	       (s->zero ? ENTRY_ZERO : 0) | (s->cow ? ENTRY_COW : 0) |
	       (frozen && s->accessed ? ENTRY_ACCESSED : 0) |
	       (frozen && s->dirty ? ENTRY_DIRTY : 0);
}

static uint64_t encode_leaf(const struct ept_format *fmt, const struct ept_state *s)
{
	return fmt->leaf(s->level, s->perms & ~s->withheld, s->memtype) | (s->frame.v & fmt->addr) |
	       (s->accessed ? fmt->accessed : 0) | (s->dirty ? fmt->dirty : 0) |
	       (s->tracked ? ENTRY_TRACKED : 0) | (s->withheld & EPT_W ? ENTRY_NO_W : 0) |
	       (s->withheld & EPT_X ? ENTRY_NO_X : 0) | (s->cow ? ENTRY_COW : 0);
}

uint64_t entry_encode(const struct ept_format *fmt, const struct ept_state *s)
{
	if (s->kind == EPT_NONE)
		return 0;
	return s->kind == EPT_PRESENT ? encode_leaf(fmt, s) : encode_hidden(s);
}

static void decode_hidden(uint64_t e, struct ept_state *s)
{
	bool frozen = s->kind == EPT_FROZEN; /* in others these bits mean nothing */

	s->frame = hpa(entry_hidden_frame(e));
	s->perms = e >> ENTRY_PERMS_SHIFT & 7;
	s->memtype = (enum ept_memtype)(e >> ENTRY_MEMTYPE_SHIFT & 7);
	s->requested = e & ENTRY_REQUESTED;
	s->tracked = e & ENTRY_TRACKED;
	s->zero = e & ENTRY_ZERO;
	s->cow = e & ENTRY_COW;
	s->accessed = frozen && e & ENTRY_ACCESSED;
	s->dirty = frozen && e & ENTRY_DIRTY;
}

static void decode_leaf(const struct ept_format *fmt, uint64_t e, struct ept_state *s)
{
	s->frame = hpa(e & fmt_leaf_addr(fmt, s->level));
	s->tracked = e & ENTRY_TRACKED;
	s->cow = e & ENTRY_COW;
	s->withheld = (e & ENTRY_NO_W ? EPT_W : 0) | (e & ENTRY_NO_X ? EPT_X : 0);
	s->perms = fmt->perms_of(e) | s->withheld;
	s->memtype = fmt->memtype_of(e, s->level);
	s->accessed = e & fmt->accessed;
	s->dirty = e & fmt->dirty;
}

struct ept_state entry_decode(const struct ept_format *fmt, uint64_t e, enum pg_level level)
{
	struct ept_state s = { .kind = entry_kind(fmt, e, level), .level = level };

	switch (s.kind) {
	case EPT_NONE:
		break;
	case EPT_TABLE:
		s.frame = hpa(e & fmt->addr);
		break;
	case EPT_PRESENT:
		decode_leaf(fmt, e, &s);
		break;
	default:
		decode_hidden(e, &s);
		break;
	}
	return s;
}

const char *entry_kind_name(enum ept_kind kind)
{
	static const char *const names[EPT_KINDS] = {
		[EPT_NONE] = "none",     [EPT_ABSENT] = "absent", [EPT_FILLING] = "filling",
		[EPT_POISON] = "poison", [EPT_FROZEN] = "frozen", [EPT_PRESENT] = "present",
		[EPT_TABLE] = "table",
	};

	return (unsigned int)kind < EPT_KINDS ? names[kind] : "?";
}
