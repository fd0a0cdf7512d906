/* SPDX-License-Identifier: MIT */
/* What the monitor says. See hv/monitor/info.h. */
#include "hv/monitor/info.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/cpu/vcpu.h"
#include "hv/config/value.h"
#include "hv/policy/policy.h"
#include "mm/machine.h"

static const char *const levels[PG_LEVEL_MAX] = { "?", "4K", "2M", "1G", "512G" };

void info_vm(struct answer *a, const struct watched *w)
{
	answer_str(a, "run", w->config->name);
	answer_str(a, "job", w->config->job);
	answer_str(a, "guest", w->config->guest);
	answer_str(a, "vm", w->vm->name);
	answer_str(a, "phase", w->phase);
	answer_int(a, "ms", (int64_t)(cycles_to_us(clock_now() - w->begun) / 1000));
	answer_int(a, "vcpus", w->vm->nvcpus);
	answer_int(a, "cpus", ncpus);
	answer_int(a, "changes", w->changes);
}

const char *info_run_state(const struct vcpu *vcpu)
{
	static const char *const words[] = {
		[VCPU_OFF] = "off",       [VCPU_RUNNING] = "running", [VCPU_WAITING] = "waits",
		[VCPU_HALTED] = "halted", [VCPU_IDLE] = "idle",       [VCPU_PARKED] = "parked",
		[VCPU_DONE] = "done",     [VCPU_DEAD] = "dead",
	};

	return words[vcpu->run];
}

void info_cpus(struct answer *a, const struct watched *w)
{
	for (unsigned int i = 0; i < w->vm->nvcpus; i++) {
		const struct vcpu *v = &w->vm->vcpu[i];
		char key[24];

		fmt_print(key, sizeof(key), "vcpu %u", i);
		answer_open(a, key);
		answer_str(a, "state", info_run_state(v));
		if (v->run == VCPU_WAITING) {
			answer_hex(a, "gfn", v->wait_gfn);
			answer_int(a, "us", (int64_t)cycles_to_us(clock_now() - v->wait_since));
		}
		answer_int(a, "cpu", v->cpu);
		answer_int(a, "passes", (int64_t)v->passes);
		answer_int(a, "exits", (int64_t)vcpu_exits(v));
		answer_int(a, "faults", (int64_t)v->stats.wait.faults);
		answer_int(a, "blocked_us", (int64_t)cycles_to_us(v->stats.wait.block_cycles));
		answer_int(a, "longest_wait_us", (int64_t)cycles_to_us(v->stats.wait.block_max));
		answer_int(a, "machine_checks", (int64_t)v->stats.machine_checks);
		answer_close(a);
	}
}

static void put_leaves(struct answer *a, const struct ept_stats *s)
{
	answer_int(a, "pages_4k", s->pages_4k);
	answer_int(a, "pages_2m", s->pages_2m);
	answer_int(a, "pages_1g", s->pages_1g);
	answer_int(a, "tables", s->tables);
}

void info_mem(struct answer *a, const struct watched *w)
{
	const struct memory *mem = &w->vm->mem;
	struct ept_stats s;

	ept_stats_sum(&mem->ept, &s);
	answer_int(a, "bytes", (int64_t)(mem->frames << PAGE_SHIFT));
	answer_str(a, "backing", levels[mem->backing.level]);
	answer_hex(a, "work", w->config->work_start);
	answer_int(a, "work_bytes", (int64_t)w->config->work);
	put_leaves(a, &s);
	answer_int(a, "frames_free", (int64_t)machine_frames.free);
	answer_int(a, "table_pages_in_use", (int64_t)machine_tables.in_use);
}

void info_ept(struct answer *a, const struct watched *w)
{
	const struct ept *ept = &w->vm->mem.ept;
	struct ept_stats s;

	ept_stats_sum(ept, &s);
	answer_str(a, "format", ept->fmt->name);
	answer_hex(a, "root", ept->root.v);
	answer_str(a, "largest_leaf", levels[ept->leaf_max]);
	put_leaves(a, &s);
	answer_int(a, "splits", s.splits_absent + s.splits_present);
	answer_int(a, "collapses", s.collapses);
}

