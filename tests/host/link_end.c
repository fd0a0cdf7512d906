/* SPDX-License-Identifier: MIT */
/*
 * One end of the link as a program on the host, over UDP on 127.0.0.1: the other end is a tool in
 * another language (tests/snapshot_link_test.py).
 *
 *	link_end ask    port=N memory=FILE state=FILE [KEY=VALUE...]
 *	link_end answer port=N memory=FILE state=FILE [KEY=VALUE...]
 *
 * ask writes both files, answer reads them: raw memory, whose pages that begin with "lost" are
 * lost. port: of the answerer; frames: of the asker's region. key=TEXT (none: insecure), aes=0|1,
 *seed=N; lose, duplicate, corrupt: chances of 1000 for each datagram that goes or comes. run=MS:
 *for so long the guest of answer runs before it is offered. packed=1: pages may travel packed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hv/link/answerer.h"
#include "hv/link/asker.h"
#include "tests/host/random.h"

#define FRAMES_MAX 16384 /* 64 MiB */
#define PAGES      128
#define CHUNK      16
#define LIMIT      30000000 /* us */

static uint8_t memory[FRAMES_MAX][PAGE_SIZE];
static uint8_t state[LINK_STATE_MAX];
static size_t frames, state_bytes;
static struct sockaddr_in peer;
static int fd;
static uint64_t seed;

static struct {
	const char *port, *memory, *state, *key, *aes, *seed, *frames, *lose, *duplicate, *corrupt,
		*run, *packed;
} args;

static void fail(const char *why)
{
	printf("failed: %s\n", why);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t number(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

static void fill(void *ctx, void *to, size_t n)
{
	(void)ctx;
	if (getrandom(to, n, 0) != (ssize_t)n)
		fail("no randomness");
}

/* --- datagrams, over a link with faults --------------------------------------------------------
 */

static bool hits(const char *chance)
{
	return rnd(&seed) % 1000 < number(chance);
}

static void put(uint8_t *datagram, size_t n)
{
	if (hits(args.lose))
		return;
	if (hits(args.corrupt))
		datagram[rnd(&seed) % n] ^= (uint8_t)(1u << rnd(&seed) % 8);
	for (unsigned int i = 0; i < (hits(args.duplicate) ? 2u : 1u); i++)
		(void)sendto(fd, datagram, n, 0, (struct sockaddr *)&peer, sizeof(peer));
}

/* Returns bytes; 0: nothing has come. Strangers and the peer are one here. */
static size_t take(uint8_t *datagram)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n;

	do {
		n = recvfrom(fd, datagram, LINK_DATAGRAM_MAX, MSG_DONTWAIT,
			     (struct sockaddr *)&from, &size);
		if (n <= 0)
			return 0;
		peer = from;
	} while (hits(args.lose));
	if (hits(args.corrupt))
		datagram[rnd(&seed) % (size_t)n] ^= (uint8_t)(1u << rnd(&seed) % 8);
	return (size_t)n;
}

static void rest(void)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	(void)poll(&wait, 1, 1);
}

static void open_socket(bool answers)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = answers ? htons((uint16_t)number(args.port)) : 0,
	};

	peer = here;
	peer.sin_port = htons((uint16_t)number(args.port));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)))
		fail("no socket at that port");
}

/* --- files -------------------------------------------------------------------------------------
 */

static size_t read_file(const char *path, void *to, size_t room)
{
	int file = open(path, O_RDONLY);
	ssize_t n = file < 0 ? -1 : read(file, to, room);

	if (n < 0 || close(file))
		fail(path);
	return (size_t)n;
}

static void write_file(const char *path, const void *from, size_t n)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (file < 0 || write(file, from, n) != (ssize_t)n || close(file))
		fail(path);
}

/* --- both --------------------------------------------------------------------------------------
 */

static struct link_key key_of(void)
{
	if (!args.key)
		return (struct link_key){ .insecure = true };
	return (struct link_key){
		.bytes = (const uint8_t *)args.key,
		.n = strlen(args.key),
		.aes = number(args.aes),
	};
}

static struct link_offer offer_of(void)
{
	return (struct link_offer){
		.vendor = LINK_VENDOR_SVM,
		.backing = PG_LEVEL_2M,
		.vcpus = 2,
		.state_version = 9,
		.features = 0xf | (number(args.packed) ? LINK_FEATURE_PACKED : 0),
		.needs = LINK_FEATURE_POISON,
		.region = { { 0, frames } },
		.cpu = { 1, 3 },
	};
}

static void print_stats(const struct link_stats *s)
{
#define X(name) printf("%s=%llu ", #name, (unsigned long long)s->name);
	LINK_STATS(X)
#undef X
	printf("\n");
}

/* --- the asker ---------------------------------------------------------------------------------
 */

static struct asker asker;
static uint8_t here[FRAMES_MAX];

static void place(const struct link_extent *e)
{
	for (uint64_t i = 0; i < e->frames; i++) {
		gfn_t gfn = e->gfn + i;

		if (here[gfn])
			continue;
		here[gfn] = 1;
		if (e->data)
			memcpy(memory[gfn], e->data, PAGE_SIZE);
		else if (e->what == LINK_LOST)
			memcpy(memory[gfn], "lost", 4);
	}
}

/* Asks for the next pages in order, and now and then urgently for one that is not here. */
static void ask_more(gfn_t *next)
{
	gfn_t any = rnd(&seed) % frames;
	uint64_t n = 0;

	if (rnd(&seed) % 10 == 0 && !here[any])
		(void)!asker_ask(&asker, now(), any, 1, true);
	while (*next < frames && here[*next])
		++*next;
	while (n < CHUNK && *next + n < frames && !here[*next + n])
		n++;
	if (n && !asker_ask(&asker, now(), *next, n, false))
		*next += n;
}

