/* SPDX-License-Identifier: MIT */
/* In-machine cases of clones: two VMs with one memory, which run at once and write. */
#include "hv/vm/clone.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/mem/private.h"
#include "hv/mem/reverse.h"
#include "hv/mem/guest_memory.h"
#include "hv/base/string.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "tests/machine/cases.h"
#include "tests/machine/hoard.h"
#include "tests/machine/lab.h"

#define WORK  (8 * MIB)
#define RANGE (WORK >> PAGE_SHIFT)
#define PAGES 64 /* that the guests write */
#define LOST  (RANGE + 3 * RANGE_FRAMES)

static struct lab other; /* the clone's, beside the original's */

/* Two leaves of 2 MiB, a range of 4 KiB with a hole, and one page lost. */
static const char *furnish(struct lab *lab)
{
	lab->at_hand = true;
	TRY(lab_fill_all(lab, RANGE, RANGE + 2 * RANGE_FRAMES, PG_LEVEL_2M));
	TRY(lab_fill_all(lab, RANGE + 2 * RANGE_FRAMES, RANGE + 2 * RANGE_FRAMES + 100,
			 PG_LEVEL_4K));
	TRY(lab_fill_all(lab, RANGE + 2 * RANGE_FRAMES + 101, RANGE + 3 * RANGE_FRAMES,
			 PG_LEVEL_4K));
	MUST(!guest_poison(&lab->vm->mem, LOST, 1), "a page could not be lost");
	return NULL;
}

static const char *make_clone(struct lab *lab, enum ept_share share)
{
	other = *lab;
	other.vm = vm_clone(lab->vm, "clone", share);
	MUST(other.vm, "no clone");
	other.vm->config = &other.config;
	return NULL;
}

static void end_clone(void)
{
	if (other.vm) {
		vm_stop(other.vm);
		vm_destroy(other.vm);
	}
	other.vm = NULL;
}

/* The original goes first; the clone has its place. */
static const char *outlive(struct lab *lab)
{
	for (unsigned int i = 0; i < lab->vm->nvcpus; i++)
		vm_place_vcpu(other.vm, i, lab->vm->vcpu[i].cpu);
	vm_destroy(lab->vm);
	lab->vm = other.vm;
	lab->vm->config = &lab->config;
	other.vm = NULL;
	return lab_check(lab);
}

/* --- the same ------------------------------------------------------------------------------ */

static const void *contents(const struct ept_state *s, gfn_t gfn)
{
	return direct(hpa(s->frame.v + ((gfn & (level_frames(s->level) - 1)) << PAGE_SHIFT)));
}

static const char *compare_page(const struct vm *a, const struct vm *b, gfn_t gfn)
{
	struct ept_state s = ept_lookup(&a->mem.ept, gfn), t = ept_lookup(&b->mem.ept, gfn);

	MUST(s.kind == t.kind && s.level == t.level, "a page is of another kind in the clone");
	MUST(s.perms == t.perms && s.memtype == t.memtype, "its rights differ in the clone");
	MUST(s.kind != EPT_PRESENT ||
		     (s.frame.v == t.frame.v && s.cow && t.cow && s.withheld & t.withheld & EPT_W),
	     "a page of the two can be written without a copy");
	return NULL;
}

static const char *compare_all(const struct vm *a, const struct vm *b)
{
	for (gfn_t gfn = 0; gfn < a->mem.frames; gfn++)
		TRY(compare_page(a, b, gfn));
	return NULL;
}

/* Which VMs a lookup found. */
struct found {
	unsigned int original, clone, elsewhere;
	gfn_t gfn;
};

static void note_found(void *ctx, const struct ept_mapping *m)
{
	struct found *f = ctx;

	if (m->gfn != f->gfn)
		f->elsewhere++;
	else if (mem_of(m->ept) == &other.vm->mem)
		f->clone++;
	else
		f->original++;
}

