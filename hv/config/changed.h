/* SPDX-License-Identifier: MIT */
/* A run's configuration as one line that can be used again. */
#ifndef HV_CONFIG_CHANGED_H
#define HV_CONFIG_CHANGED_H

#include "hv/config/text.h"

/* Adds each key of the run whose value is not the default: " guest=random region=64M". As SET= of
 * make run, or as load options, this makes the same run of an empty configuration. */
void config_put_changed(const struct run_config *run, char text[CONFIG_TEXT_MAX]);

#endif
