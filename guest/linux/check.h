/* SPDX-License-Identifier: MIT */
/*
 * The self-check of Cleave's guest Linux: a program that vouches for the machine that it runs in.
 *
 * Threads do work of which each result is known beforehand: they hold memory, files, processes,
 * signals, CPU state and clocks against it. Whatever a hypervisor does behind their back, a
 * migration above all, none of them may notice anything but time that passes.
 */
#ifndef GUEST_LINUX_CHECK_H
#define GUEST_LINUX_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_CPUS_MAX 64
#define NS_PER_S       1000000000ull
#define NS_PER_MS      1000000ull
#define NS_PER_US      1000ull
#define PAGE_BYTES     4096u
#define HUGE_PAGES     512u
#define HUGE_BYTES     (HUGE_PAGES * PAGE_BYTES)

/* Work that was done, and what was wrong with it: name in the JSON, words in the table. */
#define CHECK_WORK(X)                                                                              \
	X(PAGES, "pages", "pages verified")                                                        \
	X(SUMS, "sums", "sums of files")                                                           \
	X(FORKS, "forks", "processes forked")                                                      \
	X(EXECS, "execs", "programs started")                                                      \
	X(FAULTS, "faults", "page faults handled")                                                 \
	X(SIGNALS, "signals", "signals delivered")                                                 \
	X(STATES, "states", "CPU states held")                                                     \
	X(SLEEPS, "sleeps", "sleeps")                                                              \
	X(CLOCKS, "clocks", "clock readings")                                                      \
	X(GIVEN, "given", "pages given back")
#define CHECK_WRONG(X)                                                                             \
	X(WRONG_PAGES, "wrong_pages", "pages wrong")                                               \
	X(WRONG_SUMS, "wrong_sums", "sums wrong")                                                  \
	X(WRONG_PROCESSES, "wrong_processes", "processes wrong")                                   \
	X(WRONG_SIGNALS, "wrong_signals", "signals lost or wrong")                                 \
	X(WRONG_STATES, "wrong_states", "CPU states wrong")                                        \
	X(WRONG_SLEEPS, "wrong_sleeps", "sleeps too short")                                        \
	X(WRONG_CLOCKS, "wrong_clocks", "clocks wrong")                                            \
	X(WRONG_GIVEN, "wrong_given", "given pages wrong")

#define CHECK_NAME(name, ...) COUNT_##name,
enum check_count {
	CHECK_WORK(CHECK_NAME) CHECK_WRONG(CHECK_NAME) COUNTS
};
#undef CHECK_NAME

/* Faults that the self-check can be told to commit, to see that it notices them. */
#define CHECK_PLANTS(X)                                                                            \
	X(PAGE, "page")                                                                            \
	X(LOST, "lost")                                                                            \
	X(SUM, "sum")                                                                              \
	X(FORK, "fork")                                                                            \
	X(EXEC, "exec")                                                                            \
	X(SIGNAL, "signal")                                                                        \
	X(STATE, "state")                                                                          \
	X(SLEEP, "sleep")                                                                          \
	X(TSC, "tsc")                                                                              \
	X(CLOCK, "clock")                                                                          \
	X(RATE, "rate")                                                                            \
	X(GIVEN, "given")

#define CHECK_NAME(name, ...) PLANT_##name,
enum check_plant {
	PLANT_NONE,
	CHECK_PLANTS(CHECK_NAME)
};
#undef CHECK_NAME

struct check {
	unsigned int cpus;
	uint64_t bytes; /* of memory that holds patterns */
	enum check_plant plant;
	uint64_t late_ns; /* half of the sleeps may be later */
	atomic_bool stop;
	_Atomic uint64_t count[COUNTS];
};

extern struct check check;

/* In check.c */
void count(enum check_count which);
/* Counts, and prints the first of each kind. */
__attribute__((format(printf, 2, 3))) void complain(enum check_count which, const char *form, ...);
/* Whether this fault is to be committed now: once, and only if it was asked for. */
bool planted(enum check_plant plant);
/* Ends the program: the machine cannot be judged. */
__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *form, ...);
/* A thread that runs until check.stop. @cpu: its only one; negative: any. @nice: 0 to 19 */
void start(void *(*run)(void *), void *argument, int cpu, int nice);
/* 64 bits of which each depends on each of @x's. */
uint64_t mix(uint64_t x);
void sleep_ns(uint64_t ns);
/* CLOCK_MONOTONIC */
uint64_t now_ns(void);

/* memory.c: call memory_start(), then wait for memory_filled() to be memory_pages(). After all
 * threads have ended, memory_vouch() verifies each page once more. */
void memory_start(void);
uint64_t memory_pages(void);
uint64_t memory_filled(void);
uint64_t memory_vouch(void);
/* Tells Cleave of its huge pages, and returns how many there are. */
uint64_t memory_tell_huge(void);

/* frames.c: pages by their address, which is told to Cleave as a frame. */
void frames_open(void);
/* Give back one page, a huge page. False: there is none. */
bool frames_give(const char *at);
bool frames_give_huge(const char *at);
/* Tells of the huge pages in this range, and returns how many there are. */
uint64_t frames_tell_huge(const char *from, const char *end);

/* balloon.c. @cleave: there is one to give pages to. */
void balloon_start(bool cleave);
/* After all threads have ended: verifies each page once more. */
void balloon_vouch(void);

/* files.c */
void files_start(void);

/* process.c */
void process_start(void);
/* What a program started by process.c does, with the word it was given. */
int process_child(const char *word);

/* state.c, signals.c: the signals go to the threads that hold CPU state. */
void state_start(void);
void signals_start(void);
void signals_expect_here(void);

/* clock.c */
struct gap {
	uint64_t ns;
	uint64_t at; /* now_ns() at its end */
	unsigned int cpu;
};
#define GAPS 3
void clock_start(void);
/* Forgets the gaps so far, and takes the clocks' rates as those that must stay. */
void clock_begin(void);
void clock_end(void);
/* The largest of one CPU, or of all with @cpu = check.cpus; largest first. */
void clock_gaps(unsigned int cpu, struct gap gap[GAPS]);

#endif
