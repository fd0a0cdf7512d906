/* SPDX-License-Identifier: MIT */
/*
 * Reads a configuration on the host, with the hypervisor's own parser, before a machine is booted.
 *
 *	check-config [--cpus N] [--memory MIB] [--guests "NAME ..."] [--file GUEST.bin]...
 *		FILE [KEY=VALUE...]
 *
 * Of a guest whose file is named and that is a Linux, what the hypervisor would read is read, too.
 *The words are load options: they win over the file. 0: all is well; 1: refused, in one line on
 * standard output; 2: FILE cannot be read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/config/parse.h"
#include "tools/check-guest.h"

#define OPTIONS_MAX 65536
/* What the firmware leaves behind and the hypervisor takes for itself, at the very least. */
#define OVERHEAD (32 * MIB)

static struct hv_config config;
static struct config_error error;

static int refuse(const char *file, const char *text)
{
	printf("%s: %s\n", file, text);
	return 1;
}

static int read_failed(const char *file)
{
	fprintf(stderr, "check-config: %s: %s\n", file, strerror(errno));
	return 2;
}

static int parse(const char *name, FILE *file)
{
	static char text[CONFIG_BYTES_MAX + 1];
	size_t bytes = fread(text, 1, sizeof(text), file);

	if (ferror(file))
		return read_failed(name);
	if (bytes > CONFIG_BYTES_MAX) {
		printf("%s: has more than %u KiB, which are allowed\n", name,
		       (unsigned int)(CONFIG_BYTES_MAX / KIB));
		return 1;
	}
	config_defaults(&config);
	return config_parse(&config, text, bytes, &error) ? refuse(name, error.text) : 0;
}

static int parse_file(const char *name)
{
	FILE *file = fopen(name, "rb");
	int status;

	if (!file)
		return read_failed(name);
	status = parse(name, file);
	fclose(file);
	return status;
}

static int override(int nwords, char **words)
{
	static char options[OPTIONS_MAX];
	size_t n = 0;

	for (int i = 0; i < nwords; i++)
		n += (size_t)snprintf(options + n, n < OPTIONS_MAX ? OPTIONS_MAX - n : 0, "%s ",
				      words[i]);
	if (n >= OPTIONS_MAX)
		return refuse("load options", "are too long");
	if (config_override(&config, options, &error)) {
		puts(error.text);
		return 1;
	}
	return 0;
}

/* A lower bound of the memory that a run takes: all of the guest's, for a migration all of the
 * destination's, and of the source's what the payload touches, in the pieces in which that appears.
 */
static uint64_t memory_needed(const struct run_config *run, bool migrates)
{
	uint64_t piece = run->populate == PG_LEVEL_2M ? 2 * MIB : PAGE_SIZE;
	uint64_t pages = (run->work - PAGE_SIZE) / run->stride + 1;
	uint64_t touched = run->stride < piece ? run->work : pages * piece;

	return run->region + (migrates ? touched : 0) + OVERHEAD;
}

static int check_memory(const char *file, const struct run_config *run, bool migrates, uint64_t mib)
{
	uint64_t need = (memory_needed(run, migrates) + MIB - 1) / MIB;

	if (need <= mib)
		return 0;
	printf("%s: [%s]: needs at least %llu MiB, and the machine has %llu; make region or work "
	       "smaller, or MEMORY larger\n",
	       file, run->name, (unsigned long long)need, (unsigned long long)mib);
	return 1;
}

/* @guests: names with blanks between them */
static bool is_among(const char *name, const char *guests)
{
	size_t n = strlen(name);

	for (const char *c = guests; (c = strstr(c, name)); c++) {
		if ((c == guests || c[-1] == ' ') && (c[n] == ' ' || !c[n]))
			return true;
	}
	return false;
}

static int check_guest(const char *file, const struct run_config *run, const char *guests)
{
	const char *why = guest_check(run->guest, run->region);

	if (why) {
		printf("%s: [%s]: guest=%s: %s\n", file, run->name, run->guest, why);
		return 1;
	}
	if (is_among(run->guest, guests))
		return 0;
	printf("%s: [%s]: guest=%s: there is no such payload; there are: %s\n", file, run->name,
	       run->guest, *guests ? guests : "none");
	return 1;
}

/* What depends on the machine. Of the jobs, only the needs of these two are known here.
 * @guests: the payloads, NULL: not told */
static int check_machine(const char *file, uint64_t mib, const char *guests)
{
	int status = 0;

	for (unsigned int i = 0; i < config.nruns && !status; i++) {
		const struct run_config *run = &config.run[i];

		bool migrates = strcmp(run->job, "migrate") == 0;

		if (!migrates && strcmp(run->job, "linux") != 0)
			continue;
		status = check_memory(file, run, migrates, mib);
		if (!status && guests)
			status = check_guest(file, run, guests);
	}
	return status;
}

static int check_cpus(unsigned long long cpus)
{
	if (cpus <= MAX_CPUS)
		return 0;
	printf("CPUS=%llu: Cleave drives at most %d\n", cpus, MAX_CPUS);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long long cpus = 1, mib = UINT64_MAX;
	const char *guests = NULL;
	int status, i = 1;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--cpus") == 0)
			cpus = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--memory") == 0)
			mib = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--guests") == 0)
			guests = argv[i + 1];
		else if (strcmp(argv[i], "--file") == 0)
			guest_file(argv[i + 1]);
		else
			break;
	}
	if (i >= argc || argv[i][0] == '-') {
		fprintf(stderr, "check-config [--cpus N] [--memory MIB] [--guests \"NAME ...\"] "
				"[--file GUEST.bin]... FILE [KEY=VALUE...]\n");
		return 2;
	}
	status = check_cpus(cpus);
	if (!status)
		status = parse_file(argv[i]);
	if (!status)
		status = override(argc - i - 1, argv + i + 1);
	if (!status)
		status = check_machine(argv[i], mib, guests);
	return status;
}
