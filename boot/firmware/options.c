/* SPDX-License-Identifier: MIT */
/* The configuration: `\cleave.cfg` first, then what the load options say otherwise. */
#include "boot/base/refuse.h"
#include "boot/firmware/files.h"
#include "hv/config/parse.h"

#define CONFIG_FILE "\\cleave.cfg"
#define BYTES_MAX   (256 * KIB)
#define OPTIONS_MAX 1024

static void file_parse(struct hv_config *config, EFI_FILE_PROTOCOL *file)
{
	uint64_t bytes = file_bytes(file, CONFIG_FILE);
	struct config_error error;
	char *text;
	int err;

	if (bytes > BYTES_MAX)
		refuse("%s: has %lu bytes; %lu are allowed", CONFIG_FILE, bytes, BYTES_MAX);
	if (EFI_ERROR(firmware.bs->AllocatePool(EfiLoaderData, bytes + 1, (void **)&text)))
		refuse("not enough memory for %s", CONFIG_FILE);
	file_read(file, CONFIG_FILE, text, bytes);
	err = config_parse(config, text, bytes, &error);
	refuse_by(config->exit);
	if (err)
		refuse("%s: %s", CONFIG_FILE, error.text);
	firmware.bs->FreePool(text);
}

static void file_load(struct hv_config *config)
{
	EFI_FILE_PROTOCOL *root = volume_open(), *file;
	EFI_STATUS status;

	if (!root)
		return;
	status = root->Open(root, &file, (CHAR16 *)L"\\cleave.cfg", EFI_FILE_MODE_READ, 0);
	if (EFI_ERROR(status) && status != EFI_NOT_FOUND)
		refuse("%s: cannot be opened (status 0x%lx)", CONFIG_FILE, status);
	if (!EFI_ERROR(status)) {
		file_parse(config, file);
		file->Close(file);
	}
	root->Close(root);
}

/* Behind the program's own name, which the shell puts first. */
static const char *skip_name(const char *text)
{
	const char *c = text;

	while (*c && *c != ' ' && *c != '=')
		c++;
	return *c == '=' ? text : c;
}

static void load_options(struct hv_config *config)
{
	static CHAR16 wide[OPTIONS_MAX];
	static char text[OPTIONS_MAX];
	UINTN letters = firmware.loaded->LoadOptionsSize / sizeof(CHAR16);
	const CHAR16 *from = firmware.loaded->LoadOptions;
	struct config_error error;
	int err;

	for (UINTN i = 0; from && i < MIN(letters, OPTIONS_MAX - 1); i++)
		wide[i] = from[i];
	/* A boot manager may pass data of its own here: that is no text, and not for us. */
	if (!ascii(text, OPTIONS_MAX, wide))
		return;
	err = config_override(config, skip_name(text), &error);
	refuse_by(config->exit);
	if (letters >= OPTIONS_MAX && text[OPTIONS_MAX - 2] && from[OPTIONS_MAX - 1])
		refuse("the load options have more than %d letters", OPTIONS_MAX - 1);
	if (err)
		refuse("%s", error.text);
}

void options_load(struct hv_config *config)
{
	config_defaults(config);
	file_load(config);
	load_options(config);
}
