/* SPDX-License-Identifier: MIT */
/* Starts the hypervisor from memory, and hooks itself behind ExitBootServices. */
#include "tests/machine/untidy/untidy.h"

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

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	EFI_BOOT_SERVICES *bs = st->BootServices;
	EFI_HANDLE child = NULL;
	EFI_STATUS status;

	status = bs->LoadImage(FALSE, image, NULL, (void *)hypervisor,
			       (uintptr_t)hypervisor_end - (uintptr_t)hypervisor, &child);
	if (EFI_ERROR(status))
		return status;
	/* Its configuration and its payloads lie beside us. */
	loaded_image(bs, child)->DeviceHandle = loaded_image(bs, image)->DeviceHandle;
	if (!acpi_spoil(st))
		return EFI_NOT_FOUND;
	leave_boot_services = bs->ExitBootServices;
	bs->ExitBootServices = leave_untidily;
	return bs->StartImage(child, NULL, NULL);
}
