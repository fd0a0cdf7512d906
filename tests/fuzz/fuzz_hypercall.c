/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls with any registers, from a guest of which some pages are there. No call reads outside
 * of the guest's memory or changes another register than RAX; one that cannot go on names a page
 * that is missing indeed.
 *
 *	byte 0	 of all calls: the pages that are there, a pattern
 *	then	 calls of 10 bytes: RAX; RDI, RSI and RDX, each by its kind and 16 bits
 */
#include "hv/mem/guest_memory.h"
#include "hv/base/trace.h"
#include "mm/err.h"
#include "tests/fuzz/guest_memory.h"

#define CALLS_MAX 16

static struct trace_record records[TRACE_RECORDS];
struct trace_place trace_places[MAX_CPUS] = {
	{ .next = records, .end = records + TRACE_RECORDS, .begin = records },
};

static unsigned int discarded;
static struct vouch words[MIB >> PAGE_SHIFT]; /* the guest's, for its work area */

int guest_discard(struct memory *mem, gfn_t gfn, uint64_t frames)
{
	fuzz_check(mem == &guest.mem && frames && gfn < mem->frames && frames <= mem->frames - gfn);
	discarded++;
	return frames % 3 ? 0 : -ENOMEM;
}

/* Addresses around the guest's pages and its end, or any. */
static uint64_t take_register(struct fuzz_input *in)
{
	uint64_t how = fuzz_take(in, 1), v = fuzz_take(in, 2);

	switch (how & 3) {
	case 0:
		return v & 0xff;
	case 1:
		return ((how >> 2) << PAGE_SHIFT) + v - 0x8000;
	case 2:
		return (guest.mem.frames << PAGE_SHIFT) + v - 0x8000;
	default:
		return v << (how >> 2) | v;
	}
}

static void check_text(uint64_t from, uint64_t bytes)
{
	size_t n = strnlen(guest_said, sizeof(guest_said));

	fuzz_check(bytes <= ABI_PUTS_MAX && from + bytes <= guest.mem.frames << PAGE_SHIFT);
	fuzz_check(guest_lines == 1 && n == strlen("cleave: [fuzz/0] \n") + bytes);
	for (size_t i = 0; i + 1 < n; i++)
		fuzz_check(guest_said[i] >= ' ' && guest_said[i] <= '~');
}

static void check_missing(const uint64_t *gpr, gpa_t missing)
{
	fuzz_check(gpr[RAX] == ABI_PUTS && missing.v >= gpr[RDI]);
	fuzz_check(missing.v < gpr[RDI] + gpr[RSI] && !guest_there[gpa_to_gfn(missing)]);
	fuzz_check(guest_lines == 0);
}

static void check_answer(const uint64_t *before, uint64_t answer)
{
	switch (before[RAX]) {
	case ABI_PUTS:
		fuzz_check(answer == 0 || answer == ABI_BAD);
		if (answer == 0)
			check_text(before[RDI], before[RSI]);
		break;
	case ABI_PARAM:
		fuzz_check((answer == ABI_BAD) == (before[RDI] > ABI_P_VCPUS));
		break;
	case ABI_DONE:
		fuzz_check(guest.vcpu[0].verdict == before[RDI]);
		break;
	case ABI_DISCARD:
		fuzz_check(answer == 0 || answer == ABI_BAD);
		fuzz_check(answer == ABI_BAD || discarded == 1);
		break;
	case ABI_VOUCH:
		fuzz_check(answer == 0 || answer == ABI_BAD);
		fuzz_check(answer == ABI_BAD ||
			   (before[RDI] % PAGE_SIZE == 0 && before[RDI] >= MIB &&
			    before[RDI] < 2 * MIB &&
			    (before[RDX] & 1 || !(before[RSI] | before[RDX]))));
		break;
	case ABI_OWN:
		fuzz_check(answer == 0 || answer == ABI_BAD);
		fuzz_check(guest.vouches.own_end <= MIB >> PAGE_SHIFT);
		break;
	default:
		fuzz_check((answer == ABI_BAD) == (before[RAX] > ABI_OWN));
		fuzz_check(before[RAX] == ABI_WRONG || guest_lines == 0);
		break;
	}
}

static void call(struct fuzz_input *in)
{
	struct vcpu *vcpu = &guest.vcpu[0];
	struct guest_state before;
	gpa_t missing = gpa(0);
	enum call_answer answer;

	for (unsigned int i = 0; i < GPRS; i++)
		vcpu->state.gpr[i] = ~(uint64_t)i;
	vcpu->state.gpr[RAX] = fuzz_take(in, 1);
	vcpu->state.gpr[RDI] = take_register(in);
	vcpu->state.gpr[RSI] = take_register(in);
	vcpu->state.gpr[RDX] = take_register(in);
	before = vcpu->state;
	guest_lines = 0;
	discarded = 0;
	guest_said[0] = 0;
	answer = hypercall(vcpu, &missing);
	fuzz_check((answer == CALL_DONE) == (before.gpr[RAX] == ABI_DONE));
	if (answer == CALL_MISSING)
		check_missing(before.gpr, missing);
	else
		check_answer(before.gpr, vcpu->state.gpr[RAX]);
	if (answer != CALL_MISSING)
		before.gpr[RAX] = vcpu->state.gpr[RAX];
	fuzz_check(memcmp(&before, &vcpu->state, sizeof(before)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run_config config = { .region = 2 * MIB,
					    .vcpus = 1,
					    .work_start = MIB,
					    .work = MIB,
					    .stride = PAGE_SIZE,
					    .seed = 7 };
	struct fuzz_input in = { data, size };
	uint64_t pattern = fuzz_take(&in, 1);

	guest_begin(&config);
	memset(words, 0, sizeof(words));
	guest.vouches = (struct vouches){ .first = MIB >> PAGE_SHIFT,
					  .frames = ARRAY_LEN(words),
					  .page = words };
	guest.vcpu[0].vm = &guest;
	guest.vcpu[0].mem = &guest.mem;
	guest.vcpu[0].wrong_count = 0;
	for (uint64_t i = 0; i < guest.mem.frames; i++)
		guest_there[i] = pattern >> (i & 7) & 1;
	for (unsigned int i = 0; i < CALLS_MAX && in.n > 0; i++)
		call(&in);
	return 0;
}
