/* SPDX-License-Identifier: MIT */
/* Names of refusals. See ept/refusal.h. */
#include "ept/refusal.h"

const char *ept_refusal_name(int refusal)
{
	switch (refusal) {
#define X(name, number, word, what)                                                                \
	case name:                                                                                 \
		return word;
		EPT_REFUSALS(X)
#undef X
	default:
		return "?";
	}
}
