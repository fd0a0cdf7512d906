/* SPDX-License-Identifier: MIT */
/* The configuration's parser: lines, sections, load options. */
#include "hv/config/parse.h"

#include "hv/config/check.h"
#include "hv/config/value.h"
#include "mm/err.h"

struct parser {
	struct hv_config *config;
	struct config_error *error;
	unsigned int line;          /* or CONFIG_OPTIONS */
	struct run_config *run;     /* the run that keys of runs set; NULL: all runs */
	struct run_config defaults; /* what runs start from */
	unsigned int run_line;      /* where the run began */
	uint64_t seen;              /* keys that were set in this section */
};

/* The table's defaults are legal, and fit together: this refuses nothing. */
void config_defaults(struct hv_config *config)
{
	struct config_error error = { 0 };

	__builtin_memset(config, 0, sizeof(*config));
	config->nruns = 1;
	config->run[0] = (struct run_config){ .name = "run" };
	for (unsigned int i = 0; i < config_nkeys; i++) {
		const struct config_key *key = &config_keys[i];
		struct span initial = { key->initial, __builtin_strlen(key->initial) };
		struct config_value value = { 0 };

		if (!config_value_parse(key, initial, &value, &error, CONFIG_NO_LINE))
			config_value_store(key, &value,
					   key->machine ? (void *)config : &config->run[0]);
	}
	if (config_settle(&config->run[0], &error, CONFIG_NO_LINE))
		config->nruns = 0;
}

static int refuse_span(struct parser *p, const char *before, struct span s, const char *after)
{
	int err = config_refuse(p->error, p->line);

	config_put(p->error->text, before);
	config_put_span(p->error->text, s);
	config_put(p->error->text, after);
	return err;
}

/* Checks a key, before anybody looks at its value. */
static int find_key(struct parser *p, struct span name, const struct config_key **key)
{
	*key = config_key_find(name);
	if (!*key) {
		int err = refuse_span(p, "unknown key '", name, "'; known: ");

		config_put_keys(p->error->text);
		return err;
	}
	if ((*key)->machine && p->run && p->run != &p->defaults)
		return refuse_span(
			p, "", name,
			" concerns the whole machine: it belongs before the first [name]");
	if (p->seen & config_key_bit(*key))
		return refuse_span(p, "", name, " is set twice; keep one of the lines");
	p->seen |= config_key_bit(*key);
	return 0;
}

static int parse_setting(struct parser *p, struct span s)
{
	const struct config_key *key;
	struct config_value value = { 0 };
	struct span name = span_trim(span_cut(&s, '='));
	int err = find_key(p, name, &key);

	if (!err)
		err = config_value_parse(key, span_trim(s), &value, p->error, p->line);
	if (err)
		return err;
	if (key->machine) {
		config_value_store(key, &value, p->config);
	} else if (p->run) {
		config_value_store(key, &value, p->run);
	} else {
		for (unsigned int i = 0; i < p->config->nruns; i++)
			config_value_store(key, &value, &p->config->run[i]);
	}
	return 0;
}

static int end_run(struct parser *p)
{
	return p->run == &p->defaults ? 0 : config_settle(p->run, p->error, p->run_line);
}

static int begin_run(struct parser *p, struct span s)
{
	struct hv_config *config = p->config;
	struct span name = { s.p + 1, s.n - 1 };
	int err = end_run(p);

	if (err)
		return err;
	if (name.n == 0 || name.p[name.n - 1] != ']')
		return refuse_span(p, "'", s, "' lacks the closing ]");
	name.n--;
	name = span_trim(name);
	if (!span_is_name(name))
		return refuse_span(p, "[", name,
				   "]: a name has 1 to 39 letters, digits or any of _-.+/");
	for (unsigned int i = 0; i < config->nruns; i++) {
		if (span_is(name, config->run[i].name))
			return refuse_span(p, "[", name, "] is here twice; names must differ");
	}
	if (config->nruns == CONFIG_RUNS_MAX)
		return refuse_span(p, "[", name, "] is one too many: at most 256 runs fit");
	p->run = &config->run[config->nruns++];
	*p->run = p->defaults;
	span_copy_name(name, p->run->name);
	p->run_line = p->line;
	p->seen = 0;
	return 0;
}

/* A 0 byte or a control character: this is no configuration. */
static bool is_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int parse_line(struct parser *p, struct span s)
{
	/* Editors put the mark first, but other lines may have been put before that. */
	s = span_skip_bom(s);
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	if (s.n > CONFIG_LINE_MAX)
		return refuse_span(p, "'", s, "' is too long; a line has at most 200 bytes");
	if (!is_text(s))
		return refuse_span(p, "'", s, "' holds bytes that are not text");
	s = span_trim(span_cut(&s, '#'));
	if (s.n == 0)
		return 0;
	if (s.p[0] == '[')
		return begin_run(p, s);
	if (span_has(s, '='))
		return parse_setting(p, s);
	return refuse_span(p, "'", s, "' is neither key=value nor [name]");
}

static int parse_lines(struct parser *p, struct span text)
{
	int err = 0;

	while (text.n > 0 && !err) {
		p->line++;
		err = parse_line(p, span_cut(&text, '\n'));
	}
	return err ? err : end_run(p);
}

int config_parse(struct hv_config *config, const char *text, size_t bytes,
		 struct config_error *error)
{
	struct parser p = { .config = config, .error = error, .defaults = config->run[0] };
	int err;

	p.run = &p.defaults;
	config->nruns = 0;
	err = parse_lines(&p, (struct span){ text, bytes });
	if (!err && config->nruns == 0) {
		config->run[config->nruns++] = p.defaults;
		err = config_settle(&config->run[0], error, CONFIG_NO_LINE);
	}
	if (err)
		config->nruns = 0;
	return err;
}

static int parse_options(struct parser *p, struct span text)
{
	int err = 0;

	if (!is_text(text))
		return refuse_span(p, "'", text, "' holds bytes that are not text");
	for (text = span_trim(text); text.n > 0 && !err; text = span_trim(text)) {
		struct span word = span_cut_word(&text);

		if (span_has(word, '='))
			err = parse_setting(p, word);
		else
			err = refuse_span(p, "'", word, "' is not key=value");
	}
	return err;
}

int config_override(struct hv_config *config, const char *options, struct config_error *error)
{
	struct parser p = { .config = config, .error = error, .line = CONFIG_OPTIONS };
	struct span text = { options, __builtin_strlen(options) };
	int err = parse_options(&p, text);

	for (unsigned int i = 0; i < config->nruns && !err; i++)
		err = config_settle(&config->run[i], error, CONFIG_OPTIONS);
	return err;
}
