/* SPDX-License-Identifier: MIT */
/* What a link has carried. See hv/migrate/report_link.h. */
#include "hv/migrate/report_link.h"

#include "hv/base/console.h"

typedef unsigned long long ull;

static const char *suite_of(const struct source_link *link)
{
	return link_suite_name(link->asker.channel.suite);
}

void report_link_counts(struct json *j, const struct link_stats *stats, const char *suite,
			const struct transport *transport)
{
	json_str(j, "transport", transport->name);
	json_str(j, "suite", suite);
#define X(name) json_int(j, "link_" #name, (int64_t)stats->name);
	LINK_STATS(X)
#undef X
#define X(name) json_int(j, "net_" #name, (int64_t)transport->counts.name);
	TRANSPORT_COUNTS(X)
#undef X
}

void report_rounds_print(const uint64_t *pages, unsigned int n)
{
	if (!n)
		return;
	con_printf("cleave:   pages of each round:");
	for (unsigned int i = 0; i < n; i++)
		con_printf(" %llu", (ull)pages[i]);
	con_printf("\n");
}

void report_rounds_json(struct json *j, const uint64_t *pages, unsigned int n)
{
	json_open(j, "precopy_pages", '[');
	for (unsigned int i = 0; i < n; i++)
		json_uint(j, NULL, pages[i]);
	json_close(j, ']');
}

/* UDP payload that came for a thousand bytes of pages with contents. */
static uint64_t per_thousand(const struct source_link *link, uint64_t pages)
{
	return pages ? link->asker.stats.bytes_received * 1000 / (pages * PAGE_SIZE) : 0;
}

static void print_latency(const struct asker *a)
{
	con_printf("cleave:   from the request of an urgent page to its last piece:\n");
	for (unsigned int b = 0; b < ASKER_BUCKETS; b++)
		if (a->latency[b])
			con_printf("cleave:     below %10llu us %8llu\n", 1ull << b,
				   (ull)a->latency[b]);
}

void report_link_print(const struct source_link *link, uint64_t pages)
{
	const struct link_stats *s = &link->asker.stats;
	const struct pace *p = &link->asker.pace;
	uint64_t thousandths = per_thousand(link, pages);

	con_printf(
		"cleave:   link: %s, sealed by %s, %llu session%s; an urgent page in %llu us, at best %llu\n",
		link->transport->name, suite_of(link), (ull)s->sessions,
		s->sessions == 1 ? "" : "s", (ull)p->trip[1].smooth, (ull)p->best);
	con_printf(
		"cleave:   link: %llu datagrams and %llu bytes came, %llu.%03llu bytes for each of a "
		"page with contents; %llu datagrams went\n",
		(ull)s->datagrams_received, (ull)s->bytes_received, (ull)(thousandths / 1000),
		(ull)(thousandths % 1000), (ull)s->datagrams_sent);
	con_printf(
		"cleave:   link: %llu pieces asked for again, %llu came twice, %llu pages by parity, %llu "
		"packed; refused: %llu bad, %llu forged or broken, %llu replayed\n",
		(ull)s->pieces_again, (ull)s->pieces_duplicate, (ull)s->parity_repaired,
		(ull)s->pages_packed, (ull)s->bad_form, (ull)s->bad_seal, (ull)s->replayed);
	print_latency(&link->asker);
}

void report_link_json(struct json *j, const struct source_link *link, uint64_t pages)
{
	report_link_counts(j, &link->asker.stats, suite_of(link), link->transport);
	json_int(j, "link_round_trip_us", (int64_t)link->asker.pace.trip[1].smooth);
	json_int(j, "link_best_round_trip_us", (int64_t)link->asker.pace.best);
	json_int(j, "link_payload_per_thousand", (int64_t)per_thousand(link, pages));
	json_open(j, "link_latency_log2_us", '[');
	for (unsigned int b = 0; b < ASKER_BUCKETS; b++)
		json_int(j, NULL, (int64_t)link->asker.latency[b]);
	json_close(j, ']');
}
