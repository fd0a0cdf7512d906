/* SPDX-License-Identifier: MIT */
/*
 * Threads that compete for a CPU while each holds values of its own in every vector register and on
 * the x87 stack, with its own rounding modes. They yield, are preempted, and take signals.
 */
#include <cpuid.h>
#include <string.h>

#include "check.h"

#define THREADS_PER_CPU 2
#define YIELDS          16
#define SPINS           2000
#define VECTORS         16
#define VECTOR_BYTES    32

#define FCW_DEFAULT   0x37f
#define MXCSR_DEFAULT 0x1f80

struct image {
	uint8_t vector[VECTORS][VECTOR_BYTES]; /* without AVX the lower halves only */
	uint8_t st[8][16];                     /* 10 bytes each */
	uint32_t mxcsr;
	uint16_t fcw;
	uint16_t unused;
};

/* The operands are %0 the image to load, %1 the image to store to, %2 and %3 the loops' counts. */
#define STR_(x)           #x
#define STR(x)            STR_(x)
#define LOAD(op, reg, n)  #op " " STR(n) "*32(%[in]), %%" #reg STR(n) "\n\t"
#define STORE(op, reg, n) #op " %%" #reg STR(n) ", " STR(n) "*32(%[out])\n\t"
#define EACH(what, op, reg)                                                                        \
	what(op, reg, 0) what(op, reg, 1) what(op, reg, 2) what(op, reg, 3) what(op, reg, 4)       \
		what(op, reg, 5) what(op, reg, 6) what(op, reg, 7) what(op, reg, 8)                \
			what(op, reg, 9) what(op, reg, 10) what(op, reg, 11) what(op, reg, 12)     \
				what(op, reg, 13) what(op, reg, 14) what(op, reg, 15)
#define X87_LOAD                                                                                   \
	"fninit\n\tfldcw 644(%[in])\n\tldmxcsr 640(%[in])\n\t"                                     \
	"fldt 624(%[in])\n\tfldt 608(%[in])\n\tfldt 592(%[in])\n\tfldt 576(%[in])\n\t"             \
	"fldt 560(%[in])\n\tfldt 544(%[in])\n\tfldt 528(%[in])\n\tfldt 512(%[in])\n\t"
#define X87_STORE                                                                                  \
	"fnstcw 644(%[out])\n\tstmxcsr 640(%[out])\n\t"                                            \
	"fstpt 512(%[out])\n\tfstpt 528(%[out])\n\tfstpt 544(%[out])\n\tfstpt 560(%[out])\n\t"     \
	"fstpt 576(%[out])\n\tfstpt 592(%[out])\n\tfstpt 608(%[out])\n\tfstpt 624(%[out])\n\t"     \
	"fldcw %[fcw]\n\tldmxcsr %[mxcsr]\n\t"
/* sched_yield() is system call 24. */
#define HOLD                                                                                       \
	"1:\n\tmov %[spins], %%edx\n\t"                                                            \
	"2:\n\tdec %%edx\n\tjnz 2b\n\t"                                                            \
	"mov $24, %%eax\n\tsyscall\n\t"                                                            \
	"dec %%r8d\n\tjnz 1b\n\t"
#define HOLD_STATE(op, reg, last)                                                                  \
	do {                                                                                       \
		static const uint16_t fcw = FCW_DEFAULT;                                           \
		static const uint32_t mxcsr = MXCSR_DEFAULT;                                       \
                                                                                                   \
		__asm__ volatile("mov %[yields], %%r8d\n\t" X87_LOAD EACH(LOAD, op, reg)           \
					 HOLD EACH(STORE, op, reg) X87_STORE last                  \
				 :                                                                 \
				 : [in] "r"(in), [out] "r"(out), [yields] "i"(YIELDS),             \
				   [spins] "i"(SPINS), [fcw] "m"(fcw), [mxcsr] "m"(mxcsr)          \
				 : "rax", "rcx", "rdx", "r8", "r11", "cc", "memory", "xmm0",       \
				   "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
				   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");  \
	} while (0)

_Static_assert(offsetof(struct image, st) == 512, "the assembly knows it");
_Static_assert(offsetof(struct image, mxcsr) == 640, "the assembly knows it");
_Static_assert(offsetof(struct image, fcw) == 644, "the assembly knows it");

static __attribute__((noinline)) void hold_sse(const struct image *in, struct image *out)
{
	HOLD_STATE(movdqu, xmm, "");
}

static __attribute__((noinline)) void hold_avx(const struct image *in, struct image *out)
{
	HOLD_STATE(vmovdqu, ymm, "vzeroupper\n\t");
}

/* The CPU has it, and Linux has turned it on. */
static bool has_avx(void)
{
	uint32_t a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AVX) || !(c & bit_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

static void make(struct image *image, uint64_t seed, bool avx)
{
	memset(image, 0, sizeof(*image));
	for (unsigned int n = 0; n < VECTORS; n++) {
		for (unsigned int i = 0; i < (avx ? VECTOR_BYTES : VECTOR_BYTES / 2); i++)
			image->vector[n][i] = (uint8_t)mix(seed + n * VECTOR_BYTES + i);
	}
	for (unsigned int n = 0; n < 8; n++) {
		/* A normal number is loaded and stored as it is. */
		uint64_t mantissa = mix(seed + n) | 1ull << 63;
		uint16_t exponent = (uint16_t)(0x3fff + n);

		memcpy(&image->st[n][0], &mantissa, 8);
		memcpy(&image->st[n][8], &exponent, 2);
	}
	image->fcw = (uint16_t)(FCW_DEFAULT | (seed & 3) << 10);
	image->mxcsr = (uint32_t)(MXCSR_DEFAULT | (seed & 3) << 13 | (seed >> 8 & 0x3f));
}

static void *work(void *argument)
{
	uint64_t seed = mix((uint64_t)(uintptr_t)argument);
	bool avx = has_avx();
	struct image in, out;

	signals_expect_here();
	for (uint64_t n = 0; !check.stop; n++) {
		make(&in, mix(seed + n), avx);
		memset(&out, 0, sizeof(out));
		if (avx)
			hold_avx(&in, &out);
		else
			hold_sse(&in, &out);
		if (planted(PLANT_STATE))
			out.vector[15][3] ^= 1;
		count(COUNT_STATES);
		if (memcmp(&in, &out, sizeof(in)) != 0)
			complain(
				COUNT_WRONG_STATES,
				"vectors are %s, x87 stack is %s, MXCSR %#x and %#x, FCW %#x and %#x",
				memcmp(in.vector, out.vector, sizeof(in.vector)) ? "wrong"
										 : "right",
				memcmp(in.st, out.st, sizeof(in.st)) ? "wrong" : "right", out.mxcsr,
				in.mxcsr, out.fcw, in.fcw);
	}
	return NULL;
}

void state_start(void)
{
	for (unsigned int cpu = 0; cpu < check.cpus; cpu++) {
		for (unsigned int i = 0; i < THREADS_PER_CPU; i++)
			start(work, (void *)(uintptr_t)(cpu * THREADS_PER_CPU + i), (int)cpu, 10);
	}
}
