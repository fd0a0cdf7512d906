/* SPDX-License-Identifier: MIT */
/*
 * The user's configuration. hv/config/parse.h fills this in; the hypervisor only reads it. One
 * table, hv/config/keys.c, has the meaning, limits and default of each member; the comments here
 * add its key and unit where the name does not say them.
 *
 * cleave.cfg is a list of `key=value` lines. Lines before the first `[name]` are machine settings
 * and defaults for every run; each `[name]` begins a run that starts from those defaults. Without
 * any `[name]` there is one run, called "run".
 */
#ifndef HV_CONFIG_CONFIG_H
#define HV_CONFIG_CONFIG_H

#include "mm/types.h"

#define CONFIG_PRECOPY_MAX 30
#define CONFIG_NAME_MAX    40
#define CONFIG_RUNS_MAX    256
#define CONFIG_UNLIMITED   UINT32_MAX /* stream=unlimited */
#define CONFIG_STREAM_MAX  1000000    /* pages per ms, otherwise */

enum config_exit {
	EXIT_HALT = 0,
	EXIT_BOCHS,
	EXIT_QEMU,
	EXIT_RESET
};
/* X(ENUMERATOR, name): when complete ranges collapse. hv/policy/list.h has a row for each. */
#define CONFIG_POLICIES(X)                                                                         \
	X(COMPLETE, complete)                                                                      \
	X(END, end)                                                                                \
	X(BUDGET, budget)                                                                          \
	X(HOT, hot)                                                                                \
	X(IDLE, idle)                                                                              \
	X(DENSITY, density)                                                                        \
	X(NEVER, never)

enum config_policy {
#define X(id, name) POLICY_##id,
	CONFIG_POLICIES(X)
#undef X
};
enum config_nx {
	NX_AUTO = 0,
	NX_ON,
	NX_OFF
};
/* Likewise, the order of the background stream: hv/order/order.c. */
#define CONFIG_ORDERS(X)                                                                           \
	X(LINEAR, linear)                                                                          \
	X(REVERSE, reverse)                                                                        \
	X(RANDOM, random)                                                                          \
	X(BUBBLE, bubble)                                                                          \
	X(DENSEST, densest)                                                                        \
	X(RECORD, record)                                                                          \
	X(REPLAY, replay)                                                                          \
	X(NONE, none)

enum config_order {
#define X(id, name) ORDER_##id,
	CONFIG_ORDERS(X)
#undef X
};
enum config_trigger {
	TRIGGER_READY = 0,
	TRIGGER_GUEST,
	TRIGGER_TIME
};
enum config_log {
	LOG_AUTO = 0,
	LOG_WRITES,
	LOG_BITS,
	LOG_HARDWARE
};

/* Payloads' images and stacks lie below: `start` is at or above. */
#define CONFIG_IMAGES_END (4 * MIB)

struct run_config {
	char name[CONFIG_NAME_MAX]; /* of the section */
	char job[CONFIG_NAME_MAX];
	char guest[CONFIG_NAME_MAX];
	uint64_t region;             /* bytes */
	enum pg_level backing;       /* decided by the parser */
	enum pg_level backing_asked; /* backing=; PG_LEVEL_NONE: auto */
	enum pg_level populate;
	uint64_t arrive; /* bytes */
	unsigned int vcpus;
	enum config_policy policy; /* collapse= */
	unsigned int budget;       /* collapses per ms */
	unsigned int density;      /* pages of 512 */
	enum config_nx nx;
	enum config_trigger trigger;
	unsigned int after_ms; /* after= */
	unsigned int hops;
	unsigned int precopy;     /* rounds, at most CONFIG_PRECOPY_MAX */
	unsigned int downtime_ms; /* downtime= */
	enum config_log log;
	enum config_order order;
	char replay[CONFIG_NAME_MAX]; /* the name of a file */
	unsigned int latency_us;      /* latency= */
	unsigned int window;          /* pages */
	unsigned int stream;          /* pages per ms, or CONFIG_UNLIMITED */
	unsigned int lose;            /* pages */
	unsigned int lose_late;       /* pages */
	unsigned int rounds;
	uint64_t work_start; /* start=: gpa */
	uint64_t work;       /* bytes; decided by the parser */
	uint64_t work_asked; /* work=; 0: auto */
	uint64_t stride;     /* bytes */
	uint64_t seed;
	unsigned int timeout_ms;   /* timeout= */
	char key[CONFIG_NAME_MAX]; /* the name of a file; "none" */
	bool insecure;
	bool compress;
	unsigned int limit_ms; /* limit= */
};

enum config_net {
	NET_NONE = 0,
	NET_E1000,
	NET_IVSHMEM
};

enum config_trace {
	TRACE_LAST = 0,
	TRACE_ALL
};

struct hv_config {
	enum config_exit exit;
	bool verbose;
	unsigned int cpus; /* at most */
	bool debugger;
	enum config_trace trace;
	bool monitor;
	bool live;
	enum config_net link;
	uint32_t address, peer; /* IPv4, host byte order */
	uint64_t tsc_khz;       /* 0: to be measured */
	unsigned int nruns;
	struct run_config run[CONFIG_RUNS_MAX];
};

#endif
