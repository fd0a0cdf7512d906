/* SPDX-License-Identifier: MIT */
/* The source's half. See hv/migrate/depart.h. */
#include "hv/migrate/depart.h"

#include "hv/base/clock.h"
#include "hv/base/guest_console.h"
#include "hv/base/trace.h"
#include "hv/migrate/watch.h"
#include "hv/monitor/monitor.h"
#include "hv/policy/policy.h"
#include "hv/vm/load.h"
#include "hv/vm/make.h"
#include "hv/vm/run.h"

void depart_grow_by_zeros(struct migration *m, enum pg_level piece)
{
	pager_init(&m->from->mem, &source_zero, piece, 1, policy_of(POLICY_COMPLETE));
}

const char *depart_make(struct migration *m, const struct boot_info *info)
{
	const char *why;

	m->from = vm_create("A", m->config, PG_LEVEL_2M);
	if (!m->from)
		return "no memory for the source";
	depart_grow_by_zeros(m, m->config->populate);
	why = vm_load_guest(m->from, info, m->config->guest);
	if (!why && m->from->platform)
		guest_console_open();
	return why;
}

/* A whole system may know nothing of us: then only time says when. */
static bool is_ready(const struct migration *m)
{
	return vm_all_ready(m->from) || (m->from->platform && m->config->trigger == TRIGGER_TIME);
}

/* A whole system that says it is ready asks for it. */
static bool wants_migration(const struct vm *vm)
{
	return vm->platform || atomic_load_explicit(&vm->wants_migration, memory_order_acquire);
}

bool depart_due(struct migration *m)
{
	if (m->hop) /* it goes on for a while where it has arrived */
		return cycles_to_us(clock_now() - m->begun) / 1000 >= m->config->after_ms;
	if (!is_ready(m))
		return false;
	if (m->asked_for)
		return true;
	if (!m->ready_since)
		m->ready_since = clock_now();
	switch (m->config->trigger) {
	case TRIGGER_GUEST:
		return wants_migration(m->from);
	case TRIGGER_TIME:
		return cycles_to_us(clock_now() - m->ready_since) / 1000 >= m->config->after_ms;
	default:
		return true;
	}
}

const char *depart_turn(void *ctx)
{
	struct migration *m = ctx;
	const char *why;

	vm_wait(m->from);
	why = monitor_turn();
	if (why)
		return why;
	if (vm_any_over(m->from))
		return "the guest ended before the migration began";
	return migrate_out_of_time(m) ? "the guest was not ready in time" : NULL;
}

void depart_begin(struct migration *m)
{
	vm_start(m->from);
	watch_source(m);
}

const char *depart_stop(struct migration *m, const char *why)
{
	m->stopped = clock_now();
	trace(TRACE_PHASE, TRACE_STOPPED, m->from->id);
	watch_end();
	vm_stop(m->from);
	/* Checks at the last moment: a vCPU that is done, halted or dead cannot be moved. */
	if (!why && vm_any_over(m->from))
		why = "the guest ended before the migration began";
	if (why && vm_casualty(m->from))
		why = vm_casualty(m->from);
	return why;
}
