/* SPDX-License-Identifier: MIT */
/* A guest's ACPI tables: see hv/platform/acpi.h. Sections are those of ACPI 6.5. */
#include "hv/platform/acpi.h"

#define SPACE_IO    1 /* of a generic address: the ports */
#define ACCESS_BYTE 1

/* 5.2.3.2, "Generic Address Structure" */
struct acpi_address {
	uint8_t space, bit_width, bit_offset, access;
	uint64_t address;
} __attribute__((packed));

/* 5.2.5.3, "Root System Description Pointer (RSDP) Structure" */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first RSDP_BYTES_V1 bytes */
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_BYTES_V1 20

/* 5.2.6, "System Description Table Header" */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6];
	char oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* 5.2.8, "Extended System Description Table" */
struct acpi_xsdt {
	struct acpi_header header;
	uint64_t fadt, madt;
} __attribute__((packed));

/* 5.2.9, "Fixed ACPI Description Table". What a hardware-reduced machine does not have is 0. */
struct acpi_fadt {
	struct acpi_header header;
	uint8_t none1[73]; /* FACS, DSDT (32 bits), SCI, SMI, PM1, PM2, PM timer, GPE, C states */
	uint16_t boot_flags;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t facs, dsdt;
	struct acpi_address none2[8]; /* the same blocks again */
	struct acpi_address sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));

#define FADT_REVISION       6
#define FADT_MINOR_REVISION 5

/* 5.2.9, "Fixed ACPI Description Table Fixed Feature Flags" */
#define FADT_WBINVD        (1u << 0) /* must be set */
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_APIC_PHYSICAL (1u << 19) /* no logical destinations, no clusters */
#define FADT_HW_REDUCED    (1u << 20)

/* 5.2.9.3, "IA-PC Boot Architecture Flags". Clear: no legacy devices, no 8042. */
#define FADT_NO_VGA      (1u << 2)
#define FADT_NO_CMOS_RTC (1u << 5)

/* 5.2.12, "Multiple APIC Description Table" */
struct acpi_madt {
	struct acpi_header header;
	uint32_t apic;
	uint32_t flags;
	/* an acpi_madt_apic for each vCPU */
} __attribute__((packed));

/* 5.2.12.2, "Processor Local APIC Structure" */
struct acpi_madt_apic {
	uint8_t type, length, processor, id;
	uint32_t flags;
} __attribute__((packed));

#define MADT_REVISION     6
#define MADT_APIC_ADDRESS 0xfee00000u
#define MADT_LOCAL_APIC   0
#define MADT_ENABLED      1u

/*
 * The DSDT's code, with the source that iasl makes it of beside it. Without _S5 Linux does not
 * switch off. Without the device it takes COM1 to have interrupt 4, which is not there, and then no
 * program can open the console; a device without an interrupt is polled.
 */
static const char dsdt_code[] = /* DefinitionBlock ("", "DSDT", 2, "CLEAVE", "CLEAVE  ", 1) { */
	"\x08_S5_"              /* Name (\_S5, */
	"\x12\x07\x04\x0a\x05\0\0\0"       /* Package () { 5, 0, 0, 0 }) */
	"\x5b\x82\x2d"                     /* Device ( */
	"\x2e_SB_COM1"                     /* \_SB.COM1) { */
	"\x08_HID\x0c\x41\xd0\x05\x01"     /* Name (_HID, EisaId ("PNP0501")) */
	"\x08_UID\0"                       /* Name (_UID, 0) */
	"\x08_CRS\x11\x0d\x0a\x0a"         /* Name (_CRS, ResourceTemplate () { */
	"\x47\x01\xf8\x03\xf8\x03\x01\x08" /* IO (Decode16, 0x03F8, 0x03F8, 1, 8) */
	"\x79";                            /* }) } }; the checksum's 0 is the literal's own */

_Static_assert(ACPI_SLEEP_TYPE_S5 == 5 && ACPI_UART_PORT == 0x3f8 && ACPI_UART_PORTS == 8,
	       "as in the code");

#define DSDT_REVISION 2 /* integers have 64 bits */

_Static_assert(sizeof(struct acpi_address) == 12 && sizeof(struct acpi_rsdp) == 36 &&
		       sizeof(struct acpi_header) == 36 && sizeof(struct acpi_xsdt) == 52 &&
		       sizeof(struct acpi_fadt) == 276 && sizeof(struct acpi_madt) == 44 &&
		       sizeof(struct acpi_madt_apic) == 8,
	       "as ACPI lays them out");

/* Where in the buffer each table begins, and where the last ends. */
#define TABLE_ALIGN 16u
#define XSDT_AT     ALIGN_UP(sizeof(struct acpi_rsdp), TABLE_ALIGN)
#define FADT_AT     ALIGN_UP(XSDT_AT + sizeof(struct acpi_xsdt), TABLE_ALIGN)
#define DSDT_AT     ALIGN_UP(FADT_AT + sizeof(struct acpi_fadt), TABLE_ALIGN)
#define DSDT_BYTES  (sizeof(struct acpi_header) + sizeof(dsdt_code))
#define MADT_AT     ALIGN_UP(DSDT_AT + DSDT_BYTES, TABLE_ALIGN)

