/* SPDX-License-Identifier: MIT */
/*
 *	check [--port] [--seconds N] [--until-time] [--memory MIB] [--cpus N] [--late MS]
 *	check --say R|P|F
 *	check --idle
 *
 * Runs the self-check, until Cleave asks to finish or for N seconds (10) where there is no Cleave;
 * with --until-time always for N seconds. Without --port it leaves Cleave's ports alone. 0: all is
 * as it should be; 1: something is not; 2: this cannot be judged. --idle says that the machine is
 * ready, sleeps until Cleave asks to finish, and says that all is well.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MIB                (1ull << 20)
#define PORT               0x5c0
#define PORTS              16
#define PORT_FINISH        1
#define PORT_NOBODY        0xff
#define COMPLAINTS_PRINTED 3
#define THREADS_MAX        (CHECK_CPUS_MAX * 8)
#define STACK_BYTES        (128u << 10)
/* Of the memory that Linux calls available. */
#define MEMORY_PERCENT 80
#define MEMORY_LEAST   (4 * MIB)

struct thread {
	void *(*run)(void *);
	void *argument;
	int nice;
	pthread_t id;
};

struct options {
	bool port, until_time;
	unsigned int seconds;
};

struct check check = { .late_ns = 50 * NS_PER_MS };
static struct thread thread[THREADS_MAX];
static unsigned int nthreads;

#define CHECK_NAME(name, json, text) json,
static const char *const json_name[COUNTS] = { CHECK_WORK(CHECK_NAME) CHECK_WRONG(CHECK_NAME) };
#undef CHECK_NAME
#define CHECK_NAME(name, json, text) text,
static const char *const text_name[COUNTS] = { CHECK_WORK(CHECK_NAME) CHECK_WRONG(CHECK_NAME) };
#undef CHECK_NAME
#define CHECK_NAME(name, word) word,
static const char *const plant_name[] = { "", CHECK_PLANTS(CHECK_NAME) };
#undef CHECK_NAME

void count(enum check_count which)
{
	atomic_fetch_add_explicit(&check.count[which], 1, memory_order_relaxed);
}

void complain(enum check_count which, const char *form, ...)
{
	char text[256];
	va_list list;

	if (check.count[which]++ >= COMPLAINTS_PRINTED)
		return;
	va_start(list, form);
	vsnprintf(text, sizeof(text), form, list);
	va_end(list);
	printf("selfcheck: WRONG: %s\n", text);
}

void give_up(const char *form, ...)
{
	va_list list;

	printf("selfcheck: ");
	va_start(list, form);
	vprintf(form, list);
	va_end(list);
	printf(" (%s)\n", strerror(errno));
	_exit(2);
}

bool planted(enum check_plant plant)
{
	static atomic_bool done;

	return check.plant == plant && !atomic_exchange(&done, true);
}

/* The finalizer of SplitMix64. */
uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void sleep_ns(uint64_t ns)
{
	struct timespec rest = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };

	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

static void *begin(void *argument)
{
	const struct thread *t = argument;

	if (t->nice)
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), t->nice);
	return t->run(t->argument);
}

void start(void *(*run)(void *), void *argument, int cpu, int nice)
{
	struct thread *t = &thread[nthreads++];
	pthread_attr_t attr;
	cpu_set_t set;

	*t = (struct thread){ .run = run, .argument = argument, .nice = nice };
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	errno = pthread_create(&t->id, &attr, begin, t);
	if (errno)
		give_up("no thread");
	pthread_attr_destroy(&attr);
}

static uint64_t available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file) &&
	       sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
		;
	if (file)
		fclose(file);
	return kib << 10;
}

static void choose_memory(uint64_t asked)
{
	uint64_t most = available() / 100 * MEMORY_PERCENT;

	check.bytes = asked && asked < most ? asked : most;
	if (check.bytes < MEMORY_LEAST)
		give_up("only %llu KiB of memory are free", (unsigned long long)(most >> 10));
}

static uint64_t total_wrong(void)
{
	uint64_t total = 0;

	for (unsigned int i = COUNT_WRONG_PAGES; i < COUNTS; i++)
		total += check.count[i];
	return total;
}

static uint64_t largest_gap_us(void)
{
	struct gap gap[GAPS];

	clock_gaps(check.cpus, gap);
	return gap[0].ns / NS_PER_US;
}

