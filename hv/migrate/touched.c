/* SPDX-License-Identifier: MIT */
/* The order of first touches. See hv/migrate/touched.h. */
#include "hv/migrate/touched.h"

#include "hv/base/console.h"
#include "hv/base/try.h"
#include "mm/machine.h"

#define MOST 1000000 /* touches that are noted */
#define LINE 8       /* runs in a line */

typedef unsigned long long ull;

static uint32_t room(const struct migration *m)
{
	return (uint32_t)MIN(m->config->region >> PAGE_SHIFT, UINT64_C(MOST));
}

static unsigned int room_order(const struct migration *m)
{
	return frame_order(room(m) * sizeof(uint32_t));
}

static const char *find_replay(struct migration *m, const struct boot_info *info)
{
	for (unsigned int i = 0; i < info->nmodules; i++) {
		const struct boot_module *module = &info->module[i];

		if (!__builtin_strcmp(module->name, m->config->replay))
			return touches_of(&m->replay, module->data, module->bytes,
					  m->config->region >> PAGE_SHIFT);
	}
	con_printf(
		"cleave: order=replay: there is no \\guests\\%s.bin on the boot disk: make one with "
		"order=record and tools/order, and set replay= to its name\n",
		m->config->replay);
	return "the recorded order is not there";
}

const char *touched_begin(struct migration *m, const struct boot_info *info)
{
	hpa_t where;

	if (m->config->order == ORDER_REPLAY)
		TRY(find_replay(m, info));
	if (!order_of(m->config->order)->records)
		return NULL;
	where = frame_alloc(&machine_frames, room_order(m));
	MUST(where.v != HPA_NONE.v, "no memory to note the order of the touches");
	m->recorded = direct(where);
	return NULL;
}

void touched_note(struct migration *m)
{
	struct recorder *r = &m->to->mem.pager.touches;

	r->gfn = m->recorded;
	r->max = room(m);
}

/* Pages from i on that follow each other. */
static uint32_t run_at(const struct recorder *r, uint32_t i, uint32_t n)
{
	uint32_t frames = 1;

	while (i + frames < n && r->gfn[i + frames] == r->gfn[i] + frames)
		frames++;
	return frames;
}

void touched_print(const struct migration *m)
{
	const struct recorder *r = &m->to->mem.pager.touches;
	uint32_t n = MIN(atomic_load(&r->n), r->max), on_line = 0;

	if (!m->recorded)
		return;
	for (uint32_t i = 0, frames; i < n; i += frames) {
		frames = run_at(r, i, n);
		con_printf(on_line ? " %llx+%llx" : "cleave-order: %llx+%llx", (ull)r->gfn[i],
			   (ull)frames);
		on_line = (on_line + 1) % LINE;
		if (!on_line || i + frames == n)
			con_printf("\n");
	}
	con_printf("cleave: order=record: the first touches of %llu pages are noted: tools/order "
		   "makes a file of them\n",
		   (ull)n);
}

bool touched_end(struct migration *m)
{
	hpa_t where;

	if (!m->recorded)
		return true;
	where = direct_hpa(m->recorded);
	m->recorded = NULL;
	return !frame_free(&machine_frames, where, room_order(m));
}
