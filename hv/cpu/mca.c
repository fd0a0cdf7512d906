/* SPDX-License-Identifier: MIT */
/* Machine checks of a guest. See hv/cpu/mca.h. */
#include "hv/cpu/mca.h"

#include "mm/err.h"

#define BANKS   1u
#define CTL_BIT (UINT64_C(1) << 0) /* bank 0's one kind of error */

/* Intel: IA32_MCG_CAP and IA32_MCi_STATUS, IA32_MCi_MISC (SDM vol. 3B, "Machine-Check Global
 * Control MSRs", "Error-Reporting Register Banks"). */
#define INTEL_SER_P         (UINT64_C(1) << 24)
#define INTEL_S             (UINT64_C(1) << 56)
#define INTEL_AR            (UINT64_C(1) << 55)
#define INTEL_DATA_LOAD     0x134
#define INTEL_FETCH         0x150
#define INTEL_MISC_PHYSICAL (UINT64_C(2) << 6) /* MCi_ADDR is a physical address */

/* AMD: MCi_STATUS, and error codes of the memory hierarchy, 0000 0001 RRRR TTLL with a data or
 * instruction read of any level (APM vol. 2, "Machine Check Error Codes"). */
#define AMD_UECC      (UINT64_C(1) << 45)
#define AMD_POISON    (UINT64_C(1) << 43)
#define AMD_DATA      0x137
#define AMD_FETCH     0x153
#define AMD_RECOVERS  (1u << 0) /* McaOverflowRecov */
#define AMD_CONTAINED (1u << 1) /* SUCCOR */

const struct mca_kind mca_kind_intel = {
	.mcg_cap = BANKS | INTEL_SER_P,
	.mcg_writable = 0,
	.status = MC_STATUS_VAL | MC_STATUS_UC | MC_STATUS_EN | MC_STATUS_MISCV | MC_STATUS_ADDRV |
		  INTEL_S | INTEL_AR,
	.data = INTEL_DATA_LOAD,
	.fetch = INTEL_FETCH,
	.misc = INTEL_MISC_PHYSICAL | PAGE_SHIFT,
};

const struct mca_kind mca_kind_amd = {
	.mcg_cap = BANKS,
	.mcg_writable = MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP,
	.status = MC_STATUS_VAL | MC_STATUS_UC | MC_STATUS_EN | MC_STATUS_ADDRV | AMD_UECC |
		  AMD_POISON,
	.data = AMD_DATA,
	.fetch = AMD_FETCH,
	.cpuid_ras_ebx = AMD_RECOVERS | AMD_CONTAINED,
};

int mca_rdmsr(const struct mca_state *s, const struct mca_kind *kind, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_MCG_CAP:
		*value = kind->mcg_cap;
		return 0;
	case MSR_MCG_STATUS:
		*value = s->mcg_status;
		return 0;
	case MSR_MC0_CTL:
		*value = s->ctl;
		return 0;
	case MSR_MC0_STATUS:
		*value = s->status;
		return 0;
	case MSR_MC0_ADDR:
		*value = s->addr;
		return 0;
	case MSR_MC0_MISC:
		*value = s->misc;
		return 0;
	default:
		return -ENOENT;
	}
}

/* A register that software may only clear. */
static int clear(uint64_t *reg, uint64_t value)
{
	if (value)
		return -EINVAL;
	*reg = 0;
	return 0;
}

int mca_wrmsr(struct mca_state *s, const struct mca_kind *kind, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_MCG_CAP:
		return -EINVAL;
	case MSR_MCG_STATUS:
		if (value & ~kind->mcg_writable)
			return -EINVAL;
		s->mcg_status = value;
		return 0;
	case MSR_MC0_CTL:
		s->ctl = value;
		return 0;
	case MSR_MC0_STATUS:
		return clear(&s->status, value);
	case MSR_MC0_ADDR:
		return clear(&s->addr, value);
	case MSR_MC0_MISC:
		return clear(&s->misc, value);
	default:
		return -ENOENT;
	}
}

/* Keep the first of two uncorrected errors (SDM vol. 3B, "Overwrite Rules for UCR Errors"; APM
 * vol. 2, "Machine Check Errors"). */
static void log_error(struct mca_state *s, const struct mca_kind *kind,
		      const struct mca_access *access)
{
	if (s->status & MC_STATUS_VAL) {
		s->status |= MC_STATUS_OVER;
		return;
	}
	s->status = kind->status | (access->fetch ? kind->fetch : kind->data);
	s->addr = access->at.v;
	s->misc = kind->misc;
}

const char *mca_consume(struct mca_state *s, const struct mca_kind *kind,
			const struct mca_access *access)
{
	if (!access->delivered)
		return "it touched memory that is lost, with CR4.MCE clear";
	if (s->mcg_status & MCG_STATUS_MCIP)
		return "it touched memory that is lost, within a machine check";
	if (!(s->ctl & CTL_BIT))
		return "it touched memory that is lost, with bank 0 off";
	log_error(s, kind, access);
	s->mcg_status = MCG_STATUS_MCIP | MCG_STATUS_EIPV | (access->restart ? MCG_STATUS_RIPV : 0);
	return NULL;
}