static const char *found_by(const struct lab *lab, gfn_t gfn, unsigned int original,
			    unsigned int clone)
{
	struct ept_state s = ept_lookup(&lab->vm->mem.ept, gfn);
	struct found f = { .gfn = gfn };
	hpa_t frame = direct_hpa(contents(&s, gfn));
	unsigned int n = reverse_find(frame, note_found, &f);

	MUST(n == original + clone && f.original == original && f.clone == clone && !f.elsewhere,
	     "a frame is not found where it is mapped");
	return NULL;
}

/* Who maps the frames of a page: before and after the clone writes it. */
static const char *look_up(struct lab *lab)
{
	gfn_t gfn = RANGE + 2 * RANGE_FRAMES + 7;
	hpa_t block = backing_frame(&lab->vm->mem.backing, RANGE + 2 * RANGE_FRAMES);
	uint64_t word = 1;

	TRY(found_by(lab, gfn, 1, 1));
	TRY(found_by(lab, RANGE + 100, 1, 1));
	MUST(ept_rmap_refs(&machine_rmap, block) == 2, "the block does not count both");
	MUST(reverse_count(block, FRAME_ORDER_2M) == 2 * 512, "entries of the block differ");
	MUST(!guest_write(&other.vm->mem, gpa(gfn << PAGE_SHIFT), &word, sizeof(word), GUEST_WAIT),
	     "the clone could not be written");
	TRY(found_by(lab, gfn, 1, 0));
	TRY(found_by(&other, gfn, 0, 1));
	MUST(reverse_count(block, FRAME_ORDER_2M) == 2 * 512 - 1, "a copied page still counts");
	MUST(*(const uint64_t *)mem_page(&lab->vm->mem, gfn) != word,
	     "the write is in the original");
	MUST(*(const uint64_t *)mem_page(&other.vm->mem, gfn) == word,
	     "the write is not in the clone");
	return NULL;
}

static const char *clone_has_the_same_memory(struct lab *lab)
{
	TRY(furnish(lab));
	TRY(make_clone(lab, EPT_PRIVATE));
	TRY(compare_all(lab->vm, other.vm));
	TRY(lab_check(&other));
	TRY(look_up(lab));
	return lab_check(&other);
}

/* --- the price ----------------------------------------------------------------------------- */

static const char *clone_of_a_gib_costs_tables(struct lab *lab)
{
	uint64_t reserve = GIB_FRAMES / 512 + (uint64_t)ncpus * EPT_GATHER_MAX + 16;
	uint64_t before, used, word = 1;
	struct ept_stats s;

	TRY(lab_fill(lab, 0, PG_LEVEL_1G));
	table_cache_drain(&machine_tables);
	before = machine_frames.free;
	TRY(make_clone(lab, EPT_PRIVATE));
	used = before - machine_frames.free;
	s = lab_stats(&other);
	con_printf("cleave: a clone of 1 GiB: %lld table pages, %llu frames with its reserve of "
		   "tables and the VM itself\n",
		   (long long)s.tables, (unsigned long long)used);
	MUST(s.tables == lab_stats(lab).tables, "the clone has more tables than the original");
	MUST(used <= reserve + 128, "the clone took memory");
	TRY(lab_leaves(&other, 0, 0, 1));
	MUST(!guest_write(&other.vm->mem, gpa(GIB / 2), &word, sizeof(word), GUEST_WAIT),
	     "no write");
	MUST(other.vm->mem.singles == 1 && !lab->vm->mem.singles,
	     "one write did not copy one page");
	TRY(lab_leaves(&other, 512, 511, 0));
	return lab_leaves(lab, 0, 0, 1);
}

/* --- both run ------------------------------------------------------------------------------ */

static bool turn_both(struct lab *lab)
{
	if (other.vm->vcpu[0].cpu == 0)
		(void)vm_turn(other.vm);
	tlb_quiesce(&other.vm->mem.tlb, cpu_id());
	return lab_turn(lab);
}

static const char *run_both(struct lab *lab, uint64_t us)
{
	uint64_t until = clock_now() + us_to_cycles(us);

	while (clock_now() < until || !vm_all_ready(lab->vm) || !vm_all_ready(other.vm))
		MUST(turn_both(lab), "the guests were not ready in time");
	atomic_store(&lab->vm->asked_to_finish, true);
	atomic_store(&other.vm->asked_to_finish, true);
	while (!vm_over(lab->vm) || !vm_over(other.vm))
		MUST(turn_both(lab), "the guests did not finish in time");
	TRY(lab_finish(&other));
	return lab_finish(lab);
}

