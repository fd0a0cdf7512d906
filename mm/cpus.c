/* SPDX-License-Identifier: MIT */
/* The CPUs that run. boot/ fills this in while it starts them. */
#include "mm/percpu.h"

struct cpu cpus[MAX_CPUS];
unsigned int ncpus;
