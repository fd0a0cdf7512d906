/* SPDX-License-Identifier: MIT */
/* Planting the state of a vCPU, and finding it again. */
#include "guest/lib/state.h"
#include "guest/lib/cpu.h"
#include "guest/lib/mix.h"

#define CANONICAL 0x7fffffffffffull /* addresses in the lower half */

/* All of it as one row of words. */
#define VECTOR_WORDS 32 /* XMM0 to XMM15 */
#define MSR_WORDS    11
#define DEBUG_WORDS  4
#define MSR          VECTOR_WORDS /* where each kind begins */
#define DEBUG        (MSR + MSR_WORDS)
#define CR2          (DEBUG + DEBUG_WORDS)
#define STATE_WORDS  (CR2 + 1)

static const struct {
	const char *name;
	uint32_t number;
	uint64_t mask; /* values that it may have */
} msrs[] = {
	{ "FS base", 0xc0000100, CANONICAL },
	{ "GS base", 0xc0000101, CANONICAL },
	{ "kernel GS base", 0xc0000102, CANONICAL },
	{ "STAR", 0xc0000081, UINT64_MAX },
	{ "LSTAR", 0xc0000082, CANONICAL },
	{ "CSTAR", 0xc0000083, CANONICAL },
	{ "FMASK", 0xc0000084, UINT32_MAX },
	{ "SYSENTER CS", 0x174, UINT16_MAX },
	{ "SYSENTER ESP", 0x175, CANONICAL },
	{ "SYSENTER EIP", 0x176, CANONICAL },
	{ "machine checks' MC0_CTL", 0x400, UINT64_MAX },
};

_Static_assert(sizeof(msrs) / sizeof(*msrs) == MSR_WORDS, "words");

void vectors_plant(const uint64_t words[VECTOR_WORDS]); /* guest/lib/vectors.asm */
void vectors_take(uint64_t words[VECTOR_WORDS]);

/* The first word to look at: without the hypervisor's leave there are no vector registers. */
static unsigned int state_begin(void)
{
	return cpu_cr4() & CR4_OSFXSR ? 0 : MSR;
}

static uint64_t state_word(uint64_t seed, unsigned int i)
{
	uint64_t word = mix64(seed + i);

	if (i < MSR)
		return word;
	return word & (i < DEBUG ? msrs[i - MSR].mask : CANONICAL);
}

static const char *state_name(unsigned int i)
{
	if (i < MSR)
		return "vector register";
	if (i < DEBUG)
		return msrs[i - MSR].name;
	return i < CR2 ? "debug register" : "CR2";
}

void state_plant(uint64_t seed)
{
	uint64_t words[STATE_WORDS];

	for (unsigned int i = 0; i < STATE_WORDS; i++)
		words[i] = state_word(seed, i);
	if (state_begin() < MSR)
		vectors_plant(words);
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		cpu_wrmsr(msrs[i].number, words[MSR + i]);
	asm volatile("mov %0, %%dr0" : : "r"(words[DEBUG]));
	asm volatile("mov %0, %%dr1" : : "r"(words[DEBUG + 1]));
	asm volatile("mov %0, %%dr2" : : "r"(words[DEBUG + 2]));
	asm volatile("mov %0, %%dr3" : : "r"(words[DEBUG + 3]));
	asm volatile("mov %0, %%cr2" : : "r"(words[CR2]));
}

static void state_take(uint64_t words[STATE_WORDS])
{
	if (state_begin() < MSR)
		vectors_take(words);
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		words[MSR + i] = cpu_rdmsr(msrs[i].number);
	asm volatile("mov %%dr0, %0" : "=r"(words[DEBUG]));
	asm volatile("mov %%dr1, %0" : "=r"(words[DEBUG + 1]));
	asm volatile("mov %%dr2, %0" : "=r"(words[DEBUG + 2]));
	asm volatile("mov %%dr3, %0" : "=r"(words[DEBUG + 3]));
	words[CR2] = cpu_fault_address();
}

bool state_lost(uint64_t seed, struct state_loss *loss)
{
	uint64_t words[STATE_WORDS];

	state_take(words);
	for (unsigned int i = state_begin(); i < STATE_WORDS; i++) {
		if (words[i] == state_word(seed, i))
			continue;
		*loss = (struct state_loss){ state_name(i), state_word(seed, i), words[i] };
		return true;
	}
	return false;
}