static const char *start_both(struct lab *lab)
{
	TRY(lab_start(lab, "writer", 1, WORK, PAGES << PAGE_SHIFT, PAGE_SIZE));
	return lab_start(&other, "writer", 2, WORK, PAGES << PAGE_SHIFT, PAGE_SIZE);
}

/* Of the pages that both wrote no frame is shared; of the others each is. */
static const char *apart(struct vm *a, struct vm *b)
{
	for (gfn_t gfn = RANGE; gfn < RANGE + 2 * RANGE_FRAMES; gfn++) {
		struct ept_state s = ept_lookup(&a->mem.ept, gfn), t = ept_lookup(&b->mem.ept, gfn);
		bool same = contents(&s, gfn) == contents(&t, gfn);

		MUST(same == (gfn >= RANGE + PAGES), "frames are shared, or are not");
		MUST(gfn >= RANGE + PAGES || (!s.cow && !t.cow && !s.withheld && !t.withheld),
		     "a page that was written is still write-protected");
	}
	return NULL;
}

static const char *clones_write_apart(struct lab *lab)
{
	struct pager_stats s, t;

	TRY(furnish(lab));
	TRY(make_clone(lab, EPT_PRIVATE));
	TRY(start_both(lab));
	TRY(run_both(lab, 20000));
	TRY(apart(lab->vm, other.vm));
	pager_sum(&lab->vm->mem, &s);
	pager_sum(&other.vm->mem, &t);
	con_printf("cleave: copied %llu and %llu pages, reused %llu and %llu\n",
		   (unsigned long long)s.copied, (unsigned long long)t.copied,
		   (unsigned long long)s.reused, (unsigned long long)t.reused);
	MUST(s.copied == lab->vm->mem.singles && t.copied <= other.vm->mem.singles,
	     "copies differ from the frames");
	MUST(s.copied + t.copied >= PAGES, "pages were written without a copy");
	MUST(s.reused + t.reused, "nobody kept a frame that was its own again");
	return lab_check(&other);
}

/* The original goes first; its blocks stay as long as the clone needs them. */
static const char *clone_outlives_the_original(struct lab *lab)
{
	struct pager_stats s, t;
	struct vm *clone;

	TRY(furnish(lab));
	TRY(make_clone(lab, EPT_PRIVATE));
	TRY(start_both(lab));
	TRY(run_both(lab, 2000));
	TRY(outlive(lab));
	clone = lab->vm;
	pager_sum(&clone->mem, &s);
	TRY(lab_poke(lab, POKE_WRITE, WORK + MIB, MIB, PAGE_SIZE));
	pager_sum(&clone->mem, &t);
	MUST(t.copied == s.copied, "pages were copied that nobody else refers to");
	MUST(t.reused >= s.reused + MIB / PAGE_SIZE, "pages were written as if they were its own");
	TRY(found_by(lab, RANGE + 300, 1, 0));
	return lab_poke(lab, POKE_SHARE, RANGE_FRAMES * 2 * PAGE_SIZE + WORK, 100 * PAGE_SIZE,
			PAGE_SIZE);
}

/* Of the counters that `mover` has in its pages. */
static uint64_t sum_of(const struct vm *vm)
{
	uint64_t sum = 0;

	for (gfn_t gfn = RANGE; gfn < RANGE + PAGES; gfn++) {
		const uint64_t *page = mem_page(&vm->mem, gfn);

		for (unsigned int i = 0; i < ABI_VCPUS_MAX; i++)
			sum += page[i];
	}
	return sum;
}

/* Can any of the pages be written without a copy? */
static bool writable(const struct vm *vm)
{
	for (gfn_t gfn = RANGE; gfn < RANGE + PAGES; gfn++)
		if (!ept_lookup(&vm->mem.ept, gfn).cow)
			return true;
	return false;
}

