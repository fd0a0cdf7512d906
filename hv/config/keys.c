/* SPDX-License-Identifier: MIT */
/* The table of the keys. See hv/config/keys.h; `make docs` writes it into docs/configuration.md. */
#include "hv/config/keys.h"

#include "hv/abi.h"

static const struct config_choice exits[] = {
	{ "halt", EXIT_HALT },
	{ "bochs", EXIT_BOCHS },
	{ "qemu", EXIT_QEMU },
	{ "reset", EXIT_RESET },
};

static const struct config_choice traces[] = {
	{ "last", TRACE_LAST },
	{ "all", TRACE_ALL },
};

static const struct config_choice links[] = {
	{ "none", NET_NONE },
	{ "e1000", NET_E1000 },
	{ "ivshmem", NET_IVSHMEM },
};

static const struct config_choice all_cpus[] = {
	{ "all", MAX_CPUS },
};

static const struct config_choice measured[] = {
	{ "auto", 0 },
};

static const struct config_choice backings[] = {
	{ "auto", PG_LEVEL_NONE },
	{ "4K", PG_LEVEL_4K },
	{ "2M", PG_LEVEL_2M },
	{ "1G", PG_LEVEL_1G },
};

static const struct config_choice pieces[] = {
	{ "4K", PG_LEVEL_4K },
	{ "2M", PG_LEVEL_2M },
};

static const struct config_choice arrivals[] = {
	{ "4K", 4 * KIB },
	{ "64K", 64 * KIB },
	{ "2M", 2 * MIB },
	{ "1G", GIB },
};

static const struct config_choice policies[] = {
#define X(id, name) { #name, POLICY_##id },
	CONFIG_POLICIES(X)
#undef X
};

static const struct config_choice triggers[] = {
	{ "ready", TRIGGER_READY },
	{ "guest", TRIGGER_GUEST },
	{ "time", TRIGGER_TIME },
};

static const struct config_choice nx_rules[] = {
	{ "auto", NX_AUTO },
	{ "on", NX_ON },
	{ "off", NX_OFF },
};

static const struct config_choice logs[] = {
	{ "auto", LOG_AUTO },
	{ "writes", LOG_WRITES },
	{ "bits", LOG_BITS },
	{ "hardware", LOG_HARDWARE },
};

static const struct config_choice orders[] = {
#define X(id, name) { #name, ORDER_##id },
	CONFIG_ORDERS(X)
#undef X
};

static const struct config_choice auto_size[] = {
	{ "auto", 0 },
};

static const struct config_choice rates[] = {
	{ "unlimited", CONFIG_UNLIMITED },
};

#define FIELD(type, member) .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)
#define MACHINE(member)     .machine = true, FIELD(struct hv_config, member)
#define RUN(member)         FIELD(struct run_config, member)
#define NAMES(array)        .choices = (array), .nchoices = ARRAY_LEN(array)
#define CHOICE(array)       .type = CONFIG_CHOICE, NAMES(array)
#define NUMBER(from, to)    .type = CONFIG_NUMBER, .min = (from), .max = (to)
#define SIZE(from, step)    .type = CONFIG_SIZE, .min = (from), .max = 512 * GIB, .multiple = (step)
#define TEXT                .type = CONFIG_TEXT
#define ADDRESS             .type = CONFIG_IPV4