static void tell_progress(uint64_t seconds)
{
	printf("selfcheck: %llu s", (unsigned long long)seconds);
	for (unsigned int i = 0; i < COUNT_CLOCKS; i++)
		printf(", %s %llu", json_name[i], (unsigned long long)check.count[i]);
	printf(", largest gap %llu us, wrong %llu\n", (unsigned long long)largest_gap_us(),
	       (unsigned long long)total_wrong());
}

/* Nothing else runs meanwhile, so it does not take long. */
static void await_filled(uint64_t begun)
{
	uint64_t told = 0;

	while (memory_filled() < memory_pages()) {
		uint64_t seconds = (now_ns() - begun) / NS_PER_S;

		if (seconds != told)
			printf("selfcheck: %llu s, %llu of %llu MiB filled\n",
			       (unsigned long long)seconds,
			       (unsigned long long)(memory_filled() >> 8),
			       (unsigned long long)(memory_pages() >> 8));
		told = seconds;
		sleep_ns(50 * NS_PER_MS);
	}
}

static bool is_over(const struct options *o, uint64_t ready, uint64_t now)
{
	unsigned int said = o->port ? inb(PORT) : PORT_NOBODY;

	if (said == PORT_FINISH)
		return true;
	return (said == PORT_NOBODY || o->until_time) && now >= ready + o->seconds * NS_PER_S;
}

/* What is wrong need not begin. */
static bool each_has_begun(void)
{
	if (total_wrong())
		return true;
	for (unsigned int i = 0; i < COUNT_WRONG_PAGES; i++) {
		if (!check.count[i])
			return false;
	}
	return true;
}

/* Until the end; returns when the machine was ready. */
static uint64_t watch(const struct options *o, uint64_t begun)
{
	uint64_t told = 0, ready = 0;

	for (;;) {
		uint64_t now = now_ns(), seconds = (now - begun) / NS_PER_S;

		if (!ready && each_has_begun()) {
			clock_begin();
			ready = now_ns();
			printf("selfcheck: ready after %llu ms: %llu MiB are filled\n",
			       (unsigned long long)((ready - begun) / NS_PER_MS),
			       (unsigned long long)(check.bytes / MIB));
			if (o->port)
				outb('R', PORT);
		}
		if (ready && is_over(o, ready, now_ns()))
			return ready;
		if (seconds != told)
			tell_progress(seconds);
		told = seconds;
		sleep_ns(50 * NS_PER_MS);
	}
}

static void print_table(uint64_t vouched, uint64_t ready)
{
	struct gap gap[GAPS];

	for (unsigned int i = 0; i < COUNTS; i++)
		printf("selfcheck: %-24s%14llu\n", text_name[i],
		       (unsigned long long)check.count[i]);
	printf("selfcheck: %-24s%14.1f\n", "rounds",
	       (double)check.count[COUNT_PAGES] / (double)memory_pages());
	printf("selfcheck: %-24s%14llu of %llu\n", "pages vouched for", (unsigned long long)vouched,
	       (unsigned long long)memory_pages());
	clock_gaps(check.cpus, gap);
	for (unsigned int i = 0; i < GAPS; i++)
		printf("selfcheck: %-24s%14llu us on CPU %u, %llu ms after it was ready\n",
		       i ? "" : "largest gaps", (unsigned long long)(gap[i].ns / NS_PER_US),
		       gap[i].cpu,
		       (unsigned long long)((gap[i].at > ready ? gap[i].at - ready : 0) /
					    NS_PER_MS));
}

static void print_json(bool pass, uint64_t vouched, uint64_t ns, uint64_t told)
{
	struct gap gap[GAPS];

	printf("selfcheck: {\"verdict\": \"%s\", \"cpus\": %u, \"mib\": %llu, \"seconds\": %.3f, "
	       "\"vouched\": %llu, \"all\": %llu, \"huge\": %llu, \"rounds\": %.2f",
	       pass ? "PASS" : "FAIL", check.cpus, (unsigned long long)(check.bytes / MIB),
	       (double)ns / (double)NS_PER_S, (unsigned long long)vouched,
	       (unsigned long long)memory_pages(), (unsigned long long)told,
	       (double)check.count[COUNT_PAGES] / (double)memory_pages());
	for (unsigned int i = 0; i < COUNTS; i++)
		printf(", \"%s\": %llu", json_name[i], (unsigned long long)check.count[i]);
	printf(", \"gaps_us\": [");
	for (unsigned int cpu = 0; cpu < check.cpus; cpu++) {
		clock_gaps(cpu, gap);
		printf("%s[%llu, %llu, %llu]", cpu ? ", " : "",
		       (unsigned long long)(gap[0].ns / NS_PER_US),
		       (unsigned long long)(gap[1].ns / NS_PER_US),
		       (unsigned long long)(gap[2].ns / NS_PER_US));
	}
	printf("]}\n");
}