#define MADT_BYTES(n) (sizeof(struct acpi_madt) + (n) * sizeof(struct acpi_madt_apic))

_Static_assert(MADT_AT + MADT_BYTES(ACPI_VCPUS_MAX) <= ACPI_BUFFER_BYTES, "enough for all");

/* What makes the bytes, that among them included, sum up to 0. */
static uint8_t checksum(const void *start, size_t bytes)
{
	const uint8_t *p = start;
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

static struct acpi_header header(const char *signature, uint8_t revision, size_t bytes)
{
	struct acpi_header h = {
		.length = (uint32_t)bytes,
		.revision = revision,
		.oem = "CLEAVE",
		.oem_table = "CLEAVE  ",
		.oem_revision = 1,
		.creator = "CLVE",
		.creator_revision = 1,
	};

	__builtin_memcpy(h.signature, signature, sizeof(h.signature));
	return h;
}

/* A table whose header is all that is missing in its sum. */
static void seal(uint8_t *table)
{
	struct acpi_header h;

	__builtin_memcpy(&h, table, sizeof(h));
	h.checksum = checksum(table, h.length);
	__builtin_memcpy(table, &h, sizeof(h));
}

static struct acpi_address port(uint16_t number)
{
	return (struct acpi_address){ SPACE_IO, 8, 0, ACCESS_BYTE, number };
}

static void put_rsdp(uint8_t *at, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.signature = "RSD PTR ",
		.oem = "CLEAVE",
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	rsdp.checksum = checksum(&rsdp, RSDP_BYTES_V1);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	__builtin_memcpy(at, &rsdp, sizeof(rsdp));
}

static void put_xsdt(uint8_t *at, uint64_t fadt, uint64_t madt)
{
	struct acpi_xsdt xsdt = {
		.header = header("XSDT", 1, sizeof(xsdt)),
		.fadt = fadt,
		.madt = madt,
	};

	__builtin_memcpy(at, &xsdt, sizeof(xsdt));
	seal(at);
}

static void put_fadt(uint8_t *at, uint64_t dsdt)
{
	struct acpi_fadt fadt = {
		.header = header("FACP", FADT_REVISION, sizeof(fadt)),
		.boot_flags = FADT_NO_VGA | FADT_NO_CMOS_RTC,
		.flags = FADT_WBINVD | FADT_RESET_REG_SUP | FADT_APIC_PHYSICAL | FADT_HW_REDUCED,
		.reset = port(ACPI_PORT_RESET),
		.reset_value = ACPI_RESET_VALUE,
		.minor_revision = FADT_MINOR_REVISION,
		.dsdt = dsdt,
		.sleep_control = port(ACPI_PORT_SLEEP_CONTROL),
		.sleep_status = port(ACPI_PORT_SLEEP_STATUS),
		.hypervisor = "CLEAVE  ",
	};

	__builtin_memcpy(at, &fadt, sizeof(fadt));
	seal(at);
}

static void put_dsdt(uint8_t *at)
{
	struct acpi_header h = header("DSDT", DSDT_REVISION, DSDT_BYTES);

	__builtin_memcpy(at, &h, sizeof(h));
	__builtin_memcpy(at + sizeof(h), dsdt_code, sizeof(dsdt_code));
	seal(at);
}

static void put_madt(uint8_t *at, unsigned int nvcpus)
{
	struct acpi_madt madt = {
		.header = header("APIC", MADT_REVISION, MADT_BYTES(nvcpus)),
		.apic = MADT_APIC_ADDRESS,
	};

	__builtin_memcpy(at, &madt, sizeof(madt));
	for (unsigned int i = 0; i < nvcpus; i++) {
		struct acpi_madt_apic apic = { MADT_LOCAL_APIC, sizeof(apic), (uint8_t)i,
					       (uint8_t)i, MADT_ENABLED };

		__builtin_memcpy(at + MADT_BYTES(i), &apic, sizeof(apic));
	}
	seal(at);
}

size_t acpi_build(const struct acpi_config *config, void *buffer, size_t bytes)
{
	uint64_t gpa = config->gpa;
	uint8_t *at = buffer;

	if (!config->nvcpus || config->nvcpus > ACPI_VCPUS_MAX || !IS_ALIGNED(gpa, TABLE_ALIGN) ||
	    gpa > UINT64_MAX - ACPI_BUFFER_BYTES || bytes < MADT_AT + MADT_BYTES(config->nvcpus))
		return 0;
	__builtin_memset(at, 0, MADT_AT); /* gaps between tables too */
	put_rsdp(at, gpa + XSDT_AT);
	put_xsdt(at + XSDT_AT, gpa + FADT_AT, gpa + MADT_AT);
	put_fadt(at + FADT_AT, gpa + DSDT_AT);
	put_dsdt(at + DSDT_AT);
	put_madt(at + MADT_AT, config->nvcpus);
	return MADT_AT + MADT_BYTES(config->nvcpus);
}
