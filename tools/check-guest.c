/* SPDX-License-Identifier: MIT */
/* See tools/check-guest.h. Who is a Linux is decided as in hv/vm/load.c. */
#include "tools/check-guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/config/boot_info.h"
#include "hv/platform/bzimage.h"

#define SUFFIX    ".bin"
#define HEADER_AT 0x202
#define HEADER    "HdrS"
#define TSC_KHZ   9999999 /* as long as it may become on the command line */

struct file {
	const char *path;
	char *data; /* read when it is asked for */
	size_t bytes;
};

static struct file files[BOOT_MODULES_MAX];
static unsigned int nfiles;

void guest_file(const char *path)
{
	if (nfiles < BOOT_MODULES_MAX)
		files[nfiles++].path = path;
}

/* Without it the machine says what is wrong. */
static void read_file(struct file *f)
{
	FILE *from = fopen(f->path, "rb");
	long bytes = -1;

	if (from && !fseek(from, 0, SEEK_END))
		bytes = ftell(from);
	if (bytes >= 0) {
		rewind(from);
		f->data = malloc((size_t)bytes + 1);
		f->bytes = f->data ? fread(f->data, 1, (size_t)bytes, from) : 0;
	}
	if (from)
		fclose(from);
}

static bool is_named(const struct file *f, const char *name, const char *what)
{
	const char *slash = strrchr(f->path, '/'), *base = slash ? slash + 1 : f->path;
	size_t n = strlen(name), w = strlen(what);

	return strncmp(base, name, n) == 0 && strncmp(base + n, what, w) == 0 &&
	       strcmp(base + n + w, SUFFIX) == 0;
}

static struct file *find(const char *name, const char *what)
{
	for (unsigned int i = 0; i < nfiles; i++) {
		if (!is_named(&files[i], name, what))
			continue;
		if (!files[i].data)
			read_file(&files[i]);
		return files[i].data ? &files[i] : NULL;
	}
	return NULL;
}

static bool has_header(const struct file *f)
{
	return f->bytes > HEADER_AT + strlen(HEADER) &&
	       memcmp(f->data + HEADER_AT, HEADER, strlen(HEADER)) == 0;
}

const char *guest_check(const char *name, uint64_t region)
{
	static struct linux_low low;
	const struct file *kernel = find(name, ""), *initrd = find(name, "-initrd"),
			  *command_line = find(name, "-cmdline");
	struct linux_input in = { .region = region, .tsc_khz = TSC_KHZ };
	struct linux_plan plan;

	if (!kernel || !(has_header(kernel) || initrd || command_line))
		return NULL;
	in.kernel = kernel->data;
	in.kernel_bytes = kernel->bytes;
	if (initrd) {
		in.initrd = initrd->data;
		in.initrd_bytes = initrd->bytes;
	}
	if (command_line) {
		in.command_line = command_line->data;
		in.command_line_bytes = command_line->bytes;
	}
	return linux_plan(&in, &low, &plan);
}