const char *info_page(struct answer *a, const struct watched *w, gfn_t gfn)
{
	const struct ept *ept = &w->vm->mem.ept;
	struct ept_state s = ept_lookup(ept, gfn);
	uint64_t path[PG_LEVEL_MAX];
	const char rights[] = { s.perms & EPT_R ? 'r' : '-', s.perms & EPT_W ? 'w' : '-',
				s.perms & EPT_X ? 'x' : '-', 0 };

	if (s.kind == EPT_NONE)
		return "nothing is mapped there";
	ept_path(ept, gfn, path);
	answer_hex(a, "gfn", gfn);
	answer_str(a, "is", entry_kind_name(s.kind));
	answer_str(a, "size", levels[s.level]);
	answer_hex(a, "frame", s.frame.v);
	answer_str(a, "rights", rights);
	answer_int(a, "requested", s.requested);
	answer_int(a, "discarded", s.kind == EPT_ABSENT && s.zero);
	answer_int(a, "accessed", s.accessed);
	answer_int(a, "dirty", s.dirty);
	for (enum pg_level level = PG_LEVEL_512G; level >= s.level; level--) {
		char key[24];

		fmt_print(key, sizeof(key), "entry %s", levels[level]);
		answer_hex(a, key, path[level]);
	}
	return NULL;
}

void info_stats(struct answer *a, const struct watched *w)
{
	struct pager_stats p;
	struct ept_stats s;

	ept_stats_sum(&w->vm->mem.ept, &s);
	pager_sum(&w->vm->mem, &p);
#define X(name, what) answer_int(a, #name, s.name);
	EPT_STATS(X)
#undef X
#define X(name, number, word, what) answer_int(a, "refused_" word, s.refused[name##_NR]);
	EPT_REFUSALS(X)
#undef X
#define X(name, what) answer_int(a, "pager_" #name, (int64_t)p.name);
	PAGER_STATS(X)
#undef X
	answer_int(a, "flushes", (int64_t)tlb_count(&w->vm->mem.tlb));
}

void info_knobs(struct answer *a, const struct watched *w)
{
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];
		char text[CONFIG_TEXT_MAX] = "";

		config_print_value(
			key, key->machine ? (const void *)w->machine : (const void *)w->config,
			text);
		answer_str(a, key->name, text);
	}
}

bool info_key(struct answer *a, const char *name)
{
	const struct config_key *key =
		config_key_find((struct span){ name, __builtin_strlen(name) });
	char legal[CONFIG_TEXT_MAX] = "";

	if (!key)
		return false;
	config_print_legal(key, legal);
	answer_str(a, "key", key->name);
	answer_str(a, "values", legal);
	answer_str(a, "default", key->initial);
	answer_str(a, "meaning", key->about);
	return true;
}

static void put_rate(struct answer *a, unsigned int rate)
{
	if (rate == CONFIG_UNLIMITED)
		answer_str(a, "stream", "unlimited");
	else if (!rate)
		answer_str(a, "stream", "pauses");
	else
		answer_int(a, "stream", rate);
}

const char *info_migration(struct answer *a, const struct watched *w)
{
	struct watched_progress p = { 0 };

	if (!w->ops)
		return "this job migrates nothing";
	w->ops->progress(w->ctx, &p);
	answer_str(a, "phase", w->phase);
	answer_int(a, "hop", p.hop);
	answer_int(a, "pages", (int64_t)w->vm->mem.frames);
	answer_int(a, "settled", (int64_t)p.settled);
	answer_int(a, "us_since_switch", (int64_t)p.since_switch);
	answer_str(a, "policy", policy_name(p.policy));
	put_rate(a, p.rate);
	answer_str(a, "source", p.cut ? "cut off" : "connected");
	return NULL;
}
