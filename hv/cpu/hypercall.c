/* SPDX-License-Identifier: MIT */
/* Hypercalls: hv/abi.h. The arguments are foreign input. */
#include "hv/abi.h"
#include "hv/base/console.h"
#include "hv/mem/guest_memory.h"
#include "hv/base/trace.h"
#include "hv/cpu/vcpu.h"
#include "hv/cpu/vm.h"

#define WRONG_SHOWN 4 /* lines of wrong data that one vCPU may print */

static uint64_t call_param(const struct vcpu *vcpu, uint64_t id)
{
	const struct run_config *c = vcpu->vm->config;

	switch (id) {
	case ABI_P_SEED:
		return c->seed;
	case ABI_P_REGION:
		return c->region;
	case ABI_P_WORK_START:
		return c->work_start;
	case ABI_P_WORK_BYTES:
		return c->work;
	case ABI_P_STRIDE:
		return c->stride;
	case ABI_P_VCPUS:
		return vcpu->vm->nvcpus;
	default:
		return ABI_BAD;
	}
}

/* False: a page of the text has not arrived; *missing lies in it. */
static bool read_text(const struct memory *mem, uint64_t from, uint64_t bytes, char *text,
		      gpa_t *missing)
{
	for (uint64_t i = 0; i < bytes; i++) {
		gpa_t at = gpa(from + i);
		const char *page = mem_page(mem, gpa_to_gfn(at));
		char c;

		if (!page) {
			*missing = at;
			return false;
		}
		c = page[at.v & (PAGE_SIZE - 1)];
		text[i] = c >= ' ' && c <= '~' ? c : ' ';
	}
	return true;
}

static enum call_answer call_puts(struct vcpu *vcpu, uint64_t from, uint64_t bytes, gpa_t *missing)
{
	uint64_t region = vcpu->mem->frames << PAGE_SHIFT;
	char text[ABI_PUTS_MAX];

	vcpu->state.gpr[RAX] = ABI_BAD;
	if (bytes > ABI_PUTS_MAX || from >= region || bytes > region - from)
		return CALL_OK;
	vcpu->state.gpr[RAX] = ABI_PUTS;
	if (!read_text(vcpu->mem, from, bytes, text, missing))
		return CALL_MISSING;
	con_printf("cleave: [%s/%u] %.*s\n", vcpu->vm->name, vcpu->index, (int)bytes, text);
	vcpu->state.gpr[RAX] = 0;
	return CALL_OK;
}

static uint64_t call_wrong(struct vcpu *vcpu, uint64_t at, uint64_t expected, uint64_t found)
{
	vcpu->wrong_gpa = at;
	vcpu->wrong_expected = expected;
	vcpu->wrong_found = found;
	if (vcpu->wrong_count++ < WRONG_SHOWN)
		con_printf("cleave: [%s/%u] wrong data at 0x%llx: expected 0x%llx, found 0x%llx\n",
			   vcpu->vm->name, vcpu->index, (unsigned long long)at,
			   (unsigned long long)expected, (unsigned long long)found);
	return 0;
}

static uint64_t call_done(struct vcpu *vcpu, uint64_t verdict, uint64_t steps, uint64_t written)
{
	vcpu->verdict = verdict;
	vcpu->steps = steps;
	vcpu->pages_written = written;
	return 0;
}

static uint64_t call_pass(struct vcpu *vcpu, uint64_t pass, uint64_t chain)
{
	vcpu->passes = pass;
	vcpu->chain = chain;
	return atomic_load_explicit(&vcpu->vm->asked_to_finish, memory_order_acquire) ? ABI_STOP
										      : ABI_GO_ON;
}

static uint64_t call_discard(struct vcpu *vcpu, uint64_t from, uint64_t bytes)
{
	uint64_t region = vcpu->mem->frames << PAGE_SHIFT;

	if (!bytes || !IS_ALIGNED(from | bytes, PAGE_SIZE) || from >= region ||
	    bytes > region - from)
		return ABI_BAD;
	return guest_discard(vcpu->mem, from >> PAGE_SHIFT, bytes >> PAGE_SHIFT) ? ABI_BAD : 0;
}

static uint64_t call_vouch(struct vcpu *vcpu, uint64_t at, uint64_t base, uint64_t step)
{
	if (!IS_ALIGNED(at, PAGE_SIZE))
		return ABI_BAD;
	return vouch_page(&vcpu->vm->vouches, at >> PAGE_SHIFT, base, step) ? 0 : ABI_BAD;
}

static uint64_t call_own(struct vcpu *vcpu, uint64_t from, uint64_t bytes)
{
	if (!IS_ALIGNED(from | bytes, PAGE_SIZE))
		return ABI_BAD;
	return vouch_own(&vcpu->vm->vouches, from >> PAGE_SHIFT, bytes >> PAGE_SHIFT) ? 0 : ABI_BAD;
}

static uint64_t dispatch(struct vcpu *vcpu, const uint64_t *gpr)
{
	switch (gpr[RAX]) {
	case ABI_PARAM:
		return call_param(vcpu, gpr[RDI]);
	case ABI_READY:
		atomic_store_explicit(&vcpu->ready, true, memory_order_release);
		return 0;
	case ABI_PASS:
		return call_pass(vcpu, gpr[RDI], gpr[RSI]);
	case ABI_WRONG:
		return call_wrong(vcpu, gpr[RDI], gpr[RSI], gpr[RDX]);
	case ABI_DONE:
		return call_done(vcpu, gpr[RDI], gpr[RSI], gpr[RDX]);
	case ABI_MIGRATE:
		atomic_store_explicit(&vcpu->vm->wants_migration, true, memory_order_release);
		return 0;
	case ABI_DISCARD:
		return call_discard(vcpu, gpr[RDI], gpr[RSI]);
	case ABI_VOUCH:
		return call_vouch(vcpu, gpr[RDI], gpr[RSI], gpr[RDX]);
	case ABI_OWN:
		return call_own(vcpu, gpr[RDI], gpr[RSI]);
	default:
		return ABI_BAD;
	}
}

enum call_answer hypercall(struct vcpu *vcpu, gpa_t *missing)
{
	uint64_t *gpr = vcpu->state.gpr;
	uint64_t number = gpr[RAX];

	trace(TRACE_CALL, number, gpr[RDI]);
	if (number == ABI_PUTS)
		return call_puts(vcpu, gpr[RDI], gpr[RSI], missing);
	gpr[RAX] = dispatch(vcpu, gpr);
	return number == ABI_DONE ? CALL_DONE : CALL_OK;
}
