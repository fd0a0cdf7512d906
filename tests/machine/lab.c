/* SPDX-License-Identifier: MIT */
/* The laboratory of the in-machine cases: see tests/machine/lab.h. */
#include "tests/machine/lab.h"

#include "guest/lib/layout.h"
#include "hv/base/panic.h"
#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/mem/guest_memory.h"
#include "mm/machine.h"
#include "mm/percpu.h"

#define LAST_WORD (PAGE_SIZE / sizeof(uint64_t) - 1)
#define WRONG     UINT64_C(0xbadbadbadbadbad0)

/* --- the source --------------------------------------------------------------------------- */

static uint64_t page_to_send[MAX_CPUS][PAGE_SIZE / sizeof(uint64_t)] __attribute__((aligned(4096)));

/* What poke expects to find there. */
static uint64_t word_of(gfn_t gfn)
{
	return ((gfn << PAGE_SHIFT) + LAST_WORD * sizeof(uint64_t)) & (GIB - 1);
}

static void make_reply(const struct lab *lab, gfn_t gfn, struct page_reply *reply)
{
	uint64_t *page = page_to_send[cpu_id()];

	page[LAST_WORD] = lab->spoilt ? WRONG : word_of(gfn);
	*reply = (struct page_reply){
		.gfn = gfn,
		.frames = 1,
		.data = page,
	};
}

static bool lab_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	struct lab *lab = (struct lab *)source;

	if (lab->at_hand)
		make_reply(lab, gfn, reply);
	return lab->at_hand;
}

static int lab_request(struct page_source *source, unsigned int cpu, gfn_t gfn, uint64_t frames,
		       bool urgent)
{
	struct lab *lab = (struct lab *)source;
	static struct spinlock lock; /* protects the list */
	unsigned int n;

	(void)cpu;
	(void)urgent;
	spin_lock(&lock);
	n = atomic_load_explicit(&lab->asked, memory_order_relaxed);
	if (n < LAB_ASKED) {
		lab->asked_gfn[n] = gfn;
		lab->asked_frames[n] = frames;
	}
	atomic_store_explicit(&lab->asked, n + 1, memory_order_release);
	spin_unlock(&lock);
	return 0;
}

static const struct source_ops lab_ops = {
	.name = "lab",
	.now = lab_now,
	.request = lab_request,
};

const char *lab_make(struct lab *lab, const char *name, const struct run_config *config,
		     const struct boot_info *info)
{
	*lab = (struct lab){
		.source.ops = &lab_ops,
		.info = info,
		.config = *config,
		.begun = clock_now(),
	};
	lab->vm = vm_create(name, &lab->config, config->backing);
	if (!lab->vm)
		return "no memory for the VM";
	pager_init(&lab->vm->mem, &lab->source, PG_LEVEL_4K, 1, policy_of(POLICY_NEVER));
	return NULL;
}

const char *lab_end(struct lab *lab)
{
	const char *why;

	vm_stop(lab->vm);
	why = lab_check(lab);
	vm_destroy(lab->vm);
	return why;
}

const char *lab_run(const struct run_config *config, const struct boot_info *info,
		    const char *(*body)(struct lab *lab))
{
	static struct lab lab;
	const char *why, *end;

	TRY(lab_make(&lab, "lab", config, info));
	why = body(&lab);
	end = lab_end(&lab);
	return why ? why : end;
}

/* --- pages -------------------------------------------------------------------------------- */

const char *lab_fill(struct lab *lab, gfn_t gfn, enum pg_level level)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	struct ept_claim claim;

	if (ept_fill(me, gfn, level, &claim))
		return "a piece could not be filled";
	for (gfn_t i = 0; i < level_frames(level); i++)
		((uint64_t *)direct(hpa(claim.frame.v + (i << PAGE_SHIFT))))[LAST_WORD] =
			word_of(gfn + i);
	(void)ept_publish(me, &claim);
	return NULL;
}

const char *lab_fill_all(struct lab *lab, gfn_t gfn, gfn_t end, enum pg_level level)
{
	for (; gfn < end; gfn += level_frames(level))
		TRY(lab_fill(lab, gfn, level));
	return NULL;
}

void lab_write(gfn_t gfn, hpa_t frame, bool wrong)
{
	volatile uint64_t *page = direct(frame);

	page[LAST_WORD] = wrong ? WRONG : word_of(gfn);
}

void lab_free(hpa_t frame)
{
	if (frame_free(&machine_frames, frame, FRAME_ORDER_4K))
		panic("a frame was not the case's to free");
}

void lab_place(struct lab *lab, gfn_t gfn)
{
	struct page_reply reply;

	make_reply(lab, gfn, &reply);
	pager_place(&lab->vm->mem, cpu_id(), &reply);
}

struct ept_collapse_result lab_collapse(struct lab *lab, gfn_t gfn, uint64_t frames)
{
	struct ept_gather *g = &lab->vm->mem.gather[cpu_id()];
	struct ept_collapse_result result;

