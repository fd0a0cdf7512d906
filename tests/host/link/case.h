/* SPDX-License-Identifier: MIT */
/* What tests of two machines and the link between them share. */
#ifndef TESTS_HOST_LINK_CASE_H
#define TESTS_HOST_LINK_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm/err.h"
#include "tests/host/link/machines.h"

#define SECONDS UINT64_C(1000000)

static const struct faults none = { .delay = 100, .each = 10 };
static struct machines m;

static inline void begin_with(const struct faults *faults)
{
	machines_init(&m, 5, faults);
}

static inline void steps(uint64_t us)
{
	for (uint64_t end = m.now + us; m.now < end && !m.broken;)
		machines_step(&m);
}

static inline void ends_right(void)
{
	const char *why;

	if (!machines_until(&m, ASKER_DONE, 60 * SECONDS))
		fail_msg("phase %d: %s%s", asker_phase(&m.asker), m.broken ? m.broken : "",
			 link_reason_text(asker_reason(&m.asker)));
	why = machines_verify(&m);
	if (why)
		fail_msg("%s", why);
}

#endif