/* Cleave is there: it answers otherwise than a port without a device. */
static bool has_cleave(const struct options *o)
{
	return o->port && inb(PORT) != PORT_NOBODY;
}

static int run(const struct options *o)
{
	uint64_t begun = now_ns(), ready, vouched, ns, told = 0;
	bool pass;

	printf("selfcheck: %u CPUs, patterns in %llu MiB\n", check.cpus,
	       (unsigned long long)(check.bytes / MIB));
	memory_start();
	await_filled(begun);
	clock_start();
	state_start();
	signals_start();
	files_start();
	process_start();
	balloon_start(has_cleave(o));
	ready = watch(o, begun);
	ns = now_ns() - ready;
	check.stop = true;
	for (unsigned int i = 0; i < nthreads; i++)
		pthread_join(thread[i].id, NULL);
	clock_end();
	vouched = memory_vouch();
	balloon_vouch();
	if (has_cleave(o))
		told = memory_tell_huge();
	pass = !total_wrong() && vouched == memory_pages();
	print_table(vouched, ready);
	print_json(pass, vouched, ns, told);
	printf("selfcheck: %s\n", pass ? "PASS" : "FAIL");
	return pass ? 0 : 1;
}

static void take_port(void)
{
	if (ioperm(PORT, PORTS, 1))
		give_up("port %#x cannot be used", PORT);
}

/* Behind all that was printed: it may end the machine, with what the console still holds. */
static int say(char word)
{
	take_port();
	tcdrain(STDOUT_FILENO);
	outb((unsigned char)word, PORT);
	return 0;
}

static int idle(void)
{
	take_port();
	printf("guest: ready at TSC %llu, %llu ns by the kernel's clock\n",
	       (unsigned long long)__builtin_ia32_rdtsc(), (unsigned long long)now_ns());
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	outb('R', PORT);
	while (inb(PORT) == 0)
		sleep_ns(NS_PER_S);
	return say('P');
}

static void choose_plant(const char *word)
{
	for (unsigned int i = 1; i < sizeof(plant_name) / sizeof(*plant_name); i++) {
		if (strcmp(word, plant_name[i]) == 0)
			check.plant = (enum check_plant)i;
	}
	errno = EINVAL;
	if (!check.plant)
		give_up("--plant %s", word);
}

/* One option, with its value where it has one; the number of words it took. */
static int take_option(struct options *o, const char *name, const char *value, uint64_t *memory)
{
	int words = 2;

	if (strcmp(name, "--port") == 0) {
		o->port = true;
		words = 1;
	} else if (strcmp(name, "--until-time") == 0) {
		o->until_time = true;
		words = 1;
	} else if (value && strcmp(name, "--seconds") == 0) {
		o->seconds = (unsigned int)strtoul(value, NULL, 10);
	} else if (value && strcmp(name, "--memory") == 0) {
		*memory = strtoull(value, NULL, 10) * MIB;
	} else if (value && strcmp(name, "--cpus") == 0) {
		check.cpus = (unsigned int)strtoul(value, NULL, 10);
	} else if (value && strcmp(name, "--late") == 0) {
		check.late_ns = strtoull(value, NULL, 10) * NS_PER_MS;
	} else if (value && strcmp(name, "--plant") == 0) {
		choose_plant(value);
	} else {
		errno = EINVAL;
		give_up("option %s", name);
	}
	return words;
}

int main(int argc, char **argv)
{
	struct options o = { .seconds = 10 };
	uint64_t memory = 0;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (argc == 3 && strcmp(argv[1], "--child") == 0)
		return process_child(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--say") == 0)
		return say(argv[2][0]);
	if (argc == 2 && strcmp(argv[1], "--idle") == 0)
		return idle();
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	check.cpus = online > CHECK_CPUS_MAX ? CHECK_CPUS_MAX : (unsigned int)online;
	for (int i = 1; i < argc;)
		i += take_option(&o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &memory);
	if (o.port) {
		take_port();
		frames_open();
	}
	choose_memory(memory);
	return run(&o);
}
