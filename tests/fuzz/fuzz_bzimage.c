/* SPDX-License-Identifier: MIT */
/*
 * Kernel images: a right header with any bytes in it changed, in a file of any length. What is
 * accepted has a plan whose pieces lie apart, in the guest's RAM, where the image lets them; what
 *is refused is refused by a sentence. Nothing outside of the image is read.
 *
 *	byte 0	 0: an initrd, 1: tables, 2: not relocatable, 3: a frequency, 6:4 the region,
 *		 7: a file of any length
 *	then	 with region 7, its pages; with bit 7, the file's bytes; the number of changes, each
 *an offset from 0x1f1, how many bytes, and these; the bytes of an initrd then	 the command line
 */
#include "hv/platform/bzimage.h"
#include "tests/fuzz/fuzz.h"

#define HEADER_AT   0x1f1
#define HEADER_ROOM (0x290 - HEADER_AT)
#define FILE_BYTES  2048 /* two sectors of setup, two of code */
#define TABLE_BYTES 556

static struct linux_low low;
static struct linux_plan plan;
static const uint8_t initrd[1], tables[TABLE_BYTES]; /* never read */

static uint64_t get(const void *from, size_t at, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)from + at, bytes);
	return v;
}

/* --- what must hold -------------------------------------------------------------------------- */

struct range {
	uint64_t start, end;
	uint64_t type;
};

static struct range e820_entry(size_t i)
{
	uint64_t start = get(low.boot_params, 0x2d0 + i * 20, 8);

	return (struct range){ start, start + get(low.boot_params, 0x2d8 + i * 20, 8),
			       get(low.boot_params, 0x2e0 + i * 20, 4) };
}

static bool in_e820(uint64_t start, uint64_t end, uint64_t type)
{
	for (size_t i = 0; i < low.boot_params[0x1e8]; i++) {
		struct range r = e820_entry(i);

		if (r.type == type && r.start <= start && end <= r.end)
			return true;
	}
	return false;
}

/* It rises; what is called RAM is there, and is neither in the hole nor where APICs are. */
static void check_e820(const struct linux_input *in)
{
	uint64_t end = 0;

	fuzz_check(low.boot_params[0x1e8] >= 3 && low.boot_params[0x1e8] <= 7);
	for (size_t i = 0; i < low.boot_params[0x1e8]; i++) {
		struct range r = e820_entry(i);

		fuzz_check(r.start >= end && r.end > r.start);
		fuzz_check(r.type >= 1 && r.type <= 3);
		end = r.end;
		if (r.type != 1)
			continue;
		fuzz_check(r.end <= in->region);
		fuzz_check(r.end <= 0x9f000 || r.start >= 0x100000);
		fuzz_check(r.end <= 0xfec00000 || r.start >= 0x100000000);
	}
}

static void check_kernel(const struct linux_input *in, const struct linux_piece *p)
{
	uint64_t at = (uint64_t)((const uint8_t *)p->data - (const uint8_t *)in->kernel);
	uint64_t alignment = get(in->kernel, 0x230, 4), needs = get(in->kernel, 0x260, 4);

	fuzz_check(at >= 1024 && at <= in->kernel_bytes && p->bytes <= in->kernel_bytes - at);
	fuzz_check(p->bytes == get(in->kernel, 0x1f4, 4) * 16);
	fuzz_check(in_e820(p->gpa, p->gpa + MAX(needs, p->bytes), 1));
	fuzz_check(p->gpa >= MIB);
	if (get(in->kernel, 0x234, 1))
		fuzz_check(p->gpa % alignment == 0 && p->gpa >= get(in->kernel, 0x258, 8));
	else
		fuzz_check(p->gpa == get(in->kernel, 0x258, 8));
	fuzz_check(plan.rip == p->gpa + 0x200 && 0x200 < p->bytes);
	fuzz_check(get(low.boot_params, 0x214, 4) == p->gpa);
}

/* There is no higher place for it. */
static void check_initrd(const struct linux_input *in, const struct linux_piece *p, uint64_t kernel)
{
	uint64_t last = MIN(get(in->kernel, 0x22c, 4), 0xfebfffff), end = p->gpa + p->bytes;

	fuzz_check(p->bytes == in->initrd_bytes && p->gpa % PAGE_SIZE == 0);
	fuzz_check(p->gpa >= kernel + get(in->kernel, 0x260, 4) && end - 1 <= last);
	fuzz_check(end + PAGE_SIZE > MIN(last + 1, in->region));
	fuzz_check(get(low.boot_params, 0x218, 4) == p->gpa);
	fuzz_check(get(low.boot_params, 0x21c, 4) == p->bytes);
}

static void check_pieces(const struct linux_input *in)
{
	unsigned int n = 0;
	uint64_t end = 0, kernel;

	fuzz_check(plan.npieces == 2u + !!in->acpi.bytes + !!in->initrd_bytes);
	for (unsigned int i = 0; i < plan.npieces; i++) {
		const struct linux_piece *p = &plan.piece[i];

		fuzz_check(p->bytes && p->gpa >= end && p->bytes <= in->region - p->gpa);
		end = p->gpa + p->bytes;
		fuzz_check(in_e820(p->gpa, end, p->data == tables ? 3 : 1));
	}
	fuzz_check(plan.piece[n].data == &low && plan.piece[n++].bytes == sizeof(low));
	if (in->acpi.bytes)
		fuzz_check(plan.piece[n++].data == tables);
	kernel = plan.piece[n].gpa;
	check_kernel(in, &plan.piece[n++]);
	if (in->initrd_bytes)
		check_initrd(in, &plan.piece[n], kernel);
}

