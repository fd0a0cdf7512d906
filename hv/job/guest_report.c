/* SPDX-License-Identifier: MIT */
/* The figures of a job. See hv/job/guest_report.h. */
#include "hv/job/guest_report.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/json.h"
#include "hv/base/panic.h"
#include "hv/migrate/knobs.h"
#include "hv/cpu/vendor.h"
#include "mm/percpu.h"

typedef unsigned long long ull;

void guest_figure(struct guest_run *run, const char *key, const char *what, uint64_t value)
{
	unsigned int i = 0;

	while (i < run->nfigures && __builtin_strcmp(run->figure[i].key, key))
		i++;
	if (i == GUEST_FIGURES)
		panic("job %s has more figures than there is room for", run->job->name);
	if (i == run->nfigures)
		run->nfigures++;
	run->figure[i].key = key;
	run->figure[i].what = what;
	run->figure[i].value += value;
}

static const char *level_name(enum pg_level level)
{
	static const char *const names[] = { "?", "4K", "2M", "1G" };

	return names[level];
}

static void print_leaves(const char *when, const struct ept_stats *s)
{
	con_printf("cleave:     %-20s %10lld %10lld %10lld %10lld\n", when, (long long)s->pages_4k,
		   (long long)s->pages_2m, (long long)s->pages_1g, (long long)s->tables);
}

static void print_table(const struct guest_run *run)
{
	const struct run_config *config = run->config;

	con_printf("cleave: job %s, run %s: guest %s, %llu MiB in %s frames, %u vCPU%s on %u "
		   "CPU%s, %u rounds\n",
		   run->job->name, config->name, config->guest, (ull)(config->region / MIB),
		   level_name(run->vm->mem.backing.level), run->vm->nvcpus,
		   run->vm->nvcpus == 1 ? "" : "s", ncpus, ncpus == 1 ? "" : "s", run->round);
	if (run->watched.changes)
		con_printf("cleave:   changed by the monitor: %u commands\n", run->watched.changes);
	con_printf("cleave:   leaves                      4K         2M         1G     tables\n");
	print_leaves("when it began", &run->at_begin);
	print_leaves("at the end", &run->at_end);
	for (unsigned int i = 0; i < run->nfigures; i++)
		con_printf("cleave: %12llu %s\n", (ull)run->figure[i].value, run->figure[i].what);
}

static void json_leaves(struct json *j, const char *key, const struct ept_stats *s)
{
	json_open(j, key, '{');
	json_int(j, "pages_4k", s->pages_4k);
	json_int(j, "pages_2m", s->pages_2m);
	json_int(j, "pages_1g", s->pages_1g);
	json_int(j, "tables", s->tables);
	json_close(j, '}');
}

/* --- exits of a whole system ----------------------------------------------------------------- */

static uint64_t since_ready(const struct guest_run *run, unsigned int reason)
{
	return run->all.by[reason] - run->at_ready.by[reason];
}

static void print_exits(const struct guest_run *run)
{
	const struct exits *ready = &run->at_ready, *all = &run->all;

	con_printf("cleave:   exits              until it was ready  in %llu ms since\n",
		   (ull)(cycles_to_us(run->ended - run->ready_since) / 1000));
	for (unsigned int r = 0; r < EXIT_REASONS; r++)
		if (all->by[r])
			con_printf("cleave:     %-20s %14llu %14llu\n", exit_name(r),
				   (ull)ready->by[r], (ull)since_ready(run, r));
	con_printf("cleave:     %-20s %14llu %14llu\n", "all", (ull)ready->all,
		   (ull)(all->all - ready->all));
	con_printf("cleave:     %-20s %14llu %14llu\n", "interrupts delivered",
		   (ull)ready->interrupts, (ull)(all->interrupts - ready->interrupts));
}

static void json_exits(struct json *j, const struct guest_run *run)
{
	json_int(j, "boot_us", (int64_t)cycles_to_us(run->ready_since - run->vm->first_entry));
	json_int(j, "ready_us", (int64_t)cycles_to_us(run->ended - run->ready_since));
	json_int(j, "interrupts", (int64_t)run->all.interrupts);
	json_open(j, "exits_boot", '{');
	for (unsigned int r = 0; r < EXIT_REASONS; r++)
		json_int(j, exit_name(r), (int64_t)run->at_ready.by[r]);
	json_close(j, '}');
	json_open(j, "exits_ready", '{');
	for (unsigned int r = 0; r < EXIT_REASONS; r++)
		json_int(j, exit_name(r), (int64_t)since_ready(run, r));
	json_close(j, '}');
}

static void print_json(const struct guest_run *run)
{
	static struct json j;

	json_begin(&j);
	json_str(&j, "name", run->config->name);
	json_str(&j, "job", run->job->name);
	json_str(&j, "guest", run->config->guest);
	json_str(&j, "verdict", run->verdict ? run->verdict : "pass");
	json_str(&j, "second_stage", vendor->format->name);
	json_str(&j, "backing", level_name(run->vm->mem.backing.level));
	json_int(&j, "cpus", ncpus);
	json_int(&j, "pages", (int64_t)run->vm->mem.frames);
	json_int(&j, "tsc_khz", (int64_t)clock_khz);
	knobs_put(&j, run->machine, run->config);
	json_int(&j, "rounds", run->round);
	for (unsigned int i = 0; i < run->nfigures; i++)
		json_int(&j, run->figure[i].key, (int64_t)run->figure[i].value);
	if (run->watched.changes)
		json_int(&j, "monitor_changes", run->watched.changes);
	json_leaves(&j, "begin", &run->at_begin);
	json_leaves(&j, "end", &run->at_end);
	if (run->ready_since)
		json_exits(&j, run);
	json_end(&j);
}

/* What a whole system has told (hv/platform/platform.h). */
static void add_system(struct guest_run *run, const struct platform *p)
{
	guest_figure(run, "guest_gave_back", "pages that the guest gave back", p->given);
	guest_figure(run, "guest_huge_pages", "huge pages that the guest told of", p->huge);
	guest_figure(run, "guest_huge_in_large_leaves", "of them lie in leaves of 2 MiB or more",
		     p->huge_large);
}

/* The figures of every job: the guest and its tables. */
static void add_common(struct guest_run *run)
{
	const struct ept_stats *s = &run->at_end;

	guest_figure(run, "splits", "leaves split",
		     (uint64_t)(s->splits_present - run->at_begin.splits_present));
	guest_figure(run, "collapses", "tables collapsed into a leaf", (uint64_t)s->collapses);
	guest_figure(run, "flushes", "flushes that CPUs made", tlb_count(&run->vm->mem.tlb));
	for (unsigned int i = 0; !run->vm->platform && i < run->vm->nvcpus; i++)
		guest_figure(run, "steps", "pages that the guest looked at",
			     run->vm->vcpu[i].steps);
	if (run->vm->platform)
		add_system(run, run->vm->platform);
}

void guest_report(struct guest_run *run)
{
	ept_stats_sum(&run->vm->mem.ept, &run->at_end);
	add_common(run);
	exits_of(run->vm, &run->all);
	run->ended = clock_now();
	if (run->verbose)
		print_table(run);
	if (run->verbose && run->ready_since)
		print_exits(run);
	print_json(run);
}
