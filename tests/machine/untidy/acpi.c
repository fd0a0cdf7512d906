/* SPDX-License-Identifier: MIT */
/* A MADT with CPUs that do not exist, in the place of the right one. */
#include "hv/base/string.h"
#include "tests/machine/untidy/untidy.h"

#define HEADER    36 /* bytes of a table before its contents */
#define AT_LENGTH 4  /* offsets of the header's members */
#define AT_SUM    9
#define AT_XSDT   24 /* in the root pointer */
#define BOGUS                                                                                      \
	{                                                                                          \
		0x100, 0x4201, 0x1ff, 0xff, 0xffffffff                                             \
	}
#define ENTRY_SIZE 16 /* of type 9 */

static uint32_t length_of(const uint8_t *table)
{
	uint32_t bytes;

	memcpy(&bytes, table + AT_LENGTH, sizeof(bytes));
	return bytes;
}

static void fix_sum(uint8_t *table)
{
	uint8_t sum = 0;

	table[AT_SUM] = 0;
	for (uint32_t i = 0; i < length_of(table); i++)
		sum = (uint8_t)(sum + table[i]);
	table[AT_SUM] = (uint8_t)-sum;
}

static uint8_t *find_xsdt(EFI_SYSTEM_TABLE *st)
{
	EFI_GUID guid = ACPI_20_TABLE_GUID;
	uint64_t xsdt;

	for (UINTN i = 0; i < st->NumberOfTableEntries; i++) {
		if (memcmp(&st->ConfigurationTable[i].VendorGuid, &guid, sizeof(guid)))
			continue;
		memcpy(&xsdt, (char *)st->ConfigurationTable[i].VendorTable + AT_XSDT,
		       sizeof(xsdt));
		return (uint8_t *)(uintptr_t)xsdt;
	}
	return NULL;
}

/* A copy with room for the bogus entries, which come first, before the true ones. */
static uint8_t *spoiled_copy(EFI_BOOT_SERVICES *bs, const uint8_t *madt)
{
	static const uint32_t bogus[] = BOGUS;
	uint32_t head = HEADER + 8, bytes = length_of(madt);
	uint8_t *copy, *entry;

	if (EFI_ERROR(bs->AllocatePool(EfiACPIReclaimMemory, bytes + sizeof(bogus) * ENTRY_SIZE,
				       (void **)&copy)))
		return NULL;
	memcpy(copy, madt, head);
	for (unsigned int i = 0; i < ARRAY_LEN(bogus); i++) {
		entry = copy + head + i * ENTRY_SIZE;
		memset(entry, 0, ENTRY_SIZE);
		entry[0] = 9;
		entry[1] = ENTRY_SIZE;
		memcpy(entry + 4, &bogus[i], sizeof(bogus[i]));
		entry[8] = 1; /* enabled */
	}
	memcpy(copy + head + ARRAY_LEN(bogus) * ENTRY_SIZE, madt + head, bytes - head);
	bytes += ARRAY_LEN(bogus) * ENTRY_SIZE;
	memcpy(copy + AT_LENGTH, &bytes, sizeof(bytes));
	fix_sum(copy);
	return copy;
}

bool acpi_spoil(EFI_SYSTEM_TABLE *st)
{
	uint8_t *xsdt = find_xsdt(st), *table;

	for (uint32_t at = HEADER; xsdt && at + sizeof(table) <= length_of(xsdt);
	     at += sizeof(table)) {
		memcpy(&table, xsdt + at, sizeof(table));
		if (memcmp(table, "APIC", 4))
			continue;
		table = spoiled_copy(st->BootServices, table);
		if (!table)
			return false;
		memcpy(xsdt + at, &table, sizeof(table));
		fix_sum(xsdt);
		return true;
	}
	return false;
}
