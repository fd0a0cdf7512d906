/* SPDX-License-Identifier: MIT */
/* Few CPUs, all orders. See tests/host/model/interleave.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "tests/host/model/interleave.h"
#include "tests/host/model/toy.h"

#define STACK       (256 * KIB)
#define PATIENCE    400   /* accesses after which others get a turn: it may wait for them */
#define SPINS       16    /* accesses to one address in a row, likewise */
#define TOO_LONG    50000 /* accesses of a run that goes nowhere */
#define PREEMPTIONS 3

/* One run: who begins, and at which access whom to let run instead. */
struct plan {
	unsigned int first;
	unsigned int n;
	struct {
		unsigned int at;
		unsigned int cpu;
	} preempt[PREEMPTIONS];
};

static struct {
	const struct scene *scene;
	struct crowd crowd;
	struct plan plan;
	bool running;       /* CPUs are at work: accesses are watched */
	const void *last;   /* access was to this address */
	unsigned int spins; /* and so many before it in a row */
	bool changed;       /* the access before this one wrote something */
	unsigned int current;
	unsigned int point; /* accesses so far */
	unsigned int turn;  /* of them, since the last switch */
	unsigned int next;  /* preemption of the plan */
	bool done[INTERLEAVE_CPUS];
	uint8_t *trace; /* for each access: bit n: a preemption there in favour of CPU n does
			   something */
	ucontext_t here;
	ucontext_t context[INTERLEAVE_CPUS];
	uint8_t *stack[INTERLEAVE_CPUS];
} run;

static void switch_to(unsigned int cpu)
{
	unsigned int from = run.current;

	if (cpu == from)
		return;
	run.current = cpu;
	run.turn = run.spins = 0;
	swapcontext(&run.context[from], &run.context[cpu]);
}

/* Whose turn comes after: any that has not finished, or the same again. */
static unsigned int another(unsigned int cpu)
{
	for (unsigned int i = 1; i <= run.scene->ncpus; i++) {
		unsigned int next = (cpu + i) % run.scene->ncpus;

		if (!run.done[next])
			return next;
	}
	return cpu;
}

static void relax(void)
{
	switch_to(another(run.current));
}

static void watch_pages(struct crowd_cpu *cpu)
{
	run.running = false; /* looking is no access of theirs */
	for (gfn_t gfn = 0; gfn < INTERLEAVE_PAGES; gfn++) {
		struct ept_state leaf;

		if (!(run.scene->steady >> gfn & 1))
			continue;
		if (tlb_peek(&run.crowd.ept, gfn, &leaf) != TLB_HIT ||
		    leaf.frame.v != CROWD_BACKING + (gfn << PAGE_SHIFT))
			crowd_fail(cpu, "page %lu was not mapped for a moment", (long)gfn);
	}
	run.running = true;
}

/* The table page that an address lies in, or whose descriptor it lies in; or none. */
static unsigned int table_of(const void *at)
{
	const struct frame_pool *pool = &run.crowd.pool;
	uint64_t n = run.crowd.ntables;
	uintptr_t a = (uintptr_t)at, tables = pool->virt_offset + CROWD_BASE;
	uintptr_t frames = (uintptr_t)pool->frames;

	if (a >= tables && a < tables + n * PAGE_SIZE)
		return (unsigned int)((a - tables) / PAGE_SIZE);
	if (a >= frames && a < frames + n * sizeof(struct frame))
		return (unsigned int)((a - frames) / sizeof(struct frame));
	return UINT32_MAX;
}

static void note_others(void)
{
	uint8_t others = 0;

	for (unsigned int i = 0; i < run.scene->ncpus; i++)
		if (i != run.current && !run.done[i])
			others |= (uint8_t)(1u << i);
	run.trace[run.point] = others;
}

/* A place where another CPU may run. */
static void take_turns(struct crowd_cpu *cpu)
{
	run.turn++;
	if (++run.point == TOO_LONG) {
		printf("# %s: CPU %u does not get on\n", run.scene->name, cpu->id);
		exit(1);
	}
	note_others();
	if (run.next < run.plan.n && run.point == run.plan.preempt[run.next].at)
		switch_to(run.plan.preempt[run.next++].cpu);
	else if (run.turn > PATIENCE || run.spins > SPINS)
		relax();
}

void interleave_access(const void *at, enum interleave_kind kind)
{
	struct crowd_cpu *cpu = &run.crowd.cpu[run.current];
	unsigned int table;

	if (!run.running)
		return;
	table = table_of(at);
	if (table == UINT32_MAX)
		return;
	if (kind != INTERLEAVE_PLAIN) {
		run.spins = at == run.last ? run.spins + 1 : 0;
		run.last = at;
		if (run.changed)
			watch_pages(cpu);
		take_turns(cpu);
		run.changed = kind == INTERLEAVE_CHANGE;
	}
	if (run.crowd.pool.frames[table].state != FRAME_USED)
		crowd_fail(cpu, "touched a table page that was freed");
}

static void act(void)
{
	unsigned int id = run.current;
	struct crowd_cpu *cpu = &run.crowd.cpu[id];

	run.scene->act[id](cpu);
	ept_sync(&cpu->gather);
	crowd_leave(cpu);
	run.done[id] = true;
	if (another(id) != id)
		switch_to(another(id));
	run.current = id;
	setcontext(&run.here);
}

