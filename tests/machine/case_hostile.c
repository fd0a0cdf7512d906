/* SPDX-License-Identifier: MIT */
/* In-machine cases with a guest that does what it should not: guest/test/bad/. It gets the
 * architecture's answer or is stopped with a reason, and nobody else notices. */
#include "tests/machine/cases.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/string.h"
#include "mm/kmap.h"
#include "mm/percpu.h"
#include "mm/x86.h"
#include "tests/machine/lab.h"
#include "tests/machine/platform.h"

#define WORK  (8 * MIB)
#define PAGES 16

#define STEP     13    /* of the sweeps over MSRs and ports, but for one batch of each maker */
#define STEP_KVM 131   /* the same under KVM, where an exit may take milliseconds */
#define LONG_MS  60000 /* for the sweeps, by the clock of an emulator */
#define SHORT_MS 300   /* for what never ends */

struct outcome {
	enum vcpu_run_state run;
	uint64_t verdict;
	const char *death;
};

#define GOES_ON                                                                                    \
	{                                                                                          \
		VCPU_DONE, ABI_OK, NULL                                                            \
	}
#define NEVER_ENDS                                                                                 \
	{                                                                                          \
		VCPU_RUNNING, 0, NULL                                                              \
	}
#define WILD                                                                                       \
	{                                                                                          \
		VCPU_DEAD, 0, "it accessed an address outside of its memory"                       \
	}
/* These have cases of their own, which not each emulator survives. */
#define TRIPLE_FAULT 1
#define PAGING       27
#define STEPS        31
#define BREAKPOINTS  32

#define WATCHED 35 /* stacks */
#define ENDLESS 36 /* likewise, of #DB's own */
#define ALIGNED 37 /* stacks, which they are not */

#define CONTROL 9  /* values of control registers */
#define CALLS   17 /* instructions of hypervisors */
#define PLANT   33 /* values in registers, which */
#define FIND    34 /* looks for in another VM */

/* What becomes of the payload `bad`, by its seed. */
static const struct outcome outcomes[] = {
	{ VCPU_HALTED, 0, NULL },
	{ VCPU_DEAD, 0, "triple fault" },
	WILD,
	GOES_ON, /* MSRs */
	GOES_ON, /* a hypervisor's instructions */
	GOES_ON, /* ports */
	GOES_ON, /* hypercalls */
	GOES_ON, /* registers */
	NEVER_ENDS,
	GOES_ON, /* control registers */
	GOES_ON, /* exceptions */
	{ VCPU_DONE, ABI_WRONG_DATA, NULL },
	{ VCPU_DONE, ABI_WRONG_DATA, NULL },
	{ VCPU_DONE, ABI_WRONG_TRAP, NULL },
	GOES_ON,    /* all MSRs */
	GOES_ON,    /* all ports */
	GOES_ON,    /* all leaves of CPUID */
	GOES_ON,    /* all instructions of hypervisors */
	GOES_ON,    /* task switches, far calls */
	WILD,       /* at 1 TiB */
	WILD,       /* at the end of all addresses */
	WILD,       /* page tables */
	WILD,       /* a descriptor table */
	WILD,       /* a stack */
	GOES_ON,    /* a stack that was not there yet */
	NEVER_ENDS, /* page faults */
	GOES_ON,    /* debug exceptions */
	GOES_ON,    /* paging without protection */
	{ VCPU_DONE, ABI_WRONG_TRAP, NULL },
	GOES_ON,    /* calls from user space */
	NEVER_ENDS, /* #AC at CPL 3 */
	GOES_ON,    /* single steps */
	GOES_ON,    /* breakpoints */
	GOES_ON,    /* values in registers */
	GOES_ON,    /* and none in another VM */
	GOES_ON,    /* a watched stack */
	NEVER_ENDS, /* a watched stack of #DB's own */
	{ VCPU_DEAD, 0, "an exception meets itself on its way without end" },
};

/* QEMU's SVM takes values for CR0 that hardware raises #GP for, and finds out at the next entry. */
static bool was_refused(const struct vcpu *vcpu, uint64_t seed)
{
	return (seed == CONTROL || seed == PAGING) && vendor == &vendor_svm &&
	       vcpu->run == VCPU_DEAD && !strcmp(vcpu->death, "the CPU refused to run it");
}

