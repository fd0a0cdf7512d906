/* SPDX-License-Identifier: MIT */
/*
 * Machine checks of a guest: how a vCPU learns that it touched lost memory. Pure.
 *
 * A vCPU has one bank, bank 0. mca_consume() logs a lost page there; the caller raises #MC on the
 * vCPU that touched it alone, a local machine check. The bank's contents depend on the maker:
 *
 *	Intel	a recoverable error whose action is required, SRAR (SDM vol. 3B, "Machine-Check
 *		Architecture", section "Architecturally Defined SRAR Errors")
 *	AMD	an uncorrected error, consumed poison, contained: neither PCC nor TCC (APM vol. 2,
 *		"Machine Check Architecture")
 *
 * RIPV is set if the guest can make the access again; clear if the access was part of the delivery
 * of an event, whose place the #MC takes.
 */
#ifndef HV_MCA_H
#define HV_MCA_H

#include "mm/types.h"

#define EXCEPTION_MC 18

#define MSR_MCG_CAP    0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MC0_CTL    0x400
#define MSR_MC0_STATUS 0x401
#define MSR_MC0_ADDR   0x402
#define MSR_MC0_MISC   0x403

#define MCG_STATUS_RIPV (UINT64_C(1) << 0)
#define MCG_STATUS_EIPV (UINT64_C(1) << 1)
#define MCG_STATUS_MCIP (UINT64_C(1) << 2)

#define MC_STATUS_VAL   (UINT64_C(1) << 63)
#define MC_STATUS_OVER  (UINT64_C(1) << 62)
#define MC_STATUS_UC    (UINT64_C(1) << 61)
#define MC_STATUS_EN    (UINT64_C(1) << 60)
#define MC_STATUS_MISCV (UINT64_C(1) << 59)
#define MC_STATUS_ADDRV (UINT64_C(1) << 58)

/* One vCPU's registers; they move with it. */
struct mca_state {
	uint64_t mcg_status;
	uint64_t ctl, status, addr, misc; /* bank 0 */
};

/* A fresh vCPU: all reporting on, nothing logged. */
#define MCA_RESET ((struct mca_state){ .ctl = UINT64_MAX })

/* The differences between the makers. */
struct mca_kind {
	uint64_t mcg_cap;
	uint64_t mcg_writable;  /* bits of MCG_STATUS that WRMSR may set; all others: #GP */
	uint64_t status;        /* of the bank, beside the error code */
	uint16_t data, fetch;   /* error codes: a load or store, an instruction fetch */
	uint64_t misc;          /* MC0_MISC of a lost page */
	uint32_t cpuid_ras_ebx; /* CPUID 8000_0007: what it tells the guest of recovery */
};

extern const struct mca_kind mca_kind_intel;
extern const struct mca_kind mca_kind_amd;

/* Access to the MSRs of machine checks. -ENOENT: not one of these; -EINVAL: raise #GP. */
int must_check mca_rdmsr(const struct mca_state *s, const struct mca_kind *kind, uint32_t msr,
			 uint64_t *value);
int must_check mca_wrmsr(struct mca_state *s, const struct mca_kind *kind, uint32_t msr,
			 uint64_t value);

/* One access to a lost page. */
struct mca_access {
	gpa_t at;       /* the first byte of it that is lost */
	bool fetch;     /* of an instruction */
	bool restart;   /* nothing was interrupted but the instruction that RIP points to */
	bool delivered; /* CR4.MCE is set */
};

/**
 * mca_consume() - log the access in bank 0; keep an entry that is valid already, and mark it as
 * overflown.
 * Return: NULL: raise #MC; or why the architecture shuts the CPU down instead: nothing was changed.
 */
const char *must_check mca_consume(struct mca_state *s, const struct mca_kind *kind,
				   const struct mca_access *access);

#endif
