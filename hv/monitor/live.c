/* SPDX-License-Identifier: MIT */
/* The live feed. See hv/monitor/live.h. */
#include "hv/monitor/live.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/json.h"
#include "hv/cpu/vcpu.h"
#include "hv/monitor/info.h"

#define CELLS      512
#define EVERY_US   100000
#define RANGE      512 /* frames of 2 MiB */
#define LENS_CHARS (RANGE / 4)
#define PROBES     8 /* ranges of a cell that are looked at, where one has more */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct {
	struct json json;
	bool sending;
	uint64_t due;           /* TSC */
	gfn_t lens;             /* the range that is being filled */
	uint16_t filled[CELLS]; /* at the last line */
	bool hurt[CELLS];
	char cells[CELLS + 1], pages[LENS_CHARS + 1];
} live;

void live_now(void)
{
	live.due = 0;
}

void live_begin(void)
{
	__builtin_memset(live.filled, 0, sizeof(live.filled));
	__builtin_memset(live.hurt, 0, sizeof(live.hurt));
	live.lens = 0;
	live.due = 0;
}

/* Ranges of 2 MiB that a cell stands for. */
static uint64_t ranges_of_cell(const struct memory *mem)
{
	uint64_t ranges = (mem->frames + RANGE - 1) / RANGE;

	return MAX((ranges + CELLS - 1) / CELLS, UINT64_C(1));
}

void live_hurt(const struct watched *w, gfn_t gfn, uint64_t frames)
{
	uint64_t size = ranges_of_cell(&w->vm->mem) * RANGE;

	for (uint64_t cell = gfn / size; cell <= (gfn + frames - 1) / size && cell < CELLS; cell++)
		live.hurt[cell] = true;
}

/* --- cells --------------------------------------------------------------------------------- */

struct cell {
	unsigned int filled, of; /* pages of 4 KiB */
	enum pg_level level;     /* the smallest that is there */
};

static struct cell look(const struct memory *mem, gfn_t gfn, uint64_t ranges)
{
	struct cell c = { .level = PG_LEVEL_512G };

	for (uint64_t i = 0; i < MIN(ranges, (uint64_t)PROBES); i++) {
		gfn_t at = gfn + i * (ranges / MIN(ranges, (uint64_t)PROBES)) * RANGE;
		enum pg_level level;

		if (at >= mem->frames)
			break;
		c.filled += ept_filled(&mem->ept, at, &level);
		c.of += RANGE;
		c.level = MIN(c.level, level);
	}
	return c;
}

/* A digit: small entries, by how many have come; # and @: leaves of 2 MiB and 1 GiB; .: nothing, in
 * one large entry; !: something of it is lost. */
static char letter(const struct cell *c, bool hurt)
{
	if (hurt)
		return '!';
	if (c->level == PG_LEVEL_4K)
		return digits[c->of ? c->filled * 63 / c->of : 0];
	if (c->filled < c->of)
		return c->filled ? digits[c->filled * 63 / c->of] : '.';
	return c->level == PG_LEVEL_2M ? '#' : '@';
}

/* Fills live.cells, and finds where most has come since the last line. */
static void make_cells(const struct memory *mem)
{
	uint64_t ranges = ranges_of_cell(mem);
	unsigned int most = 0, n = 0;

	for (gfn_t gfn = 0; n < CELLS && gfn < mem->frames; gfn += ranges * RANGE, n++) {
		struct cell c = look(mem, gfn, ranges);
		unsigned int came = c.filled - MIN(c.filled, live.filled[n]);

		if (came > most && c.level == PG_LEVEL_4K && c.filled < c.of) {
			most = came;
			live.lens = gfn;
		}
		live.filled[n] = (uint16_t)c.filled;
		live.cells[n] = letter(&c, live.hurt[n]);
	}
	live.cells[n] = 0;
}

static void make_lens(const struct memory *mem)
{
	for (unsigned int i = 0; i < LENS_CHARS; i++) {
		unsigned int bits = 0;
		hpa_t frame;

		for (unsigned int b = 0; b < 4; b++)
			bits |= (unsigned int)ept_page(&mem->ept, live.lens + 4 * i + b, &frame)
				<< (3 - b);
		live.pages[i] = "0123456789abcdef"[bits];
	}
}

/* --- the line ------------------------------------------------------------------------------ */

static void put_vcpu(struct json *j, const struct vcpu *v)
{
	bool waits = v->run == VCPU_WAITING;

	json_open(j, NULL, '[');
	json_str(j, NULL, info_run_state(v));
	json_int(j, NULL, waits ? (int64_t)v->wait_gfn : 0);
	json_int(j, NULL, waits ? (int64_t)cycles_to_us(clock_now() - v->wait_since) : 0);
	json_int(j, NULL, (int64_t)v->passes);
	json_int(j, NULL, (int64_t)v->stats.wait.faults);
	json_int(j, NULL, (int64_t)cycles_to_us(v->stats.wait.block_cycles));
	json_close(j, ']');
}

static void put_progress(struct json *j, const struct watched *w)
{
	struct watched_progress p = { 0 };

	if (!w->ops)
		return;
	w->ops->progress(w->ctx, &p);
	json_int(j, "rate", p.rate == CONFIG_UNLIMITED ? -1 : (int64_t)p.rate);
	json_int(j, "cut", p.cut);
	json_int(j, "settled", (int64_t)p.settled);
}

static void put_second_stage(struct json *j, const struct memory *mem)
{
	struct ept_stats s;

	ept_stats_sum(&mem->ept, &s);
	json_open(j, "leaves", '[');
	json_int(j, NULL, s.pages_4k);
	json_int(j, NULL, s.pages_2m);
	json_int(j, NULL, s.pages_1g);
	json_close(j, ']');
	json_int(j, "tables", s.tables);
	json_int(j, "splits", s.splits_absent + s.splits_present);
	json_int(j, "collapses", s.collapses);
	json_int(j, "poisoned", s.poisoned);
	json_int(j, "discarded", s.discarded);
}

static void make_line(const struct watched *w)
{
	const struct memory *mem = &w->vm->mem;
	struct json *j = &live.json;

	make_cells(mem);
	make_lens(mem);
	json_begin_as(j, "cleave-live: ");
	json_int(j, "us", (int64_t)cycles_to_us(clock_now() - w->begun));
	json_str(j, "run", w->config->name);
	json_str(j, "phase", w->phase);
	json_int(j, "pages", (int64_t)mem->frames);
	json_int(j, "work", (int64_t)(w->config->work_start >> PAGE_SHIFT));
	json_int(j, "work_pages", (int64_t)(w->config->work >> PAGE_SHIFT));
	put_second_stage(j, mem);
	put_progress(j, w);
	json_int(j, "changes", w->changes);
	json_open(j, "vcpus", '[');
	for (unsigned int i = 0; i < w->vm->nvcpus; i++)
		put_vcpu(j, &w->vm->vcpu[i]);
	json_close(j, ']');
	json_int(j, "lens", (int64_t)live.lens);
	json_str(j, "lens_pages", live.pages);
	json_str(j, "cells", live.cells);
	json_close(j, '}');
}

void live_turn(struct watched *w)
{
	uint64_t now = clock_now();

	if (live.sending) {
		live.sending = con_feed_some();
		return;
	}
	if (now < live.due)
		return;
	live.due = now + us_to_cycles(EVERY_US);
	make_line(w);
	live.json.text[live.json.n++] = '\n';
	con_feed(live.json.text, live.json.n);
	live.sending = true;
}
