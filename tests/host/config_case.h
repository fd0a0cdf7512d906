/* SPDX-License-Identifier: MIT */
/* What the tests of the configuration share: a configuration, and claims about a text. */
#ifndef TESTS_HOST_CONFIG_CASE_H
#define TESTS_HOST_CONFIG_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/config/parse.h"
#include "mm/err.h"

#define KNOWN                                                                                                                  \
	"known: exit, verbose, cpus, debugger, trace, monitor, live, link, address, peer, tsc_khz, job, "                      \
	"guest, region, backing, populate, arrive, vcpus, collapse, budget, density, nx, trigger, after, "                     \
	"hops, precopy, downtime, log, order, replay, latency, window, stream, lose, lose_late, rounds, start, work, stride, " \
	"seed, timeout, key, insecure, compress, limit"

static struct hv_config config;
static struct config_error error;

/* From memory of exactly this size, so that reading beyond it is noticed. */
static inline int parse_bytes(const char *text, size_t bytes)
{
	char *copy = malloc(bytes ? bytes : 1);
	int err;

	memcpy(copy, text, bytes);
	config_defaults(&config);
	memset(&error, 0x55, sizeof(error));
	err = config_parse(&config, copy, bytes, &error);
	free(copy);
	return err;
}

static inline int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static inline void takes(const char *text)
{
	if (parse(text))
		fail_msg("refused: %s", error.text);
}

static inline void check_error(unsigned int line, const char *message)
{
	assert_string_equal(error.text, message);
	assert_int_equal(error.line, line);
}

static inline void refuses(const char *text, unsigned int line, const char *message)
{
	assert_int_equal(parse(text), -EINVAL);
	check_error(line, message);
	assert_int_equal(config.nruns, 0);
}

#endif
