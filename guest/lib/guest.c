/* SPDX-License-Identifier: MIT */
/* The life of a payload: its share of the memory, the passes, the verdict. */
#include <stddef.h>

#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/line.h"
#include "guest/lib/state.h"

#define WRONGS_MAX 8 /* reports of one vCPU; the rest would say the same */

/* guest/start/entry.asm writes the header down field by field. */
_Static_assert(sizeof(struct abi_header) == ABI_HEADER_BYTES, "header");
_Static_assert(offsetof(struct abi_header, load_gpa) == 16, "header");
_Static_assert(offsetof(struct abi_header, entry) == 40, "header");
_Static_assert(offsetof(struct abi_header, stack_top_offset) == 60, "header");
_Static_assert(GUEST_END - GUEST_STACKS == ABI_VCPUS_MAX * GUEST_STACK_BYTES, "stacks");

struct vcpu vcpus[ABI_VCPUS_MAX];

static _Atomic unsigned int met;

_Noreturn void guest_done(struct vcpu *me, enum abi_verdict verdict, uint64_t pages_written)
{
	/* Whoever waits for this vCPU must not wait for ever. */
	atomic_store_explicit(&me->gone, true, memory_order_release);
	hypercall(ABI_DONE, verdict, me->steps, pages_written);
	cpu_stop();
}

void report_wrong(struct vcpu *me, uint64_t gpa, struct pattern p)
{
	const uint64_t *page = page_at(gpa);
	unsigned int i = page_mismatch(page, p);

	/* Right by now: a stale translation, or a page that changed under our eyes. There is
	 * no word to show, but the page. */
	if (i == PAGE_WORDS)
		print_text("wrong data that was right when it was read again");
	i %= PAGE_WORDS;
	hypercall(ABI_WRONG, gpa + i * sizeof(*page), pattern_word(p, i), page[i]);
	if (++me->wrongs == WRONGS_MAX)
		guest_done(me, ABI_WRONG_DATA, 0);
}

_Noreturn void report_broken(struct vcpu *me, uint64_t expected, uint64_t found)
{
	struct line line;

	line_begin(&line);
	line_text(&line, "hash chain broken: vCPU ");
	line_dec(&line, me->index);
	line_text(&line, " step ");
	line_dec(&line, me->steps);
	line_text(&line, " expected ");
	line_hex(&line, expected);
	line_text(&line, " found ");
	line_hex(&line, found);
	line_print(&line);
	guest_done(me, ABI_WRONG_CHAIN, 0);
}

/* NULL, or what is wrong with the memory that the parameters describe. */
static const char *work_refused(uint64_t region, uint64_t start, uint64_t bytes, uint64_t stride)
{
	if (start % PAGE_BYTES || stride % PAGE_BYTES || !stride)
		return "refused: start or stride is not a multiple of 4 KiB";
	if (start > region || bytes > region - start)
		return "refused: the work area does not lie in the region";
	if (start + bytes > GUEST_MAPPED_BYTES)
		return "refused: the work area reaches beyond 4 GiB";
	if (start < GUEST_END && start + bytes > GUEST_LOAD)
		return "refused: the work area covers the payload";
	return NULL;
}

/* Pages that remain for this vCPU, of so many used ones. */
static uint64_t share_of(uint64_t used, const struct vcpu *me)
{
	return used > me->index ? (used - me->index - 1) / me->vcpus + 1 : 0;
}

void vcpu_init(struct vcpu *me, unsigned int index)
{
	uint64_t start = param(ABI_P_WORK_START);
	uint64_t bytes = param(ABI_P_WORK_BYTES);
	uint64_t stride = param(ABI_P_STRIDE);
	const char *refused;

	me->index = index;
	me->vcpus = param(ABI_P_VCPUS);
	me->seed = param(ABI_P_SEED);
	me->region = param(ABI_P_REGION);
	refused = work_refused(me->region, start, bytes, stride);
	if (refused) {
		print_text(refused);
		guest_done(me, ABI_WRONG_DATA, 0);
	}
	me->first = start + index * stride;
	me->apart = me->vcpus * stride;
	me->pages = share_of(bytes < PAGE_BYTES ? 0 : (bytes - PAGE_BYTES) / stride + 1, me);
	me->chain = chain_begin(me->seed, index);
}

void payload_meet(const struct vcpu *me)
{
	atomic_fetch_add(&met, 1);
	while (atomic_load(&met) < me->vcpus)
		cpu_pause();
}

struct pattern pattern_plain(const struct vcpu *me, uint64_t k, uint64_t passes)
{
	(void)passes;
	return pattern_of(share_gpa(me, k), me->seed, VERSION_FIRST);
}

static void share_prepare(struct vcpu *me, const struct payload *payload)
{
	for (uint64_t k = 0; k < me->pages; k++)
		page_fill(page_at(share_gpa(me, k)), payload->pattern(me, k, 0));
}

/* Looks at each word, and gives the hypervisor its word for each page. */
static void share_verify(struct vcpu *me, const struct payload *payload, uint64_t passes,
			 uint64_t chain)
{
	for (uint64_t k = 0; k < me->pages; k++) {
		struct pattern p = payload->pattern(me, k, passes);

		chain = page_check(me, share_gpa(me, k), p, chain);
		hypercall(ABI_VOUCH, share_gpa(me, k), p.base, p.step);
	}
	if (me->index == 0)
		hypercall(ABI_OWN, GUEST_TABLES, GUEST_END - GUEST_TABLES, 0);
}

/* Of what must not change during pass n. */
static uint64_t state_seed(const struct vcpu *me, uint64_t n)
{
	return mix64(me->seed + me->index) + (n << 8);
}

static void state_verify(struct vcpu *me, uint64_t n)
{
	struct state_loss loss;
	struct line line;

	if (!state_lost(state_seed(me, n), &loss))
		return;
	line_begin(&line);
	line_text(&line, "state of vCPU ");
	line_dec(&line, me->index);
	line_text(&line, " lost: ");
	line_text(&line, loss.name);
	line_text(&line, " expected ");
	line_hex(&line, loss.expected);
	line_text(&line, " found ");
	line_hex(&line, loss.found);
	line_print(&line);
	guest_done(me, ABI_WRONG_CHAIN, 0);
}

/* The number of the pass is in a register and in memory, too, and becomes part of the chain. */
static uint64_t pass_begin(struct vcpu *me, uint64_t n, uint64_t chain)
{
	return chain_link(me, me->passes++, n, chain);
}

_Noreturn void payload_run(struct vcpu *me, const struct payload *payload)
{
	uint64_t chain = me->chain;
	uint64_t passes = 0;
	bool go_on;

	share_prepare(me, payload);
	state_plant(state_seed(me, 0));
	hypercall(ABI_READY, 0, 0, 0);
	if (payload->meet)
		payload_meet(me);
	do {
		chain = pass_begin(me, passes, chain);
		chain = payload->pass(me, passes, chain);
		go_on = hypercall(ABI_PASS, passes, chain, 0) == ABI_GO_ON;
		if (passes == 0 && me->index == 0)
			hypercall(ABI_MIGRATE, 0, 0, 0);
		state_verify(me, passes);
		state_plant(state_seed(me, ++passes));
	} while (go_on);
	chain = pass_begin(me, passes, chain);
	if (payload->settle)
		passes = payload->settle(me, passes);
	share_verify(me, payload, passes, chain);
	guest_done(me, me->wrongs ? ABI_WRONG_DATA : ABI_OK,
		   payload->written ? payload->written(me, passes) : 0);
}
