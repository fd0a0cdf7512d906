/* SPDX-License-Identifier: MIT */
/*
 * Planning where a Linux kernel goes: see hv/platform/bzimage.h. Fields and their rules: Linux,
 * Documentation/arch/x86/boot.rst, "Details of Header Fields" and "64-bit Boot Protocol".
 */
#include "hv/platform/bzimage.h"

#include "hv/base/console.h"

/* Byte offsets, the same in the image and in boot_params. */
enum setup_field {
	SETUP_BEGIN = 0x1f1, /* the setup header, which is copied as far as JUMP tells */
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4, /* of the code, in 16 bytes */
	BOOT_FLAG = 0x1fe,
	JUMP = 0x201, /* a byte: the header ends so far behind MAGIC */
	MAGIC = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c, /* the last byte that it may have */
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238, /* without the 0 */
	SETUP_DATA = 0x250,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	SETUP_NEEDED = 0x264, /* all of the above must be there */
	SETUP_END = 0x290,    /* no header is longer */
};

/* Those of boot_params alone (zero-page.rst). */
enum boot_params_field {
	ACPI_RSDP_ADDR = 0x070,
	EXT_RAMDISK_IMAGE = 0x0c0, /* the upper halves */
	EXT_RAMDISK_SIZE = 0x0c4,
	E820_ENTRIES = 0x1e8,
	E820_TABLE = 0x2d0,
};

#define BOOT_FLAG_VALUE  0xaa55
#define MAGIC_VALUE      0x53726448 /* "HdrS" */
#define VERSION_NEEDED   0x020c     /* 2.12, which brought xloadflags */
#define XLF_KERNEL_64    1
#define LOADED_HIGH      1
#define LOADER_UNDEFINED 0xff
#define SECTOR           512
#define ENTRY_64         0x200 /* from the code's first byte */

#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3

struct e820_entry {
	uint64_t start, bytes;
	uint32_t type;
} __attribute__((packed));

#define PTE_TABLE  UINT64_C(0x003) /* present, writable */
#define PTE_LARGE  UINT64_C(0x083) /* and a leaf */
#define LARGE_PAGE (2 * MIB)

#define LOW_AT(member) (LINUX_LOW_GPA + offsetof(struct linux_low, member))

/* What the image says of itself, checked. */
struct kernel {
	uint64_t code_at, code_bytes; /* in the image */
	uint64_t load, needs;         /* gpa, and bytes that it uses from there on */
};

/* --- the image ------------------------------------------------------------------------------- */

/* Of a field that is known to be there. */
static uint64_t get(const void *image, size_t at, size_t bytes)
{
	uint64_t v = 0;

	__builtin_memcpy(&v, (const uint8_t *)image + at, bytes);
	return v;
}

static const char *check_header(const struct linux_input *in)
{
	if (in->kernel_bytes < VERSION || get(in->kernel, MAGIC, 4) != MAGIC_VALUE ||
	    get(in->kernel, BOOT_FLAG, 2) != BOOT_FLAG_VALUE)
		return "it is not a Linux kernel (no HdrS in it): take a bzImage, as /boot/vmlinuz";
	if (in->kernel_bytes < SETUP_END)
		return "the kernel is cut off in its header: copy it once more";
	if (get(in->kernel, VERSION, 2) < VERSION_NEEDED)
		return "the kernel is too old (boot protocol below 2.12): take Linux 3.8 or later";
	if (MAGIC + get(in->kernel, JUMP, 1) < SETUP_NEEDED)
		return "the kernel's header is shorter than its version says: take another kernel";
	if (!(get(in->kernel, XLOADFLAGS, 2) & XLF_KERNEL_64))
		return "the kernel has no 64-bit entry (XLF_KERNEL_64): take one for x86-64";
	return NULL;
}

static const char *find_code(const struct linux_input *in, struct kernel *k)
{
	uint64_t sectors = get(in->kernel, SETUP_SECTS, 1);

	/* 0 means 4; the boot sector comes on top. */
	k->code_at = ((sectors ? sectors : 4) + 1) * SECTOR;
	k->code_bytes = get(in->kernel, SYSSIZE, 4) * 16;
	if (k->code_bytes <= ENTRY_64)
		return "the kernel has no code (syssize): take another kernel";
	if (k->code_at + k->code_bytes > in->kernel_bytes)
		return "the kernel is cut off: its file is shorter than setup_sects and syssize "
		       "say: copy it once more";
	return NULL;
}

/* A kernel that finds itself below pref_address moves itself there; so there is no point in looking
 * for a place further down. */
