/* SPDX-License-Identifier: MIT */
/* Planting the state of a vCPU, and finding it again. */
#include "guest/lib/state.h"
#include "guest/lib/cpu.h"
#include "guest/lib/mix.h"

#define CANONICAL 0x7fffffffffffull /* addresses in the lower half */

/* All of it as one row of words, but for the TSC. */
#define VECTOR_WORDS 32 /* XMM0 to XMM15 */
#define FPU_WORDS    3  /* MXCSR, x87 control word, ST0 */
#define MSR_WORDS    12
#define DEBUG_WORDS  6            /* DR0 to DR3, DR6, DR7 */
#define FPU          VECTOR_WORDS /* where each kind begins */
#define MSR          (FPU + FPU_WORDS)
#define DEBUG        (MSR + MSR_WORDS)
#define CR2          (DEBUG + DEBUG_WORDS)
#define CR8          (CR2 + 1)
#define STATE_WORDS  (CR8 + 1)

#define MXCSR_BASE 0x1f80u     /* all exceptions masked */
#define MXCSR_FREE 0xe03fu     /* flags, rounding, flush to zero */
#define FCW_BASE   0x037fu     /* all masked, double extended precision */
#define FCW_FREE   0x0c00u     /* rounding */
#define DR6_BASE   0xffff0ff0u /* read as ones */
#define DR6_FREE   0x600fu     /* BS, BD, B3 to B0 */
#define DR7_BASE   0x400u      /* reads as one */
#define DR7_FREE   0x11110000u /* a kind for each breakpoint; none is enabled */
#define MSR_TSC    0x10
#define MSR_PAT    0x277
#define TSC_AHEAD  (UINT64_C(1) << 50) /* the guest's clock is its own: far from the machine's */

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
	{ "PAT", MSR_PAT, UINT64_MAX },
};

_Static_assert(sizeof(msrs) / sizeof(*msrs) == MSR_WORDS, "words");

void vectors_plant(const uint64_t words[VECTOR_WORDS]); /* guest/lib/vectors.asm */
void vectors_take(uint64_t words[VECTOR_WORDS]);

/* The first word to look at: without the hypervisor's leave there are no vector registers. */
static unsigned int state_begin(void)
{
	return cpu_cr4() & CR4_OSFXSR ? 0 : MSR;
}

/* Memory types for all entries but the first, which the payload's pages use: that stays WB. */
static uint64_t pat_of(uint64_t word)
{
	static const uint8_t types[] = { 0, 1, 4, 6 };
	uint64_t pat = 6;

	for (unsigned int i = 1; i < 8; i++)
		pat |= (uint64_t)types[word >> 2 * i & 3] << 8 * i;
	return pat;
}

static uint64_t msr_word(uint64_t word, unsigned int i)
{
	return msrs[i].number == MSR_PAT ? pat_of(word) : word & msrs[i].mask;
}

static uint64_t state_word(uint64_t seed, unsigned int i)
{
	uint64_t word = mix64(seed + i);

	if (i < FPU)
		return word;
	if (i >= MSR && i < DEBUG)
		return msr_word(word, i - MSR);
	switch (i) {
	case FPU:
		return MXCSR_BASE | (word & MXCSR_FREE);
	case FPU + 1:
		return FCW_BASE | (word & FCW_FREE);
	case FPU + 2:
		return word; /* an integer of 64 bits fits into ST0 */
	case DEBUG + 4:
		return DR6_BASE | (word & DR6_FREE);
	case DEBUG + 5:
		return DR7_BASE | (word & DR7_FREE);
	case CR8:
		return word & 15;
	default:
		return word & CANONICAL;
	}
}

static const char *state_name(unsigned int i)
{
	static const char *const fpu[] = { "MXCSR", "x87 control word", "ST0" };

	if (i < FPU)
		return "vector register";
	if (i < MSR)
		return fpu[i - FPU];
	if (i < DEBUG)
		return msrs[i - MSR].name;
	if (i < CR2)
		return "debug register";
	return i == CR2 ? "CR2" : "CR8";
}

static void fpu_plant(const uint64_t words[FPU_WORDS])
{
	uint32_t mxcsr = (uint32_t)words[0];
	uint16_t fcw = (uint16_t)words[1];

	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	asm volatile("fninit; fldcw %0; fildll %1" : : "m"(fcw), "m"(words[2]));
}

static void fpu_take(uint64_t words[FPU_WORDS])
{
	uint32_t mxcsr;
	uint16_t fcw;

	asm volatile("stmxcsr %0" : "=m"(mxcsr));
	asm volatile("fnstcw %0; fistpll %1" : "=m"(fcw), "=m"(words[2]));
	words[0] = mxcsr;
	words[1] = fcw;
}

void state_plant(uint64_t seed)
{
	uint64_t words[STATE_WORDS];

	for (unsigned int i = 0; i < STATE_WORDS; i++)
		words[i] = state_word(seed, i);
	if (state_begin() < MSR) {
		vectors_plant(words);
		fpu_plant(words + FPU);
	}
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		cpu_wrmsr(msrs[i].number, words[MSR + i]);
	asm volatile("mov %0, %%dr0" : : "r"(words[DEBUG]));
	asm volatile("mov %0, %%dr1" : : "r"(words[DEBUG + 1]));
	asm volatile("mov %0, %%dr2" : : "r"(words[DEBUG + 2]));
	asm volatile("mov %0, %%dr3" : : "r"(words[DEBUG + 3]));
	asm volatile("mov %0, %%dr6" : : "r"(words[DEBUG + 4]));
	asm volatile("mov %0, %%dr7" : : "r"(words[DEBUG + 5]));
	asm volatile("mov %0, %%cr2" : : "r"(words[CR2]));
	asm volatile("mov %0, %%cr8" : : "r"(words[CR8]));
	if (cpu_tsc() < TSC_AHEAD)
		cpu_wrmsr(MSR_TSC, cpu_tsc() + TSC_AHEAD);
}

static void state_take(uint64_t words[STATE_WORDS])
{
	if (state_begin() < MSR) {
		vectors_take(words);
		fpu_take(words + FPU);
	}
	for (unsigned int i = 0; i < MSR_WORDS; i++)
		words[MSR + i] = cpu_rdmsr(msrs[i].number);
	asm volatile("mov %%dr0, %0" : "=r"(words[DEBUG]));
	asm volatile("mov %%dr1, %0" : "=r"(words[DEBUG + 1]));
	asm volatile("mov %%dr2, %0" : "=r"(words[DEBUG + 2]));
	asm volatile("mov %%dr3, %0" : "=r"(words[DEBUG + 3]));
	asm volatile("mov %%dr6, %0" : "=r"(words[DEBUG + 4]));
	asm volatile("mov %%dr7, %0" : "=r"(words[DEBUG + 5]));
	words[CR2] = cpu_fault_address();
	asm volatile("mov %%cr8, %0" : "=r"(words[CR8]));
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
	if (cpu_tsc() < TSC_AHEAD) {
		*loss = (struct state_loss){ "TSC", TSC_AHEAD, cpu_tsc() };
		return true;
	}
	return false;
}
