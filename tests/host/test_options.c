/* SPDX-License-Identifier: MIT */
/* Where the configuration comes from, with a firmware that has a volume with two files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/config/parse.h"
#include "boot/firmware/files.h"
#include "boot/base/refuse.h"

struct firmware firmware;

static struct hv_config config;
static const char *cfg, *opt; /* contents; NULL: no such file */
static size_t cfg_bytes;      /* 0: as long as the text */
static enum config_exit way;  /* how refuse() would end the machine */
static char refusal[CONFIG_TEXT_MAX + 40];
static jmp_buf refused;
static const char *opened; /* of the one file that is open at a time */
static unsigned int pool;  /* pieces of memory that are in use */

void refuse_by(enum config_exit exit)
{
	way = exit;
}

void refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(refusal, sizeof(refusal), fmt, ap);
	va_end(ap);
	longjmp(refused, 1);
}

static EFI_STATUS EFIAPI pool_take(EFI_MEMORY_TYPE type, UINTN bytes, void **to)
{
	(void)type;
	*to = malloc(bytes);
	pool++;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI pool_give(void *from)
{
	free(from);
	pool--;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI info_of(EFI_FILE_PROTOCOL *file, EFI_GUID *what, UINTN *room, void *to)
{
	(void)file;
	(void)what;
	(void)room;
	((EFI_FILE_INFO *)to)->FileSize = opened == cfg && cfg_bytes ? cfg_bytes : strlen(opened);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI read_from(EFI_FILE_PROTOCOL *file, UINTN *bytes, void *to)
{
	(void)file;
	memcpy(to, opened, *bytes);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI close_it(EFI_FILE_PROTOCOL *file)
{
	(void)file;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_file(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL **file, CHAR16 *name,
				   UINT64 mode, UINT64 attributes)
{
	static EFI_FILE_PROTOCOL one = { .GetInfo = info_of, .Read = read_from, .Close = close_it };

	(void)root;
	(void)mode;
	(void)attributes;
	opened = name[8] == 'c' ? cfg : opt;
	*file = &one;
	return opened ? EFI_SUCCESS : EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI open_volume(EFI_FILE_IO_INTERFACE *volume, EFI_FILE_PROTOCOL **root)
{
	static EFI_FILE_PROTOCOL one = { .Open = open_file, .Close = close_it };

	(void)volume;
	*root = &one;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI find_volume(EFI_HANDLE handle, EFI_GUID *what, void **to)
{
	static EFI_FILE_IO_INTERFACE volume = { .OpenVolume = open_volume };

	(void)handle;
	(void)what;
	*to = &volume;
	return EFI_SUCCESS;
}

/* What the configuration becomes; a refusal is in `refusal`. */
static void load(const char *file, const char *launcher, CHAR16 *loaded)
{
	static EFI_BOOT_SERVICES services = { .AllocatePool = pool_take,
					      .FreePool = pool_give,
					      .HandleProtocol = find_volume };
	static EFI_LOADED_IMAGE image;

	cfg = file;
	opt = launcher;
	image.LoadOptions = loaded;
	for (image.LoadOptionsSize = 0; loaded && *loaded; loaded++)
		image.LoadOptionsSize += sizeof(CHAR16);
	firmware.bs = &services;
	firmware.loaded = &image;
	pool = 0;
	refusal[0] = 0;
	way = EXIT_HALT;
	if (!setjmp(refused)) {
		options_load(&config);
		assert_int_equal(pool, 0);
	}
}

static void nothing_said_is_the_defaults(void **state)
{
	(void)state;
	load(NULL, NULL, NULL);
	assert_string_equal(refusal, "");
	assert_int_equal(config.nruns, 1);
	assert_int_equal(config.exit, EXIT_HALT);
}

static void a_launcher_wins_over_the_file_and_load_options_over_both(void **state)
{
	(void)state;
	load("exit=reset\nseed=1\nwindow=3\n[a]\nseed=2\n[b]\n", "exit=qemu seed=7 vcpus=2\n",
	     (CHAR16 *)L"cleave.efi vcpus=3");
	assert_string_equal(refusal, "");
	assert_int_equal(config.exit, EXIT_QEMU);
	assert_int_equal(way, EXIT_QEMU);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(config.run[i].seed, 7);
		assert_int_equal(config.run[i].vcpus, 3);
		assert_int_equal(config.run[i].window, 3);
	}
}

static void a_launchers_second_line_holds_where_the_file_says_nothing(void **state)
{
	(void)state;
	load("latency=1\n[a]\nnx=on\n[b]\n", "exit=bochs\nnx=off latency=2\n", NULL);
	assert_string_equal(refusal, "");
	assert_int_equal(config.run[0].nx, NX_ON);
	assert_int_equal(config.run[1].nx, NX_OFF);
	assert_int_equal(config.run[1].latency_us, 1);
	assert_int_equal(config.exit, EXIT_BOCHS);
}

static void a_file_that_is_refused_ends_the_machine_as_the_launcher_says(void **state)
{
	(void)state;
	load("seed=1\nexit=reset\nbad=1\n", "exit=qemu\nnx=off\n", NULL);
	assert_memory_equal(refusal, "\\cleave.cfg: line 3: unknown key 'bad'", 38);
	assert_int_equal(way, EXIT_QEMU);
	cfg_bytes = CONFIG_BYTES_MAX + 1;
	load("", "exit=qemu\n", NULL);
	cfg_bytes = 0;
	assert_string_equal(refusal, "\\cleave.cfg: has 262145 bytes; 262144 are allowed");
	assert_int_equal(way, EXIT_QEMU);
}

static void wrong_options_are_refused_after_the_file(void **state)
{
	(void)state;
	load("region=64M\nbacking=2M\nwork=4M\n", "exit=qemu vcpus=9\n", NULL);
	assert_string_equal(refusal, "load options: vcpus=9: must be 1 to 4");
	assert_int_equal(way, EXIT_QEMU);
	load("", "exit=qemu\nnx=maybe", NULL);
	assert_string_equal(refusal, "\\cleave.opt: load options: nx=maybe: must be one of auto, "
				     "on, off");
}

static void load_options_that_do_not_fit_are_refused(void **state)
{
	static CHAR16 wide[1100];

	(void)state;
	for (unsigned int i = 0; i < 1099; i++)
		wide[i] = ' ';
	load("", "exit=qemu\n", wide);
	assert_string_equal(refusal, "the load options have more than 1023 letters");
	assert_int_equal(way, EXIT_QEMU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_said_is_the_defaults),
		cmocka_unit_test(a_launcher_wins_over_the_file_and_load_options_over_both),
		cmocka_unit_test(a_launchers_second_line_holds_where_the_file_says_nothing),
		cmocka_unit_test(a_file_that_is_refused_ends_the_machine_as_the_launcher_says),
		cmocka_unit_test(wrong_options_are_refused_after_the_file),
		cmocka_unit_test(load_options_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
