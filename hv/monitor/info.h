/* SPDX-License-Identifier: MIT */
/* What the monitor's `info` commands say. They change nothing, and may be asked at any time. */
#ifndef HV_MONITOR_INFO_H
#define HV_MONITOR_INFO_H

#include "hv/monitor/answer.h"
#include "hv/monitor/watched.h"

void info_vm(struct answer *a, const struct watched *w);
void info_cpus(struct answer *a, const struct watched *w);
void info_mem(struct answer *a, const struct watched *w);
void info_ept(struct answer *a, const struct watched *w);
void info_stats(struct answer *a, const struct watched *w);
void info_knobs(struct answer *a, const struct watched *w);

/* What a key of the configuration means. False: there is none of this name. */
bool info_key(struct answer *a, const char *name);

/* Of one page. @gfn: anywhere. NULL, or why not. */
const char *info_page(struct answer *a, const struct watched *w, gfn_t gfn);

/* NULL, or: there is no migration. */
const char *info_migration(struct answer *a, const struct watched *w);

/* What a vCPU does: a word. */
const char *info_run_state(const struct vcpu *vcpu);

#endif
