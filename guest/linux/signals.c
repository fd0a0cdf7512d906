/* SPDX-License-Identifier: MIT */
/* Signals with a value, one after the other, to threads that are busy: each arrives once, and
 * right. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "check.h"

#define TARGETS_MAX (CHECK_CPUS_MAX * 2)
#define PATIENCE_S  60 /* a thread of a low priority, in an emulator, while its pages arrive */

static pthread_t target[TARGETS_MAX];
static atomic_uint claimed, ntargets;
static _Atomic uint64_t received, sum;
static sem_t arrived;

static void on_signal(int signum, siginfo_t *info, void *context)
{
	(void)signum;
	(void)context;
	sum += (uint64_t)(uintptr_t)info->si_value.sival_ptr;
	received++;
	sem_post(&arrived);
}

void signals_expect_here(void)
{
	target[claimed++] = pthread_self();
	ntargets++;
}

/* False: it did not arrive, or the end came first. Looks for the end each second. */
static bool await(uint64_t number)
{
	uint64_t deadline = now_ns() + PATIENCE_S * NS_PER_S;
	struct timespec second;

	while (received < number && !check.stop) {
		if (now_ns() > deadline) {
			complain(COUNT_WRONG_SIGNALS, "signal %llu did not arrive in %d s",
				 (unsigned long long)number, PATIENCE_S);
			return false;
		}
		clock_gettime(CLOCK_REALTIME, &second);
		second.tv_sec++;
		sem_timedwait(&arrived, &second);
	}
	return received == number;
}

static void *work(void *argument)
{
	unsigned int expected = (unsigned int)(uintptr_t)argument;
	uint64_t sent = 0;

	while (ntargets < expected && !check.stop)
		sleep_ns(NS_PER_MS);
	for (uint64_t n = 1; !check.stop; n++) {
		union sigval value = { .sival_ptr = (void *)(uintptr_t)mix(n) };

		if (pthread_sigqueue(target[n % expected], SIGRTMIN, value)) {
			if (check.stop)
				break;
			give_up("a signal cannot be sent");
		}
		sent += mix(n) + (planted(PLANT_SIGNAL) ? 1 : 0);
		if (!await(n))
			break;
		if (sum != sent) {
			complain(COUNT_WRONG_SIGNALS, "signal %llu came with another value",
				 (unsigned long long)n);
			break;
		}
		count(COUNT_SIGNALS);
		sleep_ns(NS_PER_MS);
	}
	return NULL;
}

/* After state_start(), whose threads are the targets. */
void signals_start(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_signal;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGRTMIN, &action, NULL);
	sem_init(&arrived, 0, 0);
	start(work, (void *)(uintptr_t)(check.cpus * 2), -1, 5);
}
