/* SPDX-License-Identifier: MIT */
/*
 * What the user configured. Filled in by boot/config.c; the hypervisor only reads it.
 *
 * cleave.cfg is a list of `key=value` lines. Lines before the first `[name]` set what concerns the
 * machine, and the defaults for all runs; each `[name]` begins a run that starts from those
 * defaults. Without any `[name]` there is one run, called "run".
 */
#ifndef HV_CONFIG_H
#define HV_CONFIG_H

#include "mm/types.h"

#define CONFIG_NAME_MAX  40
#define CONFIG_RUNS_MAX  256
#define CONFIG_UNLIMITED UINT32_MAX /* stream=unlimited */

enum config_exit {
	EXIT_HALT = 0,
	EXIT_BOCHS,
	EXIT_QEMU,
	EXIT_RESET
};
enum config_policy {
	POLICY_COMPLETE = 0,
	POLICY_END,
	POLICY_BUDGET,
	POLICY_NEVER
};
enum config_nx {
	NX_AUTO = 0,
	NX_ON,
	NX_OFF
};
enum config_order {
	ORDER_LINEAR = 0,
	ORDER_REVERSE,
	ORDER_RANDOM,
	ORDER_BUBBLE
};
enum config_trigger {
	TRIGGER_READY = 0,
	TRIGGER_GUEST,
	TRIGGER_TIME
};

struct run_config {
	char name[CONFIG_NAME_MAX];
	char job[CONFIG_NAME_MAX];   /* job=: "migrate", or a test's name in the test image */
	char guest[CONFIG_NAME_MAX]; /* guest=: the payload's file name without .bin */
	uint64_t region;             /* region=: bytes of guest memory, multiple of 2 MiB */
	enum pg_level backing;       /* backing=4K|2M|1G: frames of the destination's memory */
	enum pg_level populate; /* populate=4K|2M: piece in which the source VM's memory appears */
	unsigned int vcpus;     /* vcpus=1..4 */
	enum config_policy policy;   /* collapse=complete|end|budget|never */
	unsigned int budget;         /* budget=: collapses per millisecond, for collapse=budget */
	enum config_nx nx;           /* nx=auto|on|off: large leaves are not executable */
	enum config_trigger trigger; /* trigger=ready|guest|time */
	unsigned int after_ms;       /* after=: for trigger=time, ms after all vCPUs were ready */
	enum config_order order;     /* order=linear|reverse|random|bubble: the background stream */
	unsigned int
		latency_us;  /* latency=: from a request to the page being at hand; 0: at once */
	unsigned int window; /* window=: background requests under way at once, 1..256 */
	unsigned int stream; /* stream=: background pages per ms; default no limit */
	uint64_t work_start; /* start=: gpa of the payload's memory */
	uint64_t work;       /* work=: bytes of it */
	uint64_t stride;     /* stride=: bytes from one used page to the next */
	uint64_t seed;       /* seed= */
	unsigned int timeout_ms; /* timeout=: of the run, by the machine's clock */
};

struct hv_config {
	enum config_exit exit; /* exit=halt|bochs|qemu|reset: how the machine ends */
	bool verbose;          /* verbose=0|1: progress lines and tables, besides the JSON */
	unsigned int cpus;     /* cpus=: use at most so many; default all */
	bool debugger;         /* debugger=0|1: wait for one before anything is done */
	unsigned int nruns;
	struct run_config run[CONFIG_RUNS_MAX];
};

#endif
