/* SPDX-License-Identifier: MIT */
/*
 * The image's first instructions. We are linked for address 0 and the firmware, which does not know
 * ELF's relocations, loads us anywhere: so they come first, and nothing before them may use an
 * address that the linker has written into data.
 */
#include "boot/base/efi.h"

#include "mm/x86.h"

#define R_X86_64_RELATIVE 8 /* System V ABI, AMD64 supplement, "Relocation Types" */

struct rela {
	uint64_t offset; /* of the word, from the image's start */
	uint64_t type;
	uint64_t addend; /* what it points to, from the image's start */
};

/* linker.ld. The linker is told to leave no relocation of another type. */
extern char ImageBase[];
extern const struct rela image_rela[], image_rela_end[];

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st, uint64_t entered);
EFI_STATUS EFIAPI efi_entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS EFIAPI efi_entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	uint64_t entered = x86_rdtsc();

	for (const struct rela *r = image_rela; (uintptr_t)r < (uintptr_t)image_rela_end; r++) {
		if (r->type != R_X86_64_RELATIVE)
			return EFI_LOAD_ERROR;
		*(uint64_t *)(ImageBase + r->offset) = (uintptr_t)ImageBase + r->addend;
	}
	return efi_main(image, st, entered);
}
