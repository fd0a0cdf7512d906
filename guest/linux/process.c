/* SPDX-License-Identifier: MIT */
/* Processes that fork, share pages until one of them writes, start programs, and fault. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE_BYTES   4096u
#define SHARED_PAGES 8
#define SHARED_WORDS (SHARED_PAGES * PAGE_BYTES / 8)

static uint64_t *shared; /* between a process and its child, until one of them writes */
static volatile uint64_t *guarded;

static int code_of(uint64_t n)
{
	return (int)(mix(n) & 0x7f);
}

static void fill(uint64_t seed)
{
	for (unsigned int i = 0; i < SHARED_WORDS; i++)
		shared[i] = mix(seed + i);
}

static bool is_filled(uint64_t seed)
{
	for (unsigned int i = 0; i < SHARED_WORDS; i++) {
		if (shared[i] != mix(seed + i))
			return false;
	}
	return true;
}

static void wait_for(pid_t child, uint64_t n, int expected)
{
	int status;

	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != expected)
		complain(COUNT_WRONG_PROCESSES, "process %llu ended with %#x, should be %#x00",
			 (unsigned long long)n, (unsigned int)status, (unsigned int)expected);
}

/* The child sees the parent's pages and writes its own; the parent sees nothing of that. */
static void fork_one(uint64_t n)
{
	pid_t child;

	fill(n);
	child = fork();
	if (child < 0)
		give_up("fork failed");
	if (child == 0) {
		bool good = is_filled(n);

		fill(~n);
		_exit(good && is_filled(~n) ? code_of(n) : 0xff);
	}
	wait_for(child, n, code_of(planted(PLANT_FORK) ? n + 1 : n));
	if (!is_filled(n))
		complain(COUNT_WRONG_PROCESSES, "process %llu wrote pages of its parent's",
			 (unsigned long long)n);
	count(COUNT_FORKS);
}

int process_child(const char *word)
{
	uint64_t n = strtoull(word, NULL, 0), answer = mix(n);

	if (write(STDOUT_FILENO, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		return 0xff;
	return code_of(n);
}

/* A program that answers through a pipe. */
static void exec_one(uint64_t n)
{
	char word[32];
	uint64_t answer = 0;
	int ends[2];
	pid_t child;

	snprintf(word, sizeof(word), "%llu", (unsigned long long)n);
	if (pipe(ends))
		give_up("no pipe");
	child = fork();
	if (child < 0)
		give_up("fork failed");
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		execl("/proc/self/exe", "check", "--child", word, (char *)NULL);
		_exit(0xff);
	}
	close(ends[1]);
	if (read(ends[0], &answer, sizeof(answer)) != (ssize_t)sizeof(answer) ||
	    answer + (planted(PLANT_EXEC) ? 1 : 0) != mix(n))
		complain(COUNT_WRONG_PROCESSES, "program %llu answered %#llx, should be %#llx",
			 (unsigned long long)n, (unsigned long long)answer,
			 (unsigned long long)mix(n));
	close(ends[0]);
	wait_for(child, n, code_of(n));
	count(COUNT_EXECS);
}

/* Gives the page that the faulting instruction needs; it is executed again. */
static void on_fault(int signum, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_addr != (void *)guarded) {
		signal(signum, SIG_DFL);
		return;
	}
	mprotect((void *)guarded, PAGE_BYTES, PROT_READ | PROT_WRITE);
	count(COUNT_FAULTS);
}

static void fault_one(uint64_t n)
{
	uint64_t before = check.count[COUNT_FAULTS];

	mprotect((void *)guarded, PAGE_BYTES, PROT_NONE);
	*guarded = n;
	if (check.count[COUNT_FAULTS] != before + 1 || *guarded != n)
		complain(COUNT_WRONG_PROCESSES, "a write that faults was not executed once");
}

static void *work(void *argument)
{
	(void)argument;
	for (uint64_t n = 1; !check.stop; n++) {
		fork_one(n);
		fault_one(n);
		if (n % 4 == 1)
			exec_one(n);
		sleep_ns(3 * NS_PER_MS);
	}
	return NULL;
}

static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		give_up("no memory for processes");
	return memory;
}

void process_start(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &action, NULL);
	shared = map(SHARED_WORDS * 8);
	guarded = map(PAGE_BYTES);
	start(work, NULL, -1, 10);
}