static const char *judge(const struct vcpu *vcpu, uint64_t seed)
{
	const struct outcome *expected = &outcomes[seed];

	if (was_refused(vcpu, seed))
		return NULL;
	if (vcpu->run != expected->run)
		return vcpu->death ? vcpu->death : "the guest did not end as it should";
	if (vcpu->run == VCPU_DONE && vcpu->verdict != expected->verdict)
		return "the guest's verdict is another";
	if (expected->death && strcmp(vcpu->death, expected->death))
		return vcpu->death;
	return NULL;
}

static bool has_a_case_of_its_own(uint64_t seed)
{
	return seed == TRIPLE_FAULT || seed == PAGING || seed == STEPS || seed == BREAKPOINTS ||
	       seed == WATCHED || seed == ENDLESS || seed == ALIGNED;
}

/* What not even the machine itself refuses, a guest may do as well. */
static uint64_t lax_of_this_machine(void)
{
	unsigned int lax = platform_lax();

	if (lax)
		con_printf("cleave: this machine does other than the manuals say:%s%s%s%s\n",
			   lax & LAX_CR0 ? " takes bit 63 of CR0;" : "",
			   lax & LAX_CR4 ? " takes bit 63 of CR4;" : "",
			   lax & LAX_CR8 ? " takes CR8=16;" : "",
			   lax & LAX_CALL ? " turns the other maker's call into its own;" : "");
	return lax;
}

/* `step`: see STEP; two evils have another use for it. */
static const char *start(struct lab *lab, uint64_t seed, uint64_t step)
{
	if (seed == CONTROL || seed == CALLS)
		step = 1 + lax_of_this_machine();
	return lab_start(lab, "bad", seed, WORK, 4 * MIB, step * PAGE_SIZE);
}

/* Lets it run until it is over, or its time is. `beside`: another one that runs, or NULL. */
static const char *await(struct lab *lab, uint64_t seed, struct lab *beside)
{
	uint64_t ms = outcomes[seed].run == VCPU_RUNNING ? SHORT_MS : LONG_MS;
	uint64_t begun = clock_now();
	const char *why;

	while (!vm_over(lab->vm) && cycles_to_us(clock_now() - begun) / 1000 < ms) {
		(void)lab_turn(lab);
		if (beside)
			(void)lab_turn(beside);
	}
	vm_stop(lab->vm);
	why = judge(&lab->vm->vcpu[0], seed);
	if (why)
		con_printf("cleave: hostile guest %llu: %s\n", (unsigned long long)seed, why);
	return why;
}

/* The hypervisor is whole, and an honest guest runs as ever. */
static const char *unharmed(struct lab *lab)
{
	uint64_t bad_bits;

	MUST(!kmap_check(&bad_bits), "root mode's own tables are not what they should be");
	return lab_poke(lab, POKE_SHARE, WORK, PAGES * PAGE_SIZE, PAGE_SIZE);
}

static uint64_t usual_step(void)
{
	return platform_lax() & LAX_CALL ? STEP_KVM : STEP;
}

/* All MSRs and ports in one batch of each maker: in Bochs, where an exit takes the least time. */
static const char *hostile_guest(struct lab *lab)
{
	uint64_t step = ncpus == 1 && lab->info->config.exit == EXIT_BOCHS ? 1 : usual_step();

	lab->at_hand = true;
	for (uint64_t seed = 0; seed < ARRAY_LEN(outcomes); seed++) {
		if (has_a_case_of_its_own(seed))
			continue;
		TRY(start(lab, seed, step));
		TRY(await(lab, seed, NULL));
		TRY(unharmed(lab));
	}
	return NULL;
}

static bool is_bochs_svm(const struct lab *lab)
{
	return lab->info->config.exit == EXIT_BOCHS && vendor == &vendor_svm;
}

static const char *alone(struct lab *lab, uint64_t seed)
{
	lab->at_hand = true;
	TRY(start(lab, seed, STEP));
	TRY(await(lab, seed, NULL));
	return unharmed(lab);
}

static const char *triple_fault(struct lab *lab)
{
	if (is_bochs_svm(lab))
		return "skip: Bochs 2.7 panics on the shutdown of an SVM guest";
	return alone(lab, TRIPLE_FAULT);
}

static const char *paging_without_protection(struct lab *lab)
{
	if (is_bochs_svm(lab))
		return "skip: Bochs 2.7 panics when an SVM guest clears CR0.PE while paging";
	return alone(lab, PAGING);
}

static const char *single_steps(struct lab *lab)
{
	if (is_bochs_svm(lab))
		return "skip: Bochs 2.7 takes an SVM guest's single step to the host's first instruction";
	return alone(lab, STEPS);
}

