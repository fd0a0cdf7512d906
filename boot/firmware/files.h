/* SPDX-License-Identifier: MIT */
/* Reading configuration and payloads from the volume that we were loaded from. */
#ifndef BOOT_FIRMWARE_FILES_H
#define BOOT_FIRMWARE_FILES_H

#include "boot/base/efi.h"
#include "hv/config/boot_info.h"

/* Reads `\cleave.cfg` and the load options into *config. */
void options_load(struct hv_config *config);

/* Reads every `\guests\*.bin` into memory of its own. */
void modules_load(struct boot_info *info);

/* A file's description with its name behind it; a FAT name has at most 255 characters. */
#define FILE_NAME_MAX 256
union file_info {
	EFI_FILE_INFO info;
	char bytes[sizeof(EFI_FILE_INFO) + FILE_NAME_MAX * sizeof(CHAR16)];
};

/* Opens the root folder of the volume that we were loaded from, or NULL where that has no files. */
EFI_FILE_PROTOCOL *volume_open(void);

/* Bytes in an open file. @name: for the refusal, here and below */
uint64_t file_bytes(EFI_FILE_PROTOCOL *file, const char *name);

/* Reads a whole file. */
void file_read(EFI_FILE_PROTOCOL *file, const char *name, void *to, uint64_t bytes);

/* ASCII text of a firmware string, or false if it is not ASCII or does not fit. */
bool ascii(char *to, size_t size, const CHAR16 *from);

#endif
