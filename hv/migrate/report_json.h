/* SPDX-License-Identifier: MIT */
/* The line of JSON of a migration, and what each run's line has in it. */
#ifndef HV_MIGRATE_REPORT_JSON_H
#define HV_MIGRATE_REPORT_JSON_H

#include "hv/base/json.h"
#include "hv/migrate/report.h"

/* All that determines the run, as the configuration would say it: the member "config". */
void report_knobs(struct json *j, const struct run_config *config);

void report_json(const struct migration *m, const struct figures *f);

#endif
