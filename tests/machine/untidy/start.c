/* SPDX-License-Identifier: MIT */
/* Starts the hypervisor from memory, and hooks itself behind ExitBootServices. */
#include "hv/base/string.h"
#include "mm/x86.h"
#include "tests/machine/untidy/untidy.h"

#define CPUID7_ECX_LA57 (1u << 16)

static EFI_EXIT_BOOT_SERVICES leave_boot_services;

static EFI_STATUS EFIAPI leave_untidily(EFI_HANDLE image, UINTN key)
{
	EFI_STATUS status = leave_boot_services(image, key);

	if (!EFI_ERROR(status))
		interrupts_spoil();
	return status;
}

static EFI_LOADED_IMAGE *loaded_image(EFI_BOOT_SERVICES *bs, EFI_HANDLE image)
{
	static EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
	EFI_LOADED_IMAGE *loaded = NULL;

	bs->HandleProtocol(image, &guid, (void **)&loaded);
	return loaded;
}

/* Where the CPU has it. */
static void page_by_five_levels(EFI_BOOT_SERVICES *bs)
{
	EFI_PHYSICAL_ADDRESS root = 4 * GIB - 1;

	if (!(x86_cpuid(7, 0).ecx & CPUID7_ECX_LA57) ||
	    EFI_ERROR(bs->AllocatePages(AllocateMaxAddress, EfiBootServicesData, 1, &root)))
		return;
	memset((void *)(uintptr_t)root, 0, PAGE_SIZE);
	five_levels((void *)(uintptr_t)root);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st, uint64_t entered);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st, uint64_t entered)
{
	EFI_BOOT_SERVICES *bs = st->BootServices;
	EFI_HANDLE child = NULL;
	EFI_STATUS status;

	(void)entered;
	status = bs->LoadImage(FALSE, image, NULL, (void *)hypervisor,
			       (uintptr_t)hypervisor_end - (uintptr_t)hypervisor, &child);
	if (EFI_ERROR(status))
		return status;
	/* Its configuration and its payloads lie beside us. */
	loaded_image(bs, child)->DeviceHandle = loaded_image(bs, image)->DeviceHandle;
	if (!acpi_spoil(st))
		return EFI_NOT_FOUND;
	page_by_five_levels(bs);
	leave_boot_services = bs->ExitBootServices;
	bs->ExitBootServices = leave_untidily;
	return bs->StartImage(child, NULL, NULL);
}