/* One clone, while the original writes: what it holds does not change. */
static const char *clone_and_watch(struct lab *lab)
{
	struct ept_cpu *me = ept_cpu(&lab->vm->mem.ept, cpu_id());
	uint64_t until = clock_now() + us_to_cycles(3000), sum;
	int64_t flushes = me->stats.syncs + writable(lab->vm);

	TRY(make_clone(lab, EPT_PRIVATE));
	MUST(me->stats.syncs >= flushes && !lab->vm->mem.gather[cpu_id()].owed,
	     "the original may still write to what it shares");
	sum = sum_of(other.vm);
	while (clock_now() < until)
		MUST(turn_both(lab) && !lab->vm->over, "the guest ended");
	MUST(sum_of(other.vm) == sum, "a write of the original is in the clone");
	return lab_check(&other);
}

/* The original goes on writing while it is cloned, again and again, and does not lose a write. */
static const char *clone_of_a_running_vm(struct lab *lab)
{
	const char *why = NULL;

	TRY(furnish(lab));
	TRY(lab_start(lab, "mover", 5, WORK, PAGES << PAGE_SHIFT, PAGE_SIZE));
	while (!vm_all_ready(lab->vm))
		MUST(lab_turn(lab), "the guest was not ready in time");
	for (unsigned int i = 0; !why && i < 20; i++) {
		why = clone_and_watch(lab);
		end_clone();
	}
	return why ? why : lab_finish(lab);
}

/* --- chains -------------------------------------------------------------------------------- */

static const char *write_word(struct vm *vm, gfn_t gfn, uint64_t word)
{
	return guest_write(&vm->mem, gpa(gfn << PAGE_SHIFT), &word, sizeof(word), GUEST_WAIT)
		       ? "a page could not be written"
		       : NULL;
}

static bool has_word(struct vm *vm, gfn_t gfn, uint64_t word)
{
	return *(const uint64_t *)mem_page(&vm->mem, gfn) == word;
}

/* A single frame that three VMs share, and that goes through all hands. */
static const char *three_hands(struct lab *lab, struct vm *third)
{
	gfn_t gfn = RANGE + 9;
	hpa_t frame = ept_lookup(&other.vm->mem.ept, gfn).frame;

	MUST(frame_of(&machine_frames, frame)->refs == 2,
	     "two VMs map it, and that is not counted");
	TRY(write_word(third, gfn, 3));
	MUST(frame_of(&machine_frames, frame)->refs == 1, "it is not one VM's alone");
	TRY(write_word(other.vm, gfn, 4));
	MUST(ept_lookup(&other.vm->mem.ept, gfn).frame.v == frame.v, "what was its own was copied");
	MUST(has_word(lab->vm, gfn, 1) && has_word(other.vm, gfn, 4) && has_word(third, gfn, 3),
	     "a write leaked");
	return NULL;
}

static const char *clone_of_a_clone(struct lab *lab)
{
	struct vm *third;
	const char *why;

	TRY(furnish(lab));
	TRY(write_word(lab->vm, RANGE + 9, 1));
	TRY(make_clone(lab, EPT_PRIVATE));
	TRY(write_word(other.vm, RANGE + 9, 2));
	TRY(write_word(other.vm, RANGE + 10, 2));
	third = vm_clone(other.vm, "third", EPT_PRIVATE);
	MUST(third, "no clone of the clone");
	why = three_hands(lab, third);
	/* The one in the middle goes first: its single frame is the third's. */
	end_clone();
	if (!why && !has_word(third, RANGE + 10, 2))
		why = "a frame went with a VM while another one maps it";
	vm_destroy(third);
	return why;
}

/* --- shared -------------------------------------------------------------------------------- */

static const char *read_all(struct vm *vm, gfn_t gfn, gfn_t end)
{
	uint64_t found;

	for (; gfn < end; gfn++) {
		gpa_t at = gpa(((gfn + 1) << PAGE_SHIFT) - sizeof(found));

		MUST(!guest_read(&vm->mem, at, &found, sizeof(found), GUEST_WAIT), "no page came");
		MUST(found == (at.v & (GIB - 1)), "a VM reads what the other one did not write");
	}
	return NULL;
}

