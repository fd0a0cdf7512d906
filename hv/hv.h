/* SPDX-License-Identifier: MIT */
/* The hypervisor's entries, for boot/. None returns but hv_trap(). */
#ifndef HV_HV_H
#define HV_HV_H

#include "hv/base/trap.h"
#include "hv/config/boot_info.h"

/* On the boot CPU: own page tables, descriptors and stack, all other CPUs in hv_cpu_main(). */
_Noreturn void hv_main(struct boot_info *info);

/* On each other CPU, likewise. */
_Noreturn void hv_cpu_main(void);

/* Every exception and interrupt taken in root mode. Returning resumes what was interrupted. */
void hv_trap(struct trap_frame *frame);

#endif
