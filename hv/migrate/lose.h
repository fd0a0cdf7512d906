/* SPDX-License-Identifier: MIT */
/* Losing pages on purpose: lose= at the source, lose_late= at the destination. */
#ifndef HV_MIGRATE_LOSE_H
#define HV_MIGRATE_LOSE_H

#include "hv/config/config.h"
#include "hv/mem/bitmap.h"
#include "hv/mem/memory.h"

/**
 * lose_pages() - lose n pages that the payload does not use, chosen by the run's seed.
 * @lost: a bit for each page; sets the bits of the chosen pages, skips pages whose bit is set
 * Return: NULL, or why that is not possible. Flush: made.
 */
const char *lose_pages(struct memory *mem, const struct run_config *config, unsigned int n,
		       struct bitmap *lost);

/* Does a payload use this page? Most payloads do not expect a machine check. */
bool lose_is_used(const struct run_config *config, gfn_t gfn);

#endif
