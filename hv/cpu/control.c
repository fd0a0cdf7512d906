/* SPDX-License-Identifier: MIT */
/* Values of a guest's control registers. See hv/cpu/control.h. */
#include "hv/cpu/control.h"

#include "mm/x86.h"

#define CR0_NW      (1u << 29)
#define CR0_CD      (1u << 30)
#define CR0_DEFINED UINT64_C(0xe005003f)

#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_PSE (1u << 4)
#define CR4_PCE (1u << 8)
#define CR4_ALLOWED                                                                                \
	((uint64_t)(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | \
		    CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_SMEP | CR4_SMAP))

#define EFER_ALLOWED ((uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))

bool control_set_cr0(struct control *c, uint64_t value)
{
	bool paging = value & CR0_PG, lme = c->efer & EFER_LME;

	if (value & ~UINT64_C(0xffffffff))
		return false;
	value &= CR0_DEFINED; /* the others are ignored */
	if ((paging && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return false;
	if (paging && lme && !(c->cr4 & CR4_PAE))
		return false;
	/* Long mode neither begins nor ends in 64-bit code. */
	if ((value ^ c->cr0) & CR0_PG && lme && c->code_64)
		return false;
	c->cr0 = value;
	c->efer = (c->efer & ~(uint64_t)EFER_LMA) | (paging && lme ? EFER_LMA : 0);
	return true;
}

bool control_set_cr4(struct control *c, uint64_t value)
{
	uint64_t allowed = CR4_ALLOWED | (c->xsave ? CR4_OSXSAVE : 0);

	if (value & ~allowed || (c->efer & EFER_LMA && !(value & CR4_PAE)))
		return false;
	c->cr4 = value;
	return true;
}

bool control_set_efer(struct control *c, uint64_t value)
{
	if (value & ~EFER_ALLOWED || ((value ^ c->efer) & EFER_LME && c->cr0 & CR0_PG))
		return false;
	c->efer = (value & ~(uint64_t)EFER_LMA) | (c->efer & EFER_LMA);
	return true;
}

bool control_pat_valid(uint64_t value)
{
	for (unsigned int i = 0; i < 8; i++, value >>= 8) {
		uint64_t type = value & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}
