/* SPDX-License-Identifier: MIT */
/* What a job on a running guest tells people and programs: its figures, once each. */
#ifndef HV_JOB_GUEST_REPORT_H
#define HV_JOB_GUEST_REPORT_H

#include "hv/job/guest_run.h"

/* The VM is still there, and all its vCPUs have stopped. */
void guest_report(struct guest_run *run);

#endif