/* What arrives in one of them has arrived for both; nothing is copied. */
static const char *shared_clone(struct lab *lab)
{
	gfn_t absent = RANGE + 3 * RANGE_FRAMES + 64;
	struct ept_state s, t;

	TRY(furnish(lab));
	TRY(make_clone(lab, EPT_SHARED));
	MUST(!vm_clone(lab->vm, "private", EPT_PRIVATE), "a private clone of shared memory");
	TRY(write_word(other.vm, RANGE + 5, 7));
	MUST(has_word(lab->vm, RANGE + 5, 7), "a write of the clone is not in the original");
	TRY(read_all(other.vm, absent, absent + 8));
	TRY(read_all(lab->vm, absent + 8, absent + 16));
	lab->spoilt = true; /* nobody is asked again */
	TRY(read_all(lab->vm, absent, absent + 16));
	TRY(read_all(other.vm, absent, absent + 16));
	lab->spoilt = false;
	s = ept_lookup(&lab->vm->mem.ept, absent);
	t = ept_lookup(&other.vm->mem.ept, absent);
	MUST(s.frame.v == t.frame.v && !lab->vm->mem.singles && !other.vm->mem.singles,
	     "a page was copied");
	TRY(found_by(lab, absent, 1, 1));
	/* The clone inherits the memory. */
	TRY(outlive(lab));
	TRY(read_all(lab->vm, absent + 16, absent + 32));
	return lab_poke(lab, POKE_WRITE, WORK + MIB, MIB, PAGE_SIZE);
}

/* --- out of memory ------------------------------------------------------------------------- */

/* The clone writes, and stops; the original reads, and does not notice. */
static const char *starve(struct lab *lab)
{
	TRY(lab_start(lab, "poke", POKE_ALL | POKE_AGAIN, WORK + PAGE_SIZE, MIB, PAGE_SIZE));
	TRY(lab_start(&other, "writer", 2, WORK, PAGES << PAGE_SHIFT, PAGE_SIZE));
	hoard_take(FRAME_ORDER_4K);
	while (!vm_over(other.vm))
		MUST(turn_both(lab) && !lab->vm->over, "a vCPU goes on without its copy");
	vm_stop(other.vm);
	for (unsigned int i = 0; i < other.vm->nvcpus; i++)
		MUST(other.vm->vcpu[i].run == VCPU_DEAD && other.vm->vcpu[i].death &&
			     !strcmp(other.vm->vcpu[i].death,
				     "there is no memory for its own copy of a page"),
		     "it did not stop for the want of memory");
	TRY(lab_check(&other));
	return lab_finish(lab);
}

static const char *clone_without_memory(struct lab *lab)
{
	const char *why, *gave;

	TRY(furnish(lab));
	TRY(make_clone(lab, EPT_PRIVATE));
	why = starve(lab);
	gave = hoard_give();
	TRY(why ? why : gave);
	TRY(read_all(other.vm, RANGE + 1, RANGE + 2 * RANGE_FRAMES));
	/* The clone gone, the original needs no copies. */
	end_clone();
	return lab_poke(lab, POKE_WRITE, WORK, PAGES << PAGE_SHIFT, PAGE_SIZE);
}

/* Whatever the order in which they end, everything is free again. */
static const char *run_case(const struct run_config *config, const struct boot_info *info,
			    const char *(*body)(struct lab *lab))
{
	const char *why;
	uint64_t before;

	table_cache_drain(&machine_tables);
	before = machine_frames.free;
	other.vm = NULL;
	why = lab_run(config, info, body);
	end_clone();
	table_cache_drain(&machine_tables);
	if (!why && machine_frames.free != before)
		why = "frames were lost";
	return why;
}

#define JOB(name)                                                                                  \
	const char *name##_job(const struct run_config *config, const struct boot_info *info)      \
	{                                                                                          \
		return run_case(config, info, name);                                               \
	}
CASES_CLONE(JOB)
