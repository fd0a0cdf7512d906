/* SPDX-License-Identifier: MIT */
/* The CPUs and the I/O APICs, as ACPI lists them (ACPI 6.5, 5.2.5 "Root System Description Pointer"
 * and 5.2.12 "Multiple APIC Description Table"). */
#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "hv/base/string.h"

#define RSDP_BYTES_V1 20
#define RSDP_BYTES_V2 36
#define TABLE_MAX     (16 * MIB) /* longer is no table but nonsense */

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length; /* from here on: revision 2 */
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct table {
	char signature[4];
	uint32_t length; /* bytes, with this header */
	uint8_t revision;
	uint8_t checksum;
	char names[26];
} __attribute__((packed));

struct madt {
	struct table header;
	uint32_t apic;
	uint32_t flags;
	/* entries follow, each with its type and its length in the first two bytes */
} __attribute__((packed));

#define MADT_LOCAL_APIC   0
#define MADT_IOAPIC       1
#define MADT_LOCAL_X2APIC 9
#define MADT_ENABLED      1

struct madt_apic {
	uint8_t type, length, processor, id;
	uint32_t flags;
} __attribute__((packed));

struct madt_x2apic {
	uint8_t type, length, reserved[2];
	uint32_t id, flags, processor;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_interrupt;
} __attribute__((packed));

_Static_assert(sizeof(struct rsdp) == RSDP_BYTES_V2 && sizeof(struct table) == 36 &&
		       sizeof(struct madt) == 44 && sizeof(struct madt_x2apic) == 16,
	       "as ACPI lays them out");

static bool sums_to_zero(const void *start, size_t bytes)
{
	const uint8_t *p = start;
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	return !sum;
}

static const struct rsdp *find_in_configuration(EFI_GUID guid)
{
	const EFI_SYSTEM_TABLE *st = firmware.st;

	for (UINTN i = 0; i < st->NumberOfTableEntries; i++)
		if (!memcmp(&st->ConfigurationTable[i].VendorGuid, &guid, sizeof(guid)))
			return st->ConfigurationTable[i].VendorTable;
	return NULL;
}

/* Return: the root pointer, or NULL if there is none. */
static const struct rsdp *find_rsdp(void)
{
	const struct rsdp *rsdp = find_in_configuration((EFI_GUID)ACPI_20_TABLE_GUID);

	if (!rsdp)
		rsdp = find_in_configuration((EFI_GUID)ACPI_TABLE_GUID);
	if (!rsdp)
		return NULL;
	if (memcmp(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature)) ||
	    !sums_to_zero(rsdp, rsdp->revision < 2 ? RSDP_BYTES_V1 : RSDP_BYTES_V2))
		refuse("the ACPI root pointer at %p is broken", (const void *)rsdp);
	return rsdp;
}

static const struct table *table_at(uint64_t address)
{
	const struct table *t = (const struct table *)(uintptr_t)address;

	if (!t || t->length < sizeof(*t) || t->length > TABLE_MAX || !sums_to_zero(t, t->length))
		refuse("the ACPI table at 0x%lx is broken", address);
	return t;
}

static const struct table *find_table(const struct rsdp *rsdp, const char *signature)
{
	bool wide = rsdp->revision >= 2 && rsdp->xsdt;
	const struct table *root = table_at(wide ? rsdp->xsdt : rsdp->rsdt);
	size_t size = wide ? 8 : 4;

	for (size_t at = sizeof(*root); at + size <= root->length; at += size) {
		uint64_t address = 0; /* entries of the wide table are not aligned */

		memcpy(&address, (const char *)root + at, size);
		/* A table that nobody needs may be broken. */
		if (address && !memcmp((const void *)(uintptr_t)address, signature, 4))
			return table_at(address);
	}
	return NULL;
}

static void add_ioapic(struct boot_plan *plan, uint32_t address)
{
	if (plan->nioapics == BOOT_IOAPICS_MAX)
		refuse("the MADT lists more than %d I/O APICs", BOOT_IOAPICS_MAX);
	plan->ioapic[plan->nioapics++] = address;
}

static void add_entry(struct boot_plan *plan, const uint8_t *entry)
{
	struct madt_apic apic;
	struct madt_x2apic x2apic;
	struct madt_ioapic ioapic;

	if (entry[0] == MADT_LOCAL_APIC && entry[1] >= sizeof(apic)) {
		memcpy(&apic, entry, sizeof(apic));
		if (apic.flags & MADT_ENABLED)
			cpu_list_add(&plan->cpus, CPU_BY_APIC, apic.id);
	} else if (entry[0] == MADT_LOCAL_X2APIC && entry[1] >= sizeof(x2apic)) {
		memcpy(&x2apic, entry, sizeof(x2apic));
		if (x2apic.flags & MADT_ENABLED)
			cpu_list_add(&plan->cpus, CPU_BY_X2APIC, x2apic.id);
	} else if (entry[0] == MADT_IOAPIC && entry[1] >= sizeof(ioapic)) {
		memcpy(&ioapic, entry, sizeof(ioapic));
		add_ioapic(plan, ioapic.address);
	}
}

static void add_entries(struct boot_plan *plan, const struct table *madt, uint8_t type)
{
	for (size_t at = sizeof(struct madt); at + 2 <= madt->length;) {
		const uint8_t *entry = (const uint8_t *)madt + at;

		if (entry[1] < 2 || at + entry[1] > madt->length)
			refuse("the MADT is broken at byte %zu", at);
		if (entry[0] == type)
			add_entry(plan, entry);
		at += entry[1];
	}
}

bool acpi_load(struct boot_info *info, struct boot_plan *plan)
{
	const struct rsdp *rsdp = find_rsdp();
	const struct table *madt;

	info->rsdp = HPA_NONE;
	if (!rsdp)
		return false;
	info->rsdp = hpa((uintptr_t)rsdp);
	madt = find_table(rsdp, "APIC");
	if (!madt)
		return false;
	add_entries(plan, madt, MADT_LOCAL_APIC);
	add_entries(plan, madt, MADT_LOCAL_X2APIC);
	add_entries(plan, madt, MADT_IOAPIC);
	return true;
}