/* The caller's text is its end, and all of it fits. */
static void check_command_line(const struct linux_input *in)
{
	size_t n = strnlen(low.command_line, sizeof(low.command_line));

	fuzz_check(n < sizeof(low.command_line) && n <= get(in->kernel, 0x238, 4));
	fuzz_check(n >= in->command_line_bytes);
	fuzz_check(!memcmp(low.command_line + n - in->command_line_bytes, in->command_line,
			   in->command_line_bytes));
	fuzz_check(!in->tsc_khz || strstr(low.command_line, "tsc_early_khz="));
}

/* boot_params: nothing of the image but its header, which has no list behind it. */
static void check_boot_params(const struct linux_input *in)
{
	for (size_t i = 0x78; i < HEADER_AT; i++)
		fuzz_check(i == 0x1e8 || low.boot_params[i] == 0);
	for (size_t i = 0x290; i < 0x2d0; i++)
		fuzz_check(low.boot_params[i] == 0);
	fuzz_check(get(low.boot_params, 0x250, 8) == 0);
	fuzz_check(get(low.boot_params, 0x228, 4) ==
		   LINUX_LOW_GPA + offsetof(struct linux_low, command_line));
	fuzz_check(!memcmp(low.boot_params + 0x258, (const uint8_t *)in->kernel + 0x258, 12));
}

static void check_refused(const char *why)
{
	size_t n = strlen(why);

	fuzz_check(n > 30 && strstr(why, ": ") && why[n - 1] != '.');
	for (size_t i = 0; i < n; i++)
		fuzz_check(why[i] >= ' ' && why[i] <= '~');
}

/* --- from bytes ------------------------------------------------------------------------------ */

static void put(uint8_t *image, size_t at, size_t bytes, uint64_t v)
{
	memcpy(image + at, &v, bytes);
}

static void put_header(uint8_t *image, bool relocatable)
{
	memset(image, 0xff, FILE_BYTES); /* what no loader may take over */
	put(image, 0x1f1, 1, 1);
	put(image, 0x1f4, 4, 1024 / 16);
	put(image, 0x1fe, 2, 0xaa55);
	put(image, 0x200, 2, 0x6aeb);
	put(image, 0x202, 4, 0x53726448);
	put(image, 0x206, 2, 0x020f);
	put(image, 0x22c, 4, 0x7fffffff);
	put(image, 0x230, 4, 2 * MIB);
	put(image, 0x234, 1, relocatable);
	put(image, 0x238, 4, 64); /* short: a command line is soon too long */
	put(image, 0x250, 8, 0);
	put(image, 0x258, 8, 16 * MIB);
	put(image, 0x260, 4, 48 * MIB);
}

static void take_changes(struct fuzz_input *in, uint8_t *image)
{
	size_t n = fuzz_take(in, 1) % 8;

	while (n--) {
		size_t at = fuzz_take(in, 1) % HEADER_ROOM, bytes = 1 + fuzz_take(in, 1) % 8;

		bytes = MIN(bytes, HEADER_ROOM - at);
		put(image, HEADER_AT + at, bytes, fuzz_take(in, bytes));
	}
}

static uint64_t take_region(struct fuzz_input *in, unsigned int which)
{
	static const uint64_t regions[] = { 256 * MIB,  64 * MIB, 4 * GIB, 5 * GIB,
					    0xfec00000, 65 * MIB, 2 * GIB };

	return which < ARRAY_LEN(regions) ? regions[which] : fuzz_take(in, 3) << PAGE_SHIFT;
}

/* In memory of just the file's size. */
static uint8_t *take_file(struct fuzz_input *in, unsigned int how, uint64_t *bytes)
{
	uint8_t *file, image[FILE_BYTES];

	*bytes = how & 0x80 ? fuzz_take(in, 2) % (FILE_BYTES + 1) : FILE_BYTES;
	put_header(image, !(how & 4));
	take_changes(in, image);
	file = malloc(*bytes ? *bytes : 1);
	memcpy(file, image, *bytes);
	return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input bytes = { data, size };
	unsigned int how = (unsigned int)fuzz_take(&bytes, 1);
	struct linux_input in = { .initrd = initrd, .region = take_region(&bytes, how >> 4 & 7) };
	uint8_t *file = take_file(&bytes, how, &in.kernel_bytes);
	const char *why;

	in.kernel = file;
	if (how & 1)
		in.initrd_bytes = fuzz_take(&bytes, 5);
	if (how & 2)
		in.acpi = (struct linux_piece){ 0xe0000, tables, sizeof(tables) };
	in.tsc_khz = how & 8 ? 2400000 : 0;
	in.command_line = (const char *)bytes.p;
	in.command_line_bytes = bytes.n;
	why = linux_plan(&in, &low, &plan);
	if (why) {
		check_refused(why);
	} else {
		check_e820(&in);
		check_pieces(&in);
		check_command_line(&in);
		check_boot_params(&in);
	}
	free(file);
	return 0;
}
