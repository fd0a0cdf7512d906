/* SPDX-License-Identifier: MIT */
/* The firmware that started us. */
#ifndef BOOT_BASE_EFI_H
#define BOOT_BASE_EFI_H

#include <efi.h>

struct firmware {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *st;
	EFI_BOOT_SERVICES *bs; /* NULL after ExitBootServices */
	EFI_LOADED_IMAGE *loaded;
};

extern struct firmware firmware;

#endif
