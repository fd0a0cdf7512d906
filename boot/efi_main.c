/* SPDX-License-Identifier: MIT */
/* Where the firmware enters: ask it everything, take what is needed, leave it. */
#include "boot/base/refuse.h"
#include "boot/bringup/bringup.h"
#include "boot/firmware/files.h"
#include "boot/firmware/machine.h"
#include "boot/firmware/memory.h"
#include "hv/base/startup.h"

static struct boot_info info;
static struct boot_plan plan;

static void firmware_meet(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	static EFI_GUID loaded_image = LOADED_IMAGE_PROTOCOL;
	EFI_STATUS status;

	firmware.image = image;
	firmware.st = st;
	firmware.bs = st->BootServices;
	status = firmware.bs->HandleProtocol(image, &loaded_image, (void **)&firmware.loaded);
	if (EFI_ERROR(status))
		refuse("the firmware does not say where it loaded Cleave from");
	info.image_base = (uintptr_t)firmware.loaded->ImageBase;
	info.image_bytes = ALIGN_UP(firmware.loaded->ImageSize, PAGE_SIZE);
	memmap_reserve(info.image_base >> PAGE_SHIFT, info.image_bytes >> PAGE_SHIFT);
}

/* @entered: TSC at the first instruction */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st, uint64_t entered);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st, uint64_t entered)
{
	struct memory_map map = { 0 };

	startup_begin(entered);
	firmware_meet(image, st);
	options_load(&info.config);
	cpu_require();
	modules_load(&info);
	startup_mark(STARTUP_FILES);
	find_cpus(&info, &plan);
	startup_mark(STARTUP_ACPI);
	info.tsc_khz = info.config.tsc_khz ? info.config.tsc_khz : tsc_measure();
	startup_mark(STARTUP_TSC);
	place_plan(&plan);
	startup_mark(STARTUP_PLACES);
	boot_services_exit(&map);
	memmap_usable(&map, &plan.usable);
	memmap_ram(&map, &plan.ram);
	interrupts_quiet(&plan);
	startup_mark(STARTUP_FIRMWARE);
	enter(&info, &plan);
}
