/* SPDX-License-Identifier: MIT */
/* The payloads: every `\guests\*.bin` of the volume that we were loaded from. */
#include "boot/base/refuse.h"
#include "boot/firmware/files.h"
#include "boot/firmware/memory.h"
#include "hv/base/string.h"
#include "mm/machine.h"

#define BYTES_MAX (256 * MIB) /* of one payload */

/* Cuts ".bin" off. Return: was it there, in any case? */
static bool cut_suffix(char *name)
{
	static const char suffix[] = ".bin";
	size_t n = strlen(name), s = sizeof(suffix) - 1;

	if (n <= s)
		return false;
	for (size_t i = 0; i < s; i++) {
		char c = name[n - s + i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != suffix[i])
			return false;
	}
	name[n - s] = 0;
	return true;
}

static void module_load(struct boot_info *info, EFI_FILE_PROTOCOL *folder, CHAR16 *file_name,
			const char *name)
{
	struct boot_module *m = &info->module[info->nmodules];
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	uint64_t bytes;
	hpa_t at;

	if (info->nmodules == BOOT_MODULES_MAX)
		refuse("\\guests has more than %d payloads", BOOT_MODULES_MAX);
	if (strlen(name) >= sizeof(m->name))
		refuse("%s: a payload's name may have %zu letters", name, sizeof(m->name) - 1);
	status = folder->Open(folder, &file, file_name, EFI_FILE_MODE_READ, 0);
	if (EFI_ERROR(status))
		refuse("%s: cannot be opened (status 0x%lx)", name, status);
	bytes = file_bytes(file, name);
	if (!bytes || bytes > BYTES_MAX)
		refuse("%s: has %lu bytes; a payload has 1 to %lu", name, bytes, BYTES_MAX);
	at = place_pages(ALIGN_UP(bytes, PAGE_SIZE) >> PAGE_SHIFT, UINT64_MAX, name);
	file_read(file, name, (void *)(uintptr_t)at.v, bytes);
	file->Close(file);
	memcpy(m->name, name, strlen(name) + 1);
	m->data = direct(at);
	m->bytes = bytes;
	info->nmodules++;
}

/* Return: the next entry of the folder, or NULL behind the last. */
static EFI_FILE_INFO *next_entry(EFI_FILE_PROTOCOL *folder)
{
	static union file_info buffer;
	UINTN bytes = sizeof(buffer);
	EFI_STATUS status = folder->Read(folder, &bytes, &buffer);

	if (EFI_ERROR(status))
		refuse("\\guests cannot be read (status 0x%lx)", status);
	return bytes ? &buffer.info : NULL;
}

void modules_load(struct boot_info *info)
{
	static char name[FILE_NAME_MAX];
	EFI_FILE_PROTOCOL *root = volume_open(), *folder;
	EFI_FILE_INFO *entry;
	EFI_STATUS status;

	if (!root)
		return;
	status = root->Open(root, &folder, (CHAR16 *)L"\\guests", EFI_FILE_MODE_READ, 0);
	if (status == EFI_NOT_FOUND)
		return;
	if (EFI_ERROR(status))
		refuse("\\guests cannot be opened (status 0x%lx)", status);
	while ((entry = next_entry(folder))) {
		if (entry->Attribute & EFI_FILE_DIRECTORY)
			continue;
		if (!ascii(name, FILE_NAME_MAX, entry->FileName))
			refuse("\\guests: a file has a name that is not ASCII");
		if (cut_suffix(name))
			module_load(info, folder, entry->FileName, name);
	}
	folder->Close(folder);
	root->Close(root);
}
