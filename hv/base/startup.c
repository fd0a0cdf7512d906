/* SPDX-License-Identifier: MIT */
/* The parts of the start. See hv/base/startup.h. */
#include "hv/base/startup.h"

#include <stdatomic.h>

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/json.h"
#include "mm/percpu.h"

static const char *const names[STARTUP_NPARTS] = {
#define X(NAME, name) #name,
	STARTUP_PARTS(X)
#undef X
};

/* Cycles of the TSC. */
static struct {
	uint64_t begun, marked; /* the image's entry, and the last mark */
	uint64_t part[STARTUP_NPARTS];
	_Atomic uint64_t entered; /* the first guest; 0: none yet */
	bool reported;
} startup;

void startup_begin(uint64_t entered)
{
	startup.begun = startup.marked = entered;
}

/* `now` lies behind the last mark, even where another CPU's TSC lags. */
static void end_part(enum startup_part part, uint64_t now)
{
	now = MAX(now, startup.marked);
	startup.part[part] += now - startup.marked;
	startup.marked = now;
}

void startup_mark(enum startup_part part)
{
	if (!atomic_load_explicit(&startup.entered, memory_order_relaxed))
		end_part(part, clock_now());
}

void startup_entered(uint64_t now)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&startup.entered, &none, now);
}

static void print_json(uint64_t total)
{
	static struct json j;

	json_begin_as(&j, "cleave-boot: ");
	json_uint(&j, "cpus", ncpus);
	json_uint(&j, "tsc_khz", clock_khz);
	json_uint(&j, "total_cycles", total);
	json_open(&j, "parts_cycles", '{');
	for (unsigned int i = 0; i < STARTUP_NPARTS; i++)
		json_uint(&j, names[i], startup.part[i]);
	json_close(&j, '}');
	json_end(&j);
}

static void print_line(uint64_t total)
{
	con_printf("cleave: the guest's first instruction %llu us after the image's entry:",
		   (unsigned long long)cycles_to_us(total));
	for (unsigned int i = 0; i < STARTUP_NPARTS; i++)
		con_printf("%s %s %llu", i ? "," : "", names[i],
			   (unsigned long long)cycles_to_us(startup.part[i]));
	con_printf("\n");
}

void startup_report(bool verbose)
{
	uint64_t entered = atomic_load_explicit(&startup.entered, memory_order_relaxed);

	if (!entered || startup.reported)
		return;
	startup.reported = true;
	end_part(STARTUP_ENTRY, entered);
	if (verbose)
		print_line(startup.marked - startup.begun);
	print_json(startup.marked - startup.begun);
}
