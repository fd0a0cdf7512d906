/* SPDX-License-Identifier: MIT */
/*
 * What boot/ hands to the hypervisor: facts about the machine, asked of the firmware. Lives in the
 * hypervisor's own data, for good.
 */
#ifndef HV_CONFIG_BOOT_INFO_H
#define HV_CONFIG_BOOT_INFO_H

#include "hv/config/config.h"

#define BOOT_RANGES_MAX  256
#define BOOT_MODULES_MAX 16

struct boot_range {
	uint64_t pfn; /* first frame */
	uint64_t frames;
};

struct boot_module {
	char name[CONFIG_NAME_MAX]; /* the file's name without folder and .bin */
	const void *data;           /* in the direct map, read-only */
	uint64_t bytes;
};

struct boot_info {
	unsigned int cpus; /* that run, the boot CPU first */
	uint32_t apic_id[MAX_CPUS];
	uint64_t tsc_khz;
	uint64_t ram_frames;  /* in the ranges */
	unsigned int nranges; /* usable memory that was given to the frame allocator */
	struct boot_range range[BOOT_RANGES_MAX];
	unsigned int nmodules; /* payloads from the ESP */
	struct boot_module module[BOOT_MODULES_MAX];
	uint64_t image_base; /* where the firmware loaded us, bytes */
	uint64_t image_bytes;
	hpa_t rsdp; /* ACPI root pointer, or HPA_NONE */
	struct hv_config config;
};

#endif