	ept_collapse_range(ept_cpu(&lab->vm->mem.ept, cpu_id()), gfn, frames, g, &result);
	ept_sync(g);
	return result;
}

/* --- counters ----------------------------------------------------------------------------- */

struct ept_stats lab_stats(const struct lab *lab)
{
	struct ept_stats stats;

	ept_stats_sum(&lab->vm->mem.ept, &stats);
	return stats;
}

const char *lab_leaves(const struct lab *lab, int64_t n4k, int64_t n2m, int64_t n1g)
{
	struct ept_stats s = lab_stats(lab);

	if (s.pages_4k == n4k && s.pages_2m == n2m && s.pages_1g == n1g)
		return NULL;
	con_printf("cleave: leaves: %lld of 4K, %lld of 2M, %lld of 1G; expected %lld, %lld, "
		   "%lld\n",
		   (long long)s.pages_4k, (long long)s.pages_2m, (long long)s.pages_1g,
		   (long long)n4k, (long long)n2m, (long long)n1g);
	return "the leaves are not those that should be there";
}

const char *lab_check(const struct lab *lab)
{
	struct ept_census census;
	gfn_t where;

	TRY(ept_check(&lab->vm->mem.ept, &where));
	ept_census(&lab->vm->mem.ept, 0, lab->config.region >> PAGE_SHIFT, &census);
	return lab_leaves(lab, (int64_t)census.kind[EPT_PRESENT][PG_LEVEL_4K],
			  (int64_t)census.kind[EPT_PRESENT][PG_LEVEL_2M],
			  (int64_t)census.kind[EPT_PRESENT][PG_LEVEL_1G]);
}

/* --- the guest ---------------------------------------------------------------------------- */

/* A payload that ran before left its data behind, and a load writes only what the file has. */
static const char *forget_image(struct lab *lab)
{
	static const uint8_t nothing[PAGE_SIZE];

	for (uint64_t at = GUEST_LOAD; at < GUEST_END; at += PAGE_SIZE)
		if (mem_page(&lab->vm->mem, at >> PAGE_SHIFT) &&
		    guest_write(&lab->vm->mem, gpa(at), nothing, PAGE_SIZE, GUEST_WAIT))
			return "the image could not be overwritten";
	return NULL;
}

const char *lab_start(struct lab *lab, const char *payload, uint64_t seed, uint64_t start,
		      uint64_t work, uint64_t stride)
{
	struct vm *vm = lab->vm;

	lab->config.seed = seed;
	lab->config.work_start = start;
	lab->config.work = work;
	lab->config.stride = stride;
	TRY(forget_image(lab));
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		vm->vcpu[i].wrong_count = 0;
		vm->vcpu[i].death = NULL;
		vm->vcpu[i].verdict = ABI_WRONG_DATA;
		atomic_store(&vm->vcpu[i].ready, false);
	}
	TRY(vm_load_payload_named(vm, lab->info, payload));
	atomic_store(&vm->over, 0);
	atomic_store(&vm->asked_to_finish, false);
	vm_start(vm);
	return NULL;
}

bool lab_turn(struct lab *lab)
{
	tlb_quiesce(&lab->vm->mem.tlb, cpu_id());
	if (ncpus == 1)
		(void)vm_turn(lab->vm);
	else
		cpu_relax();
	return cycles_to_us(clock_now() - lab->begun) / 1000 < lab->config.timeout_ms;
}

static const char *verdicts(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		if (vm->vcpu[i].run != VCPU_DONE)
			return vm->vcpu[i].death ? vm->vcpu[i].death : "a vCPU did not finish";
		if (vm->vcpu[i].verdict != ABI_OK || vm->vcpu[i].wrong_count)
			return "the guest found wrong data";
	}
	return NULL;
}

const char *lab_finish(struct lab *lab)
{
	unsigned int answered = 0;
	bool in_time = true;

	atomic_store(&lab->vm->asked_to_finish, true);
	while (in_time && !vm_over(lab->vm)) {
		if (answered < atomic_load_explicit(&lab->asked, memory_order_acquire) &&
		    answered < LAB_ASKED)
			lab_place(lab, lab->asked_gfn[answered++]);
		in_time = lab_turn(lab);
	}
	vm_stop(lab->vm);
	return in_time ? verdicts(lab->vm) : "the guest did not finish in time";
}

const char *lab_poke(struct lab *lab, uint64_t seed, uint64_t start, uint64_t work, uint64_t stride)
{
	TRY(lab_start(lab, "poke", seed, start, work, stride));
	return lab_finish(lab);
}

const char *lab_warm_up(struct lab *lab)
{
	TRY(lab_fill_all(lab, 1024, 1024 + lab->vm->nvcpus, PG_LEVEL_4K));
	return lab_poke(lab, POKE_SHARE, 1024 << PAGE_SHIFT,
			(uint64_t)lab->vm->nvcpus << PAGE_SHIFT, PAGE_SIZE);
}

uint64_t lab_faults(const struct lab *lab)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < lab->vm->nvcpus; i++)
		n += lab->vm->vcpu[i].stats.wait.faults;
	return n;
}
