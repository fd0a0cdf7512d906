/* SPDX-License-Identifier: MIT */
/* In-machine test of the hypervisor's own address space and stacks. */
#ifndef TESTS_MACHINE_SPACE_H
#define TESTS_MACHINE_SPACE_H

#include "hv/job/jobs.h"

/* Reads the page tables, then tries with real accesses what they forbid. */
const char *space_job(const struct run_config *config, const struct boot_info *info);

#endif
