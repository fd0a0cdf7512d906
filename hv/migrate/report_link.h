/* SPDX-License-Identifier: MIT */
/* What a link has carried: a few lines, and members of the line of JSON. */
#ifndef HV_MIGRATE_REPORT_LINK_H
#define HV_MIGRATE_REPORT_LINK_H

#include "hv/base/json.h"
#include "hv/link/link.h"
#include "hv/net/transport.h"
#include "hv/source/source_link.h"

/* Either side: what it sent and took. */
void report_link_counts(struct json *j, const struct link_stats *stats, const char *suite,
			const struct transport *transport);

/* Either side: pages that each of the @n rounds of pre-copy had to copy. Prints nothing, and has an
 * empty array, where there were none. */
void report_rounds_print(const uint64_t *pages, unsigned int n);
void report_rounds_json(struct json *j, const uint64_t *pages, unsigned int n);

/* The destination's lines and members. @pages: with contents that were placed */
void report_link_print(const struct source_link *link, uint64_t pages);
void report_link_json(struct json *j, const struct source_link *link, uint64_t pages);

#endif
