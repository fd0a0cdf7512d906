/* SPDX-License-Identifier: MIT */
/* The in-machine case of jobs that are used wrongly: each says why, and keeps nothing. */
#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hv/base/try.h"
#include "hv/job/list.h"
#include "mm/machine.h"
#include "tests/machine/cases.h"

/* What differs from the section; 0: nothing. */
struct wrong_use {
	const char *(*run)(const struct run_config *config, const struct boot_info *info);
	const char *guest;
	uint64_t region, work;
	enum pg_level backing;
	unsigned int timeout_ms;
	const char *why;
};

static const struct wrong_use wrong_uses[] = {
	{ .run = log_job, .guest = "none", .why = "no such payload" },
	{ .run = log_job, .region = 256 * GIB, .why = "no memory for the VM" },
	{ .run = log_job, .guest = "hot", .timeout_ms = 1, .why = "the job was not done in time" },
	{ .run = log_job, .guest = "touch", .why = "the guest ended before it was asked to" },
	{ .run = relocate_job,
	  .work = MIB,
	  .why = "there is no whole 2 MiB in the payload's memory: make work= larger" },
	{ .run = hot_job,
	  .backing = PG_LEVEL_4K,
	  .why = "in frames of 4 KiB nothing can become large: use backing=2M or 1G" },
	{ .run = protect_job, .guest = "writer", .why = "a vCPU was stopped by a fault" },
	{ .run = protect_job,
	  .work = 2 * MIB,
	  .why = "two edges need room: make work= 4M or larger" },
	{ .run = move_job,
	  .work = 12 * MIB,
	  .why = "there is no room behind the payload's memory: make region= larger by 8M" },
};

static struct run_config wrong_config(const struct run_config *base, const struct wrong_use *use)
{
	struct run_config config = *base;

	if (use->guest)
		memcpy(config.guest, use->guest, strlen(use->guest) + 1);
	config.region = use->region ? use->region : config.region;
	config.work = use->work ? use->work : config.work;
	config.backing = use->backing ? use->backing : config.backing;
	config.timeout_ms = use->timeout_ms ? use->timeout_ms : config.timeout_ms;
	return config;
}

static const char *use_wrongly(const struct run_config *base, const struct boot_info *info,
			       const struct wrong_use *use)
{
	struct run_config config = wrong_config(base, use);
	const char *why;
	uint64_t free;

	table_cache_drain(&machine_tables);
	free = machine_frames.free;
	why = use->run(&config, info);
	table_cache_drain(&machine_tables);
	con_printf("cleave: expected: %s; told: %s\n", use->why, why ? why : "none");
	MUST(why && !strcmp(why, use->why), "another reason was told");
	MUST(machine_frames.free == free, "something was kept");
	return NULL;
}

const char *wrong_use_of_jobs_job(const struct run_config *config, const struct boot_info *info)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong_uses); i++)
		TRY(use_wrongly(config, info, &wrong_uses[i]));
	return NULL;
}