static const char *place_kernel(const struct linux_input *in, struct kernel *k)
{
	uint64_t alignment = get(in->kernel, KERNEL_ALIGNMENT, 4);

	k->load = get(in->kernel, PREF_ADDRESS, 8);
	k->needs = MAX(get(in->kernel, INIT_SIZE, 4), k->code_bytes);
	if (get(in->kernel, RELOCATABLE, 1)) {
		if (!alignment || (alignment & (alignment - 1)))
			return "the kernel's kernel_alignment is no power of two: take another "
			       "kernel";
		k->load = MIN(MAX(k->load, MIB), LINUX_RAM_END);
		k->load = ALIGN_UP(k->load, MAX(alignment, PAGE_SIZE));
	}
	if (k->load < MIB)
		return "the kernel wants to lie below 1 MiB (pref_address) and is not relocatable: "
		       "take one with CONFIG_RELOCATABLE";
	if (k->load > LINUX_RAM_END || k->needs > LINUX_RAM_END - k->load)
		return "the kernel does not fit below 0xfec00000 (pref_address, init_size): take "
		       "another kernel";
	if (k->load + k->needs > in->region)
		return "the kernel does not fit into the guest's memory (pref_address, init_size): "
		       "make region= larger";
	return NULL;
}

/* As high as it may: the kernel looks for room for itself from below. */
static const char *place_initrd(const struct linux_input *in, const struct kernel *k,
				uint64_t *initrd)
{
	uint64_t limit = MIN(get(in->kernel, INITRD_ADDR_MAX, 4) + 1, LINUX_RAM_END);
	uint64_t begin = ALIGN_UP(k->load + k->needs, PAGE_SIZE);

	*initrd = 0;
	if (!in->initrd_bytes)
		return NULL;
	if (begin > limit || in->initrd_bytes > limit - begin)
		return "the initrd does not fit between the kernel and initrd_addr_max: make the "
		       "initrd smaller";
	limit = MIN(limit, in->region);
	if (begin > limit || in->initrd_bytes > limit - begin)
		return "the initrd does not fit into the guest's memory behind the kernel: make "
		       "region= larger";
	*initrd = ALIGN_DOWN(limit - in->initrd_bytes, PAGE_SIZE);
	return NULL;
}

/* --- the command line ------------------------------------------------------------------------ */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Does a word of the text begin so? */
static bool has_option(const char *text, size_t bytes, const char *option)
{
	size_t n = __builtin_strlen(option);

	for (size_t i = 0; i + n <= bytes; i++)
		if ((!i || is_blank(text[i - 1])) && !__builtin_memcmp(text + i, option, n))
			return true;
	return false;
}

static const char *put_command_line(const struct linux_input *in, struct linux_low *low)
{
	const char *text = in->command_line;
	size_t bytes = in->command_line_bytes;
	uint64_t most = MIN(get(in->kernel, CMDLINE_SIZE, 4), sizeof(low->command_line) - 1);
	size_t n = 0;

	if (in->tsc_khz && !has_option(text, bytes, "tsc_early_khz="))
		n = (size_t)fmt_print(low->command_line, sizeof(low->command_line),
				      "tsc_early_khz=%u%s", in->tsc_khz, bytes ? " " : "");
	if (n > most || bytes > most - n)
		return "the command line is longer than the kernel takes (cmdline_size), with "
		       "tsc_early_khz= before it: make it shorter";
	for (size_t i = 0; i < bytes; i++) {
		if (!text[i])
			return "there is a zero byte in the command line: take it out";
		low->command_line[n + i] = text[i];
	}
	low->command_line[n + bytes] = 0;
	return NULL;
}

/* --- low memory ------------------------------------------------------------------------------ */

static void put(struct linux_low *low, size_t at, size_t bytes, uint64_t v)
{
	__builtin_memcpy(low->boot_params + at, &v, bytes);
}

static void put_page_tables(struct linux_low *low)
{
	low->pml4[0] = LOW_AT(pdpt) | PTE_TABLE;
	for (size_t i = 0; i < ARRAY_LEN(low->pd); i++) {
		low->pdpt[i] = (LOW_AT(pd) + i * PAGE_SIZE) | PTE_TABLE;
		for (size_t j = 0; j < ARRAY_LEN(low->pd[i]); j++)
			low->pd[i][j] = (i * GIB + j * LARGE_PAGE) | PTE_LARGE;
	}
}

/* Flat, 4 GiB, CPL 0, present and accessed (SDM vol. 3A, "Segment Descriptors"). */
static void put_gdt(struct linux_low *low)
{
	low->gdt[LINUX_CS / 8] = UINT64_C(0x00af9b000000ffff); /* code, 64-bit */
	low->gdt[LINUX_DS / 8] = UINT64_C(0x00cf93000000ffff); /* data, writable */
}

