/* SPDX-License-Identifier: MIT */
/* Every key of the configuration, with its value, for a report: all that determines a run. */
#ifndef HV_MIGRATE_KNOBS_H
#define HV_MIGRATE_KNOBS_H

#include "hv/base/json.h"
#include "hv/config/config.h"

/* Adds two objects: `config`, the run's keys, and `machine_config`, the machine's. */
void knobs_put(struct json *j, const struct hv_config *machine, const struct run_config *run);

#endif
