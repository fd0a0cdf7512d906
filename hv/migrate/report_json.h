/* SPDX-License-Identifier: MIT */
/* The line of JSON of a migration. */
#ifndef HV_MIGRATE_REPORT_JSON_H
#define HV_MIGRATE_REPORT_JSON_H

#include "hv/migrate/report.h"

void report_json(const struct migration *m, const struct figures *f);

#endif
