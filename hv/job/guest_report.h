/* SPDX-License-Identifier: MIT */
/* The report of a job on a running guest: its figures for people and for programs. */
#ifndef HV_JOB_GUEST_REPORT_H
#define HV_JOB_GUEST_REPORT_H

#include "hv/job/guest_run.h"

/* Call it once all vCPUs have stopped, before the VM is destroyed. */
void guest_report(struct guest_run *run);

#endif
