/* SPDX-License-Identifier: MIT */
/* The monitor. See hv/monitor/monitor.h. */
#include "hv/monitor/monitor.h"

#include "hv/base/clock.h"
#include "hv/base/serial.h"
#include "hv/monitor/change.h"
#include "hv/monitor/info.h"
#include "hv/monitor/live.h"
#include "hv/vm/run.h"
#include "mm/err.h"

#define BYTES_A_TURN 64 /* that are read at once */

bool monitor_is_on;

static struct {
	struct serial port;
	bool live, json, quit;
	uint64_t due; /* TSC: the next look at the port */
	struct watched *on;
	bool paused;

	char line[MONITOR_LINE_MAX + 1]; /* one more byte tells that it is too long */
	size_t n;
	bool changing; /* the change is under way, and answered when it is through */
	struct change change;
	struct answer answer;
	size_t sent; /* bytes of it */
} mon;

/* --- commands ------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	while (*with && *text == *with)
		text++, with++;
	return !*with;
}

static const char *help(const struct monitor_call *call)
{
	const char *only = call->args ? call->arg[0].text : "";
	bool any = false;

	for (unsigned int i = 0; i < MONITOR_WORDS_N; i++) {
		const struct monitor_word *word = &monitor_words[i];
		char usage[CONFIG_TEXT_MAX] = "";

		if (!begins(word->name, only))
			continue;
		monitor_put_usage(word, usage);
		answer_str(&mon.answer, usage, word->about);
		any = true;
	}
	if (call->args)
		any |= info_key(&mon.answer, only);
	return any ? NULL : "no command begins so, and no key of the configuration is called so";
}

static const char *set_policy(const struct monitor_call *call)
{
	mon.on->ops->set_policy(mon.on->ctx, (enum config_policy)call->arg[0].number);
	mon.on->reshaped = true;
	return NULL;
}

static const char *set_rate(const struct monitor_call *call)
{
	static unsigned int before = CONFIG_UNLIMITED; /* the pause */
	struct watched_progress p = { 0 };
	uint64_t rate = call->arg[0].number;

	mon.on->ops->progress(mon.on->ctx, &p);
	if (p.rate)
		before = p.rate;
	if (rate == MONITOR_RATE_GO)
		rate = before;
	mon.on->ops->set_rate(mon.on->ctx, (unsigned int)rate);
	return NULL;
}

static const char *cut(const struct monitor_call *call)
{
	mon.on->ops->cut(mon.on->ctx, call->arg[0].number);
	if (call->arg[0].number)
		answer_str(&mon.answer, "note",
			   "vCPUs go on with the pages that are here, and wait for others until "
			   "`source restore`, or until the run's timeout=");
	return NULL;
}

/* What changes a migration. */
static const char *change_migration(const struct monitor_call *call)
{
	static const char *(*const does[MONITOR_WORDS_N])(const struct monitor_call *) = {
		[MONITOR_POLICY] = set_policy,
		[MONITOR_STREAM] = set_rate,
		[MONITOR_SOURCE] = cut,
	};

	if (mon.on->no_change)
		return mon.on->no_change;
	mon.on->changes++;
	return does[call->id](call);
}

static const char *migrate_now(void)
{
	if (!mon.on->may_migrate)
		return "no migration waits for its moment";
	mon.on->ops->migrate(mon.on->ctx);
	mon.on->changes++;
	return NULL;
}

/* Between the two this CPU works on the memory without running any vCPU. */
static const char *pause(void)
{
	if (mon.on->no_pause)
		return mon.on->no_pause;
	if (mon.paused)
		return "it stands still already; say `resume`";
	vm_stop(mon.on->vm);
	tlb_join(&mon.on->vm->mem.tlb, 0);
	mon.paused = true;
	mon.on->changes++;
	return NULL;
}

static void go_on(void)
{
	mon.paused = false;
	vm_start(mon.on->vm);
}

static const char *resume(void)
{
	if (!mon.paused)
		return "it does not stand still";
	go_on();
	return NULL;
}

static const char *info(const struct monitor_call *call)
{
	struct answer *a = &mon.answer;

	switch (call->id) {
	case MONITOR_INFO_VM:
		info_vm(a, mon.on);
		return NULL;
	case MONITOR_INFO_CPUS:
		info_cpus(a, mon.on);
		return NULL;
	case MONITOR_INFO_MEM:
		info_mem(a, mon.on);
		return NULL;
	case MONITOR_INFO_STATS:
		info_stats(a, mon.on);
		return NULL;
	case MONITOR_INFO_KNOBS:
		info_knobs(a, mon.on);
		return NULL;
	case MONITOR_INFO_MIGRATION:
		return info_migration(a, mon.on);
	default:
		if (call->args)
			return info_page(a, mon.on, call->arg[0].number >> PAGE_SHIFT);
		info_ept(a, mon.on);
		return NULL;
	}
}