static const char *breakpoints(struct lab *lab)
{
	if (is_bochs_svm(lab))
		return "skip: Bochs 2.7 takes an SVM guest's single step to the host's first instruction";
	return alone(lab, BREAKPOINTS);
}

/* QEMU's software CPU leaves the push of an exception's frame where a data breakpoint is met, keeps
 * the meeting in mind, and asserts at the next push: it needs no hypervisor for that. */
static const char *watched_stack(struct lab *lab)
{
	if (platform_is_tcg())
		return "skip: QEMU asserts when an exception is pushed where a data breakpoint is";
	return alone(lab, WATCHED);
}

static const char *watched_stack_of_debug_exceptions(struct lab *lab)
{
	if (platform_is_tcg())
		return "skip: QEMU asserts when an exception is pushed where a data breakpoint is";
	return alone(lab, ENDLESS);
}

static const char *alignment_checks_without_end(struct lab *lab)
{
	if (platform_is_tcg())
		return "skip: QEMU checks no alignment";
	return alone(lab, ALIGNED);
}

/* The one that the section names by its seed. */
static const char *hostile_guest_alone(struct lab *lab)
{
	uint64_t seed = lab->config.seed;

	MUST(seed < ARRAY_LEN(outcomes), "there is no such evil");
	return alone(lab, seed);
}

/* --- two VMs at once ------------------------------------------------------------------------ */

/* The VM's one vCPU runs on another CPU than is usual. */
static void move_to_cpu(struct vm *vm, unsigned int cpu)
{
	vm->shared_cpu[cpu] = vm->shared_cpu[vm->vcpu[0].cpu];
	vm->vcpu[0].cpu = cpu;
}

/* The honest one reads and writes its pages all the while. */
static const char *side_by_side(struct lab *hostile, struct lab *honest, uint64_t seed)
{
	const char *why, *verdict;

	TRY(lab_start(honest, "poke", POKE_SHARE | POKE_AGAIN | POKE_WRITE, WORK, PAGES * PAGE_SIZE,
		      PAGE_SIZE));
	why = start(hostile, seed, usual_step());
	if (!why)
		why = await(hostile, seed, honest);
	verdict = lab_finish(honest);
	MUST(!why, why);
	MUST(!verdict, verdict);
	MUST(honest->vm->vcpu[0].steps >= PAGES, "the honest guest did nothing");
	return NULL;
}

static const char *one_after_the_other(struct lab *hostile, struct lab *honest, uint64_t seed)
{
	TRY(start(hostile, seed, usual_step()));
	TRY(await(hostile, seed, NULL));
	return unharmed(honest);
}

/* What one VM leaves in a CPU's registers the next one does not find there. */
static const char *registers_of_another_vm(struct lab *hostile)
{
	static struct lab next;
	const char *why, *end;

	TRY(lab_make(&next, "next", &hostile->config, hostile->info));
	hostile->at_hand = next.at_hand = true;
	why = start(hostile, PLANT, STEP);
	why = why ? why : await(hostile, PLANT, NULL);
	why = why ? why : start(&next, FIND, STEP);
	why = why ? why : await(&next, FIND, NULL);
	end = lab_end(&next);
	return why ? why : end;
}

/* With 2 CPUs one waits, spinning, while the guest runs on the other. If both are threads on one
 * CPU, and that is emulated, it takes more than a quarter of an hour. */
static bool takes_too_long(void)
{
	return ncpus == 2 && platform_is_tcg() && (platform_lax() & LAX_CALL);
}

static const char *hostile_guest_beside_honest(struct lab *hostile)
{
	static struct lab honest;
	const char *why, *end;

	if (takes_too_long())
		return "skip: under KVM in QEMU without KVM, 2 CPUs take more than 17 minutes";
	TRY(lab_make(&honest, "honest", &hostile->config, hostile->info));
	hostile->at_hand = honest.at_hand = true;
	if (ncpus > 2)
		move_to_cpu(honest.vm, 2);
	why = NULL;
	for (uint64_t seed = 0; !why && seed < ARRAY_LEN(outcomes); seed++) {
		if (has_a_case_of_its_own(seed))
			continue;
		why = ncpus > 2 ? side_by_side(hostile, &honest, seed)
				: one_after_the_other(hostile, &honest, seed);
	}
	end = lab_end(&honest);
	return why ? why : end;
}

CASES_HOSTILE(LAB_JOB)
