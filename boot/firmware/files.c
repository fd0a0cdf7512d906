/* SPDX-License-Identifier: MIT */
/* Files on the volume that we were loaded from. */
#include "boot/firmware/files.h"

#include "boot/base/refuse.h"

EFI_FILE_PROTOCOL *volume_open(void)
{
	static EFI_GUID file_system = SIMPLE_FILE_SYSTEM_PROTOCOL;
	EFI_FILE_IO_INTERFACE *volume;
	EFI_FILE_PROTOCOL *root;
	EFI_STATUS status;

	status = firmware.bs->HandleProtocol(firmware.loaded->DeviceHandle, &file_system,
					     (void **)&volume);
	/* Loaded over a network, or by a tool that hands over bare memory. */
	if (EFI_ERROR(status))
		return NULL;
	status = volume->OpenVolume(volume, &root);
	if (EFI_ERROR(status))
		refuse("the volume that Cleave was loaded from does not open (status 0x%lx)",
		       status);
	return root;
}

uint64_t file_bytes(EFI_FILE_PROTOCOL *file, const char *name)
{
	static EFI_GUID file_info = EFI_FILE_INFO_ID;
	static union file_info buffer;
	UINTN room = sizeof(buffer);
	EFI_STATUS status = file->GetInfo(file, &file_info, &room, &buffer);

	if (EFI_ERROR(status))
		refuse("%s: the firmware does not tell its size (status 0x%lx)", name, status);
	return buffer.info.FileSize;
}

void file_read(EFI_FILE_PROTOCOL *file, const char *name, void *to, uint64_t bytes)
{
	UINTN got = bytes;
	EFI_STATUS status = file->Read(file, &got, to);

	if (EFI_ERROR(status))
		refuse("%s: cannot be read (status 0x%lx)", name, status);
	if (got != bytes)
		refuse("%s: ends after %lu of %lu bytes", name, (uint64_t)got, bytes);
}

bool ascii(char *to, size_t size, const CHAR16 *from)
{
	for (size_t i = 0; i < size; i++) {
		if (from[i] > '~' || (from[i] && from[i] < ' '))
			return false;
		to[i] = (char)from[i];
		if (!from[i])
			return true;
	}
	return false;
}