static const char *change_memory(const struct monitor_call *call)
{
	const char *why = change_begin(&mon.change, mon.on, call);

	mon.changing = !why;
	return why;
}

static const char *obey(const struct monitor_call *call)
{
	switch (call->id) {
	case MONITOR_HELP:
		return help(call);
	case MONITOR_EPT_SPLIT:
	case MONITOR_EPT_COLLAPSE:
	case MONITOR_EPT_POISON:
	case MONITOR_EPT_DISCARD:
	case MONITOR_EPT_PROTECT:
		return change_memory(call);
	case MONITOR_POLICY:
	case MONITOR_STREAM:
	case MONITOR_SOURCE:
		return change_migration(call);
	case MONITOR_MIGRATE:
		return migrate_now();
	case MONITOR_PAUSE:
		return pause();
	case MONITOR_RESUME:
		return resume();
	case MONITOR_QUIT:
		mon.quit = true;
		return NULL;
	case MONITOR_JSON:
		mon.json = call->arg[0].number;
		mon.answer.json = mon.json;
		answer_begin(&mon.answer, mon.json);
		return NULL;
	default:
		return info(call);
	}
}

/* --- lines ---------------------------------------------------------------------------------- */

static void end_change(void)
{
	const struct change *c = &mon.change;

	mon.changing = false;
	if (c->id == MONITOR_EPT_POISON && c->done)
		live_hurt(mon.on, c->gfn, c->done);
	answer_end(&mon.answer, change_answer(c, &mon.answer));
	live_now();
}

static void obey_line(void)
{
	struct config_error error = { 0 };
	struct monitor_call call;
	const char *why;
	int err = monitor_parse(mon.line, mon.n, &call, &error);

	mon.n = 0;
	if (err == -ENOENT)
		return;
	answer_begin(&mon.answer, mon.json);
	mon.sent = 0;
	why = err ? error.text : obey(&call);
	if (!mon.changing)
		answer_end(&mon.answer, why);
}

static void hear(uint8_t byte)
{
	if (byte == '\n' || byte == '\r')
		obey_line();
	else if (byte == '\b' || byte == 0x7f)
		mon.n -= mon.n > 0;
	else if (mon.n < sizeof(mon.line))
		mon.line[mon.n++] = (char)byte;
}

static bool answering(void)
{
	return mon.changing || mon.sent < mon.answer.n;
}

/* Sends no more than the port takes at once. */
static void send_some(void)
{
	for (unsigned int room = serial_room(&mon.port); room && mon.sent < mon.answer.n; room--)
		serial_put(&mon.port, (uint8_t)mon.answer.text[mon.sent++]);
}

static void listen(uint64_t now)
{
	int byte;

	if (now < mon.due)
		return;
	mon.due = now + us_to_cycles(MONITOR_POLL_US);
	for (unsigned int i = 0; i < BYTES_A_TURN && !answering(); i++) {
		byte = serial_get(&mon.port);
		if (byte < 0)
			break;
		hear((uint8_t)byte);
	}
}

/* --- turns ---------------------------------------------------------------------------------- */

static void turn(void)
{
	if (mon.changing) {
		if (!change_step(&mon.change))
			end_change();
	} else if (answering()) {
		send_some();
	} else {
		listen(clock_now());
	}
	if (mon.live)
		live_turn(mon.on);
}

const char *monitor_serve(void)
{
	if (!mon.on)
		return NULL;
	turn();
	while (mon.paused && !mon.quit) {
		tlb_quiesce(&mon.on->vm->mem.tlb, 0);
		turn();
	}
	if (mon.quit && mon.paused)
		go_on();
	return mon.quit ? "somebody said `quit` to the monitor" : NULL;
}

void monitor_open(bool commands, bool live)
{
	static const char begins[] = MONITOR_BEGINS;

	mon.live = live;
	if (commands) {
		serial_init(&mon.port, COM4);
		for (size_t i = 0; i < sizeof(begins) - 1; i++)
			serial_put(&mon.port, (uint8_t)begins[i]);
	}
	monitor_is_on = live || mon.port.alive;
}

void monitor_close(void)
{
	while (mon.port.alive && mon.sent < mon.answer.n)
		serial_put(&mon.port, (uint8_t)mon.answer.text[mon.sent++]);
	serial_drain(&mon.port);
}

void monitor_watch(struct watched *w)
{
	mon.on = w;
	live_begin();
}

/* A change that is under way ends here, unanswered but for what it did. */
void monitor_leave(void)
{
	if (mon.on && mon.changing)
		end_change();
	mon.on = NULL;
}
