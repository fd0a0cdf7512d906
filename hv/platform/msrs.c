/* SPDX-License-Identifier: MIT */
/* MSRs of a whole system that hold nothing. See hv/platform/platform.h. */
#include "hv/platform/platform.h"

#include "mm/err.h"

enum {
	MSR_PLATFORM_ID = 0x17,
	MSR_APIC_BASE = 0x1b,
	MSR_MICROCODE = 0x8b,
	MSR_MTRR_CAP = 0xfe,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_DEFAULT = 0x2ff,
	MSR_HWCR = (int)0xc0010015,
	MSR_NB_CFG = (int)0xc001001f,
};

#define APIC_BASE       UINT64_C(0xfee00000)
#define APIC_BASE_FIRST (1u << 8)
#define APIC_BASE_X2    (3u << 10) /* on, in x2APIC mode */

#define MTRR_ON         (1u << 11)
#define MTRR_WRITE_BACK 6u
#define MTRR_WRITABLE   UINT64_C(0xcff)

#define MISC_FAST_STRINGS 1u
#define HWCR_TSC_FREQ_SEL (1u << 24) /* the TSC counts at the nominal rate */

void platform_msrs_reset(struct platform_msrs *msrs)
{
	*msrs = (struct platform_msrs){ .mtrr_default = MTRR_ON | MTRR_WRITE_BACK };
}

int platform_rdmsr(const struct platform_msrs *msrs, uint32_t msr, bool first, uint64_t *value)
{
	switch (msr) {
	case MSR_APIC_BASE:
		*value = APIC_BASE | APIC_BASE_X2 | (first ? APIC_BASE_FIRST : 0);
		return 0;
	case MSR_MTRR_DEFAULT:
		*value = msrs->mtrr_default;
		return 0;
	case MSR_MISC_ENABLE:
		*value = MISC_FAST_STRINGS;
		return 0;
	case (uint32_t)MSR_HWCR:
		*value = HWCR_TSC_FREQ_SEL;
		return 0;
	case MSR_MTRR_CAP: /* no variable ranges, no fixed ones */
	case MSR_PLATFORM_ID:
	case MSR_MICROCODE:
	case MSR_DEBUGCTL:
	case (uint32_t)MSR_NB_CFG:
		*value = 0;
		return 0;
	default:
		return -ENOENT;
	}
}

int platform_wrmsr(struct platform_msrs *msrs, uint32_t msr, bool first, uint64_t value)
{
	uint64_t now;
	int err;

	switch (msr) {
	case MSR_MTRR_DEFAULT:
		if (value & ~MTRR_WRITABLE)
			return -EINVAL;
		msrs->mtrr_default = value; /* memory is write-back, whatever it says */
		return 0;
	case MSR_MICROCODE: /* written with 0 to ask for the revision */
		return value ? -EINVAL : 0;
	case (uint32_t)MSR_NB_CFG: /* how PCI would be reached, on AMD's */
		return 0;
	case MSR_MTRR_CAP:
	case MSR_PLATFORM_ID:
		return -EINVAL;
	default: /* the others take the value that they have */
		err = platform_rdmsr(msrs, msr, first, &now);
		return err ? err : value == now ? 0 : -EINVAL;
	}
}