/* clang-format off */
const struct config_key config_keys[] = {
	{ "exit", "halt", "How the machine ends when all runs are over. The launcher sets it.",
	  MACHINE(exit), CHOICE(exits) },
	{ "verbose", "1", "1 prints progress lines and tables beside the JSON line.",
	  MACHINE(verbose), NUMBER(0, 1) },
	{ "cpus", "all", "Cleave uses at most this many CPUs.",
	  MACHINE(cpus), NUMBER(1, MAX_CPUS), NAMES(all_cpus) },
	{ "debugger", "0", "1 waits for GDB before the first run (docs/debugging.md).",
	  MACHINE(debugger), NUMBER(0, 1) },
	{ "trace", "last",
	  "`last` keeps each CPU's last events, for a panic and for GDB; `all` also sends every event "
	  "through the third serial port (docs/trace.md).",
	  MACHINE(trace), CHOICE(traces) },
	{ "monitor", "0",
	  "1 takes commands on the fourth serial port while runs go on (docs/monitor.md). The launcher "
	  "sets it where it offers the port.",
	  MACHINE(monitor), NUMBER(0, 1) },
	{ "live", "0",
	  "1 prints ten lines a second that say where memory has arrived, for the live view "
	  "(docs/view.md). The launcher sets it for the view.",
	  MACHINE(live), NUMBER(0, 1) },
	{ "link", "none",
	  "The device that leads to another machine (docs/link.md): `e1000` is UDP on an 82540EM, "
	  "`ivshmem` is memory that two machines of QEMU share.",
	  MACHINE(link), CHOICE(links) },
	{ "address", "10.99.0.1", "This machine's IPv4 address; for link=ivshmem the two need but differ.",
	  MACHINE(address), ADDRESS },
	{ "peer", "10.99.0.2", "The other machine's.",
	  MACHINE(peer), ADDRESS },
	{ "tsc_khz", "auto",
	  "Rate of the time stamp counter. `auto` measures it, and finds a little more or less each "
	  "time. The launcher sets it where QEMU counts instructions.",
	  MACHINE(tsc_khz), NUMBER(1000, 100000000), NAMES(measured) },

	{ "job", "migrate", "What to do (docs/jobs.md). The test image has more jobs.",
	  RUN(job), TEXT },
	{ "guest", "seq", "The payload: `guests\\NAME.bin` on the boot disk (see below).",
	  RUN(guest), TEXT },
	{ "region", "1G", "Bytes of guest memory, from guest address 0 on.",
	  RUN(region), SIZE(2 * MIB, 2 * MIB) },
	{ "backing", "auto",
	  "Size of the frames behind the destination's memory. `auto` takes the largest of which "
	  "`region` is a multiple. Where no 1 GiB frame is free, Cleave takes 2M and says so.",
	  RUN(backing_asked), CHOICE(backings) },
	{ "populate", "2M",
	  "Size of the pieces in which the source VM's memory appears when it is first touched.",
	  RUN(populate), CHOICE(pieces) },
	{ "arrive", "4K",
	  "Size of the pieces in which pages arrive at the destination. 64K is sixteen 4 KiB pages "
	  "at once.",
	  RUN(arrive), CHOICE(arrivals) },
	{ "vcpus", "1", "Virtual CPUs of the guest.",
	  RUN(vcpus), NUMBER(1, ABI_VCPUS_MAX) },
	{ "collapse", "complete",
	  "When complete ranges become larger leaves: `complete` at once, `end` after the last "
	  "page, `budget` in the background, `hot` what is accessed most first, `idle` while no vCPU "
	  "waits for a page, `density` when `density` of 512 pages are here and the rest was "
	  "fetched, `never` not at all.",
	  RUN(policy), CHOICE(policies) },
	{ "budget", "4", "Collapses per millisecond, for collapse=budget.",
	  RUN(budget), NUMBER(1, 1000000) },
	{ "density", "256",
	  "For collapse=density: when so many of the 512 pages of 2 MiB are here, the others are asked "
	  "for, ahead of the background stream and whatever its rate is.",
	  RUN(density), NUMBER(1, 512) },
	{ "nx", "auto",
	  "`on` makes large leaves not executable and splits them down to 4 KiB on the first "
	  "fetch; `auto` does so where the CPU may suffer from iTLB multihit. The launcher sets "
	  "`off` for emulated Intel CPUs, unless the configuration sets it.",
	  RUN(nx), CHOICE(nx_rules) },
	{ "trigger", "ready",
	  "When the migration begins: `ready` when all vCPUs have prepared their memory, `guest` "
	  "when the guest asks, `time` `after` milliseconds after they were ready.",
	  RUN(trigger), CHOICE(triggers) },
	{ "after", "100", 
	  "Milliseconds to wait, for trigger=time; for job=linux until the guest, once ready, is asked "
	  "to finish; for order=none and order=record likewise, from the switch-over on.",
	  RUN(after_ms), NUMBER(0, 86400000) },
	{ "hops", "1",
	  "Migrations in a row, there and back again, for trigger=guest and trigger=ready. After each the "
	  "guest goes on for `after` milliseconds.",
	  RUN(hops), NUMBER(1, 1000) },
	{ "precopy", "0",
	  "Rounds in which pages are copied while the source still runs, before the switch-over. "
	  "0 copies nothing ahead. Between two machines the source's counts.",
	  RUN(precopy), NUMBER(0, CONFIG_PRECOPY_MAX) },
	{ "downtime", "0",
	  "Milliseconds, for precopy: a round that took no longer is the last. 0: as many as precopy says, "
	  "as long as each has more than 64 pages and fewer than the one before.",
	  RUN(downtime_ms), NUMBER(0, 86400000) },
	{ "log", "auto",
	  "How a dirty log notes writes: `writes` by write faults, `bits` by dirty bits, "
	  "`hardware` by the CPU's own log. `auto` takes the best that the CPU has.",
	  RUN(log), CHOICE(logs) },
	{ "order", "bubble",
	  "Order of the background stream. `bubble` goes outwards from the latest fault; `densest` first "
	  "completes the ranges of 2 MiB that lack least; `replay` takes the order that `record` noted. "
	  "With `none` and `record` pages come on demand only, and after `after` milliseconds the guest is "
	  "asked to finish.",
	  RUN(order), CHOICE(orders) },
	{ "replay", "order",
	  "For order=replay: the order is `guests\\NAME.bin` on the boot disk, a file of tools/order.",
	  RUN(replay), TEXT },
	{ "latency", "20",
	  "Microseconds from a request until the source answers. With 0 the fault handler copies "
	  "the page itself and nothing is requested.",
	  RUN(latency_us), NUMBER(0, 10000000) },
	{ "window", "64", "Pages that the background stream has under way at once.",
	  RUN(window), NUMBER(1, 256) },
	{ "stream", "unlimited", "Rate of the background stream in pages per millisecond.",
	  RUN(stream), NUMBER(1, CONFIG_STREAM_MAX), NAMES(rates) },
	{ "lose", "0", "Pages of the source that are lost before the migration.",
	  RUN(lose), NUMBER(0, 1000000) },
	{ "lose_late", "0", "Pages that are lost at the destination before they have arrived.",
	  RUN(lose_late), NUMBER(0, 1000000) },
	{ "rounds", "4", "How often a job repeats its operation.",
	  RUN(rounds), NUMBER(1, 1000000) },
	{ "start", "8M", "Guest address at which the payload's memory begins, in bytes.",
	  RUN(work_start), SIZE(CONFIG_IMAGES_END, PAGE_SIZE) },
	{ "work", "auto", "Bytes of the payload's memory. `auto` takes 64M, or what `region` has.",
	  RUN(work_asked), SIZE(PAGE_SIZE, PAGE_SIZE), NAMES(auto_size) },
	{ "stride", "4K", "Bytes from one page that the payload uses to the next.",
	  RUN(stride), SIZE(PAGE_SIZE, PAGE_SIZE) },
	{ "seed", "1", "Seed of the pages' contents and of what is random.",
	  RUN(seed), NUMBER(0, UINT64_MAX) },
	{ "timeout", "600000", "Milliseconds of machine time after which the run has failed.",
	  RUN(timeout_ms), NUMBER(1, 86400000) },
	{ "key", "none",
	  "What seals the link, for job=send and job=receive: `guests\\NAME.bin` on the boot disk, 16 to "
	  "64 bytes that both sides have.",
	  RUN(key), TEXT },
	{ "insecure", "0", "1 lets job=send and job=receive do without a key: whoever reaches the link can "
	  "read and change the guest.",
	  RUN(insecure), NUMBER(0, 1) },
	{ "compress", "0",
	  "1 lets pages that LZ4 brings to 1368 bytes travel in one datagram in place of three, where both "
	  "job=send and job=receive have it.",
	  RUN(compress), NUMBER(0, 1) },
	{ "limit", "60000",
	  "Milliseconds for which a side of a link waits for a sign of the other one before it gives up.",
	  RUN(limit_ms), NUMBER(100, 86400000) },
};
/* clang-format on */

const unsigned int config_nkeys = ARRAY_LEN(config_keys);

_Static_assert(ARRAY_LEN(config_keys) <= 64, "config_key_bit() has 64 bits");

const struct config_key *config_key_find(struct span name)
{
	for (unsigned int i = 0; i < config_nkeys; i++) {
		if (span_is(name, config_keys[i].name))
			return &config_keys[i];
	}
	return NULL;
}

uint64_t config_key_bit(const struct config_key *key)
{
	return UINT64_C(1) << (key - config_keys);
}

void config_put_keys(char text[CONFIG_TEXT_MAX])
{
	for (unsigned int i = 0; i < config_nkeys; i++) {
		config_put(text, i ? ", " : "");
		config_put(text, config_keys[i].name);
	}
}
