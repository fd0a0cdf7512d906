/* SPDX-License-Identifier: MIT */
/*
 * Finds the CPUs: by ACPI, or, if the firmware has no ACPI tables (as OVMF on Bochs), by its
 * multiprocessor services (UEFI Platform Initialization 1.7, vol. 2, 13.4).
 */
#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "mm/apic.h"

#define MP_SERVICES_GUID                                                                           \
	{                                                                                          \
		0x3fdda605, 0xa76e, 0x4f46,                                                        \
		{                                                                                  \
			0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08                             \
		}                                                                                  \
	}

#define STATUS_ENABLED 2
#define STATUS_HEALTHY 4

struct processor {
	UINT64 apic_id;
	UINT32 status;
	UINT32 where[3];
	UINT32 where_extended[6];
	UINT64 room[4]; /* for what later versions add */
};

/* The protocol's first two functions; GNU-EFI does not have it. */
struct mp_services {
	EFI_STATUS(EFIAPI *count)(struct mp_services *mp, UINTN *all, UINTN *enabled);
	EFI_STATUS(EFIAPI *get)(struct mp_services *mp, UINTN number, struct processor *p);
};

/* Return: did the firmware say anything? */
static bool ask_firmware(struct cpu_list *cpus)
{
	static EFI_GUID guid = MP_SERVICES_GUID;
	struct mp_services *mp;
	UINTN all, enabled;

	if (EFI_ERROR(firmware.bs->LocateProtocol(&guid, NULL, (void **)&mp)) ||
	    EFI_ERROR(mp->count(mp, &all, &enabled)))
		return false;
	for (UINTN i = 0; i < all; i++) {
		struct processor p = { 0 };

		if (!EFI_ERROR(mp->get(mp, i, &p)) && p.status & STATUS_ENABLED &&
		    p.status & STATUS_HEALTHY)
			cpu_list_add(cpus, CPU_BY_FIRMWARE, p.apic_id);
	}
	return true;
}

void find_cpus(struct boot_info *info, struct boot_plan *plan)
{
	cpu_list_begin(&plan->cpus, apic_id(), apic_is_x2apic());
	if (!acpi_load(info, plan) && !ask_firmware(&plan->cpus))
		refuse("the firmware has neither ACPI tables nor multiprocessor services: "
		       "the CPUs cannot be found");
}
