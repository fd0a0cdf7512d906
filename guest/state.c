/* SPDX-License-Identifier: MIT */
/* Planting the state of a vCPU, and finding it again. */
#include "guest/state.h"
#include "guest/cpu.h"
#include "guest/mix.h"

#define CANONICAL 0x7fffffffffffull /* addresses in the lower half */

#define VECTOR_WORDS 32 /* XMM0 to XMM15 */
#define MSRS         (sizeof(msrs) / sizeof(*msrs))
#define MSR_WORDS    10
#define STATE_WORDS  (VECTOR_WORDS + MSR_WORDS + 5)

struct state {
	uint64_t vector[VECTOR_WORDS];
	uint64_t msr[MSR_WORDS];
	uint64_t debug[4];
	uint64_t cr2;
};

_Static_assert(sizeof(struct state) == STATE_WORDS * sizeof(uint64_t), "words");

static const struct {
	const char *name;
	uint32_t number;
	uint64_t mask; /* values that it may have */
} msrs[] = {
	{ "FS base", 0xc0000100, CANONICAL },        { "GS base", 0xc0000101, CANONICAL },
	{ "kernel GS base", 0xc0000102, CANONICAL }, { "STAR", 0xc0000081, UINT64_MAX },
	{ "LSTAR", 0xc0000082, CANONICAL },          { "CSTAR", 0xc0000083, CANONICAL },
	{ "FMASK", 0xc0000084, UINT32_MAX },         { "SYSENTER CS", 0x174, UINT16_MAX },
	{ "SYSENTER ESP", 0x175, CANONICAL },        { "SYSENTER EIP", 0x176, CANONICAL },
};

_Static_assert(MSRS == MSR_WORDS, "msrs");

void vectors_plant(const uint64_t words[VECTOR_WORDS]); /* guest/vectors.asm */
void vectors_take(uint64_t words[VECTOR_WORDS]);

static bool vectors_usable(void)
{
	return cpu_cr4() & CR4_OSFXSR;
}

static uint64_t state_word(uint64_t seed, unsigned int i)
{
	uint64_t word = mix64(seed + i);

	if (i < VECTOR_WORDS)
		return word;
	i -= VECTOR_WORDS;
	return word & (i < MSR_WORDS ? msrs[i].mask : CANONICAL);
}

static const char *state_name(unsigned int i)
{
	if (i < VECTOR_WORDS)
		return "vector register";
	i -= VECTOR_WORDS;
	if (i < MSR_WORDS)
		return msrs[i].name;
	return i < MSR_WORDS + 4 ? "debug register" : "CR2";
}

void state_plant(uint64_t seed)
{
	struct state s;
	uint64_t *words = (uint64_t *)&s;

	for (unsigned int i = 0; i < STATE_WORDS; i++)
		words[i] = state_word(seed, i);
	if (vectors_usable())
		vectors_plant(s.vector);
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		cpu_wrmsr(msrs[i].number, s.msr[i]);
	asm volatile("mov %0, %%dr0" : : "r"(s.debug[0]));
	asm volatile("mov %0, %%dr1" : : "r"(s.debug[1]));
	asm volatile("mov %0, %%dr2" : : "r"(s.debug[2]));
	asm volatile("mov %0, %%dr3" : : "r"(s.debug[3]));
	asm volatile("mov %0, %%cr2" : : "r"(s.cr2));
}

static void state_take(struct state *s)
{
	if (vectors_usable())
		vectors_take(s->vector);
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		s->msr[i] = cpu_rdmsr(msrs[i].number);
	asm volatile("mov %%dr0, %0" : "=r"(s->debug[0]));
	asm volatile("mov %%dr1, %0" : "=r"(s->debug[1]));
	asm volatile("mov %%dr2, %0" : "=r"(s->debug[2]));
	asm volatile("mov %%dr3, %0" : "=r"(s->debug[3]));
	s->cr2 = cpu_fault_address();
}

bool state_lost(uint64_t seed, struct state_loss *loss)
{
	struct state s;
	const uint64_t *words = (const uint64_t *)&s;
	unsigned int i = vectors_usable() ? 0 : VECTOR_WORDS;

	state_take(&s);
	while (i < STATE_WORDS && words[i] == state_word(seed, i))
		i++;
	if (i == STATE_WORDS)
		return false;
	*loss = (struct state_loss){ state_name(i), state_word(seed, i), words[i] };
	return true;
}