static void step_asker(void)
{
	static uint8_t datagram[LINK_DATAGRAM_MAX];
	struct asker_answer answer;
	size_t n;

	while ((n = take(datagram)))
		asker_receive(&asker, now(), datagram, n);
	while (asker_take(&asker, false, &answer))
		place(&answer.extent);
	while ((n = asker_poll(&asker, now(), datagram)))
		put(datagram, n);
	if (asker_phase(&asker) == ASKER_REFUSED) {
		printf("refused: %s: %s\n", link_reason_text(asker_reason(&asker)),
		       asker_detail(&asker));
		exit(3);
	}
	if (asker_is_cut(&asker))
		fail("no answer");
	rest();
}

/* Asks again for what was not placed: a request may have been begun by another's answer. */
static void pull(void)
{
	gfn_t next = 0;

	while (memchr(here, 0, frames)) {
		ask_more(&next);
		step_asker();
		if (next == frames)
			next = 0;
	}
}

static int ask(void)
{
	static struct asker_page pages[PAGES];
	struct asker_setup setup = {
		.key = key_of(),
		.random = { fill, NULL },
		.state = state,
		.state_room = sizeof(state),
		.pages = pages,
		.npages = PAGES,
		.window = 64,
		.limit = LIMIT,
	};

	frames = number(args.frames);
	setup.offer = offer_of();
	if (asker_init(&asker, &setup))
		fail("the key will not do");
	while (asker_phase(&asker) < ASKER_STATE)
		step_asker();
	asker_take_over(&asker);
	while (asker_phase(&asker) != ASKER_RUNS)
		step_asker();
	printf("runs, %s\n", link_suite_name(asker.channel.suite));
	fflush(stdout);
	pull();
	asker_finish(&asker, now());
	while (asker_phase(&asker) != ASKER_DONE)
		step_asker();
	write_file(args.memory, memory, frames * PAGE_SIZE);
	write_file(args.state, state, asker_state_bytes(&asker));
	print_stats(&asker.stats);
	return 0;
}

/* --- the answerer ------------------------------------------------------------------------------
 */

static bool is_zero(gfn_t gfn)
{
	return !memory[gfn][0] && !memcmp(memory[gfn], memory[gfn] + 1, PAGE_SIZE - 1);
}

static bool is_lost(gfn_t gfn)
{
	return !memcmp(memory[gfn], "lost", 4);
}

static void look(void *ctx, gfn_t gfn, struct link_extent *e)
{
	gfn_t end = gfn + 1;

	(void)ctx;
	*e = (struct link_extent){ .gfn = gfn, .frames = 1 };
	if (is_lost(gfn)) {
		e->what = LINK_LOST;
		return;
	}
	if (!is_zero(gfn)) {
		e->data = memory[gfn];
		return;
	}
	while (end < frames && is_zero(end))
		end++;
	e->frames = end - gfn;
	e->what = LINK_ZEROS;
}

static void step_answerer(struct answerer *s)
{
	static uint8_t datagram[LINK_DATAGRAM_MAX];
	bool stranger;
	size_t n;

	while ((n = take(datagram)))
		(void)answerer_receive(s, now(), datagram, n);
	while ((n = answerer_poll(s, now(), datagram, &stranger)))
		put(datagram, n);
	rest();
}

static int answer(void)
{
	static struct answerer s;
	struct answerer_setup setup = {
		.key = key_of(),
		.random = { fill, NULL },
		.look = look,
		.limit = LIMIT,
	};
	uint64_t begun = now(), end;

	frames = read_file(args.memory, memory, sizeof(memory)) / PAGE_SIZE;
	state_bytes = read_file(args.state, state, sizeof(state));
	setup.offer = offer_of();
	if (answerer_init(&s, &setup))
		fail("the key will not do");
	while (now() - begun < number(args.run) * 1000 || !answerer_connected(&s, now())) {
		step_answerer(&s);
		if (now() - begun > LIMIT)
			fail("nobody came");
	}
	if (answerer_freeze(&s, now(), state, state_bytes))
		fail("nobody takes it");
	while (!answerer_done(&s)) {
		step_answerer(&s);
		if (answerer_phase(&s) == LINK_RUNS_HERE) {
			printf("left: %s\n", link_reason_text(answerer_left(&s)));
			exit(3);
		}
		if (now() - begun > 2 * LIMIT)
			fail("it was not taken in time");
	}
	for (end = now() + 200000; now() < end;)
		step_answerer(&s);
	print_stats(&s.stats);
	return 0;
}

/* --- the program -------------------------------------------------------------------------------
 */

static void parse(char *word)
{
	static const struct {
		const char *name, **value;
	} known[] = {
		{ "port", &args.port },       { "memory", &args.memory },
		{ "state", &args.state },     { "key", &args.key },
		{ "aes", &args.aes },         { "seed", &args.seed },
		{ "lose", &args.lose },       { "duplicate", &args.duplicate },
		{ "corrupt", &args.corrupt }, { "run", &args.run },
		{ "frames", &args.frames },   { "packed", &args.packed },
	};
	char *value = strchr(word, '=');

	for (size_t i = 0; value && i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(word, known[i].name, (size_t)(value - word)) &&
		    strlen(known[i].name) == (size_t)(value - word)) {
			*known[i].value = value + 1;
			return;
		}
	fail("there is no such option");
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		parse(argv[i]);
	if (argc < 2 || !args.port || !args.memory || !args.state)
		fail("ask or answer, and port=, memory=, state=");
	seed = number(args.seed) + 1;
	open_socket(!strcmp(argv[1], "answer"));
	return strcmp(argv[1], "answer") ? ask() : answer();
}
