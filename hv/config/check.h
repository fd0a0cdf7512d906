/* SPDX-License-Identifier: MIT */
/* The rules between the keys of a run. */
#ifndef HV_CONFIG_CHECK_H
#define HV_CONFIG_CHECK_H

#include "hv/config/text.h"

/**
 * config_settle() - decide what the user left open in a run, and check the rules between its keys.
 * @line: of the run, for the message
 * Return: 0, or -EINVAL and *error, which names the keys and the remedy.
 */
int must_check config_settle(struct run_config *run, struct config_error *error, unsigned int line);

#endif
