/* SPDX-License-Identifier: MIT */
/* The configuration: `\cleave.cfg` first, then what the load options say otherwise. */
#include "boot/base/refuse.h"
#include "boot/firmware/files.h"
#include "hv/config/parse.h"

#define CONFIG_FILE  "\\cleave.cfg"
#define OPTIONS_FILE "\\cleave.opt"
#define OPTIONS_MAX  1024

/* A file's text with a 0 behind it, in memory that stays; NULL if there is no such file. */
static char *text_read(const char *name, const CHAR16 *wide, uint64_t *bytes)
{
	EFI_FILE_PROTOCOL *root = volume_open(), *file;
	EFI_STATUS status;
	char *text;

	if (!root)
		return NULL;
	status = root->Open(root, &file, (CHAR16 *)wide, EFI_FILE_MODE_READ, 0);
	root->Close(root);
	if (status == EFI_NOT_FOUND)
		return NULL;
	if (EFI_ERROR(status))
		refuse("%s: cannot be opened (status 0x%lx)", name, status);
	*bytes = file_bytes(file, name);
	if (*bytes > CONFIG_BYTES_MAX)
		refuse("%s: has %lu bytes; %lu are allowed", name, *bytes, CONFIG_BYTES_MAX);
	if (EFI_ERROR(firmware.bs->AllocatePool(EfiLoaderData, *bytes + 1, (void **)&text)))
		refuse("not enough memory for %s", name);
	file_read(file, name, text, *bytes);
	text[*bytes] = 0;
	file->Close(file);
	return text;
}

/* Behind the program's own name, which the shell puts first. */
static const char *skip_name(const char *text)
{
	const char *c = text;

	while (*c && *c != ' ' && *c != '=')
		c++;
	return *c == '=' ? text : c;
}

/* *cut: there are more of them than fit. */
static const char *load_options(bool *cut)
{
	static CHAR16 wide[OPTIONS_MAX];
	static char text[OPTIONS_MAX];
	UINTN letters = firmware.loaded->LoadOptionsSize / sizeof(CHAR16);
	const CHAR16 *from = firmware.loaded->LoadOptions;

	for (UINTN i = 0; from && i < MIN(letters, OPTIONS_MAX - 1); i++)
		wide[i] = from[i];
	/* A boot manager may pass data of its own here: no text, and not for us. */
	if (!ascii(text, OPTIONS_MAX, wide))
		return "";
	*cut = letters >= OPTIONS_MAX && text[OPTIONS_MAX - 2] && from[OPTIONS_MAX - 1];
	return skip_name(text);
}

/* Cuts a text behind its first line. Return: the second. */
static char *second_line(char *text)
{
	while (*text && *text != '\n')
		text++;
	if (*text)
		*text++ = 0;
	for (char *c = text; *c; c++) {
		if (*c == '\n')
			*c = 0;
	}
	return text;
}

static int override(struct hv_config *config, const char *const options[2],
		    struct config_error *error)
{
	int err = config_override(config, options[0], error);

	return err ? err : config_override(config, options[1], error);
}

static void text_free(char *text)
{
	if (text)
		firmware.bs->FreePool(text);
}

/* Return: 0, or -EINVAL and *error. */
static int file_load(struct hv_config *config, struct config_error *error)
{
	uint64_t bytes;
	char *text = text_read(CONFIG_FILE, (const CHAR16 *)L"\\cleave.cfg", &bytes);
	int err = text ? config_parse(config, text, bytes, error) : 0;

	text_free(text);
	return err;
}

/* `\cleave.opt` is for a launcher: load options, and in a second line what holds where
 * `\cleave.cfg` says nothing. */
void options_load(struct hv_config *config)
{
	static char none[1];
	uint64_t bytes;
	char *text = text_read(OPTIONS_FILE, (const CHAR16 *)L"\\cleave.opt", &bytes);
	const char *defaults = second_line(text ? text : none);
	bool cut = false;
	const char *options[2] = { text ? text : none, load_options(&cut) };
	struct config_error file_error, error;
	int file_err, err;

	/* Their exit= holds even if the file is not readable. */
	config_defaults(config);
	err = override(config, options, &error);
	refuse_by(config->exit);

	config_defaults(config);
	err = config_override(config, defaults, &error);
	if (err)
		refuse("%s: %s", OPTIONS_FILE, error.text);
	file_err = file_load(config, &file_error);
	err = override(config, options, &error);
	refuse_by(config->exit);
	if (cut)
		refuse("the load options have more than %d letters", OPTIONS_MAX - 1);
	if (file_err)
		refuse("%s: %s", CONFIG_FILE, file_error.text);
	if (err)
		refuse("%s", error.text);
	text_free(text);
}