static void start_cpu(unsigned int id)
{
	ucontext_t *c = &run.context[id];

	run.done[id] = false;
	crowd_join(&run.crowd.cpu[id]);
	getcontext(c);
	c->uc_stack.ss_sp = run.stack[id];
	c->uc_stack.ss_size = STACK;
	c->uc_link = NULL;
	makecontext(c, act, 0);
}

static void verify_end(struct crowd_cpu *cpu)
{
	struct ept_stats sum, also = { 0 };
	unsigned int used = 0;
	gfn_t where;
	const char *wrong = ept_check(&run.crowd.ept, &where);

	if (wrong)
		crowd_fail(cpu, "ept_check at %lu: %s", (long)where, wrong);
	if (run.crowd.also)
		ept_stats_sum(run.crowd.also, &also);
	ept_stats_sum(&run.crowd.ept, &sum);
	for (unsigned int i = 0; i < run.crowd.ntables; i++)
		used += run.crowd.pool.frames[i].state == FRAME_USED;
	if (used != sum.tables + also.tables)
		crowd_fail(cpu, "%u table pages in use, %ld linked", used,
			   (long)(sum.tables + also.tables));
}

/* Returns how many places there were in which another CPU could have run; 0: something is wrong. */
static unsigned int one_run(const struct plan *plan)
{
	struct crowd *c = &run.crowd;
	bool ok = true;

	crowd_init(c, &ept_format_toy, INTERLEAVE_TABLES, 1);
	c->relax = relax;
	for (unsigned int i = 0; i < CROWD_CPUS; i++)
		crowd_leave(&c->cpu[i]);
	run.scene->setup(&c->cpu[0]);
	run.plan = *plan;
	run.point = run.turn = run.next = 0;
	run.changed = false;
	for (unsigned int i = 0; i < run.scene->ncpus; i++)
		start_cpu(i);
	run.current = plan->first;
	run.running = true;
	swapcontext(&run.here, &run.context[run.current]);
	run.running = false;
	verify_end(&c->cpu[0]);
	run.scene->check(&c->cpu[0]);
	for (unsigned int i = 0; i < run.scene->ncpus && ok; i++) {
		ok = !c->cpu[i].fault[0];
		if (!ok)
			printf("# %s: %s\n", run.scene->name, c->cpu[i].fault);
	}
	crowd_fini(c);
	return ok ? run.point + 1 : 0;
}

static void tell(const struct plan *plan)
{
	printf("# CPU %u begins", plan->first);
	for (unsigned int i = 0; i < plan->n; i++)
		printf("; at access %u CPU %u goes on", plan->preempt[i].at, plan->preempt[i].cpu);
	printf("\n");
}

/* The next plan with the same number of preemptions, the last of them later or in favour of another
 * CPU; or with fewer. trace[n] is of the run with the first n. False: there is no more. */
static bool advance(struct plan *plan, uint8_t *const *trace, const unsigned int *points)
{
	while (plan->n > 0) {
		unsigned int i = plan->n - 1;

		do {
			if (++plan->preempt[i].cpu == run.scene->ncpus) {
				plan->preempt[i].cpu = 0;
				plan->preempt[i].at++;
			}
			if (plan->preempt[i].at >= points[i])
				break;
		} while (!(trace[i][plan->preempt[i].at] >> plan->preempt[i].cpu & 1));
		if (plan->preempt[i].at < points[i])
			return true;
		plan->n--;
	}
	return ++plan->first < run.scene->ncpus;
}

/* Depth first: a run shows where there can be one more preemption after its last. */
static bool all_plans(uint8_t *const *trace, uint64_t *runs)
{
	unsigned int points[PREEMPTIONS + 1];
	struct plan plan = { 0 };

	do {
		run.trace = trace[plan.n];
		points[plan.n] = one_run(&plan);
		++*runs;
		if (!points[plan.n]) {
			tell(&plan);
			return false;
		}
		if (plan.n < run.scene->preemptions) {
			/* Before the first place that counts: advance() takes it from there. */
			plan.preempt[plan.n].at = plan.n ? plan.preempt[plan.n - 1].at + 1 : 1;
			plan.preempt[plan.n].cpu = UINT32_MAX;
			plan.n++;
		}
	} while (advance(&plan, trace, points));
	return true;
}

bool interleave(const struct scene *scene)
{
	uint8_t *trace[PREEMPTIONS + 1];
	uint64_t runs = 0;
	bool ok;

	run.scene = scene;
	for (unsigned int i = 0; i < INTERLEAVE_CPUS; i++)
		run.stack[i] = malloc(STACK);
	for (unsigned int i = 0; i <= PREEMPTIONS; i++)
		trace[i] = malloc(TOO_LONG + 1);
	ok = all_plans(trace, &runs);
	printf("# %s: %lu orders\n", scene->name, (unsigned long)runs);
	for (unsigned int i = 0; i < INTERLEAVE_CPUS; i++)
		free(run.stack[i]);
	for (unsigned int i = 0; i <= PREEMPTIONS; i++)
		free(trace[i]);
	return ok;
}