static void add_e820(struct linux_low *low, uint64_t start, uint64_t end, uint32_t type)
{
	uint8_t *n = &low->boot_params[E820_ENTRIES];
	struct e820_entry e = { start, end - start, type };

	if (start < end)
		__builtin_memcpy(low->boot_params + E820_TABLE + (*n)++ * sizeof(e), &e, sizeof(e));
}

static void put_e820(const struct linux_input *in, struct linux_low *low)
{
	uint64_t acpi = in->acpi.bytes ? in->acpi.gpa : MIB;
	uint64_t acpi_end = ALIGN_UP(acpi + in->acpi.bytes, PAGE_SIZE);

	add_e820(low, 0, LINUX_BASE_END, E820_RAM);
	add_e820(low, LINUX_BASE_END, acpi, E820_RESERVED);
	add_e820(low, acpi, acpi_end, E820_ACPI);
	add_e820(low, acpi_end, MIB, E820_RESERVED);
	add_e820(low, MIB, MIN(in->region, LINUX_RAM_END), E820_RAM);
	if (in->region > LINUX_RAM_END)
		add_e820(low, LINUX_RAM_END, 4 * GIB, E820_RESERVED);
	add_e820(low, 4 * GIB, in->region, E820_RAM);
}

/* The image's header as it stands, and what a loader must write. */
static void put_boot_params(const struct linux_input *in, struct linux_low *low,
			    const struct kernel *k, uint64_t initrd)
{
	uint64_t end = MIN(MAGIC + get(in->kernel, JUMP, 1), SETUP_END);

	__builtin_memcpy(low->boot_params + SETUP_BEGIN, (const uint8_t *)in->kernel + SETUP_BEGIN,
			 end - SETUP_BEGIN);
	put(low, TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
	put(low, LOADFLAGS, 1, LOADED_HIGH);
	put(low, CODE32_START, 4, k->load);
	put(low, RAMDISK_IMAGE, 4, initrd);
	put(low, RAMDISK_SIZE, 4, in->initrd_bytes);
	put(low, EXT_RAMDISK_IMAGE, 4, initrd >> 32);
	put(low, EXT_RAMDISK_SIZE, 4, in->initrd_bytes >> 32);
	put(low, CMD_LINE_PTR, 4, LOW_AT(command_line));
	put(low, SETUP_DATA, 8, 0);
	put(low, ACPI_RSDP_ADDR, 8, in->acpi.bytes ? in->acpi.gpa : 0);
	put_e820(in, low);
}

/* --- the plan -------------------------------------------------------------------------------- */

static void add_piece(struct linux_plan *plan, uint64_t gpa, const void *data, uint64_t bytes)
{
	if (bytes)
		plan->piece[plan->npieces++] = (struct linux_piece){ gpa, data, bytes };
}

static bool acpi_fits(const struct linux_piece *acpi)
{
	return !acpi->bytes || (acpi->gpa >= LINUX_BASE_END && acpi->gpa < MIB &&
				IS_ALIGNED(acpi->gpa, PAGE_SIZE) && acpi->bytes <= MIB - acpi->gpa);
}

const char *linux_plan(const struct linux_input *in, struct linux_low *low, struct linux_plan *plan)
{
	struct kernel k;
	uint64_t initrd;
	const char *why;

	__builtin_memset(low, 0, sizeof(*low));
	if ((why = check_header(in)) || (why = find_code(in, &k)) || (why = place_kernel(in, &k)) ||
	    (why = place_initrd(in, &k, &initrd)) || (why = put_command_line(in, low)))
		return why;
	if (!acpi_fits(&in->acpi))
		return "the ACPI tables do not lie between 0x9f000 and 1 MiB: place them there";
	put_page_tables(low);
	put_gdt(low);
	put_boot_params(in, low, &k, initrd);
	*plan = (struct linux_plan){
		.rip = k.load + ENTRY_64,
		.rsi = LOW_AT(boot_params),
		.cr3 = LOW_AT(pml4),
		.stack = LINUX_LOW_GPA + sizeof(*low),
		.gdt_base = LOW_AT(gdt),
		.gdt_limit = sizeof(low->gdt) - 1,
	};
	add_piece(plan, LINUX_LOW_GPA, low, sizeof(*low));
	add_piece(plan, in->acpi.gpa, in->acpi.data, in->acpi.bytes);
	add_piece(plan, k.load, (const uint8_t *)in->kernel + k.code_at, k.code_bytes);
	add_piece(plan, initrd, in->initrd, in->initrd_bytes);
	return NULL;
}
