/* SPDX-License-Identifier: MIT */
/*
 * Linked into KVM's own tests, between them and the C library (ld --wrap): prints for each call
 * that the figures are made of what it took, and what KVM has mapped behind it. What is printed
 * lies outside of what is measured.
 *
 * The tests' threads wait for each other in loops. So that on one CPU no such loop is counted, the
 * clock is the calling thread's own, and nobody may preempt it: where somebody does, the scheduler
 * gives a part of a tick to the wrong thread. The thread may wait, for RCU does.
 *
 * In some versions the guest of a test draws from a generator whose seed is 0, and which then only
 * ever draws 0: all pages are written instead of some. It gets another seed.
 *
 * A line is "probe: CALL NANOSECONDS PAGES_4K PAGES_2M BITS PREEMPTED"; BITS is what a dirty log
 * has set.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STATS     "/sys/kernel/debug/kvm/"
#define IDLE      "/sys/kernel/mm/page_idle/bitmap"
#define LOOKS     3 /* the test's, and the first is none */
#define PAGE_BITS 12
/* struct kvm_userspace_memory_region2 begins as the older one does. */
#define REGION2 0x49

struct guest_random_state {
	uint32_t seed;
};

struct guest_random_state __wrap_new_guest_random_state(uint32_t seed);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_close(int fd);

static int idle = -1;      /* the file of idle pages */
static int looks;          /* so far */
static int vcpu = -1;      /* that ran last */
static uint64_t log_pages; /* of the memory that is logged; 0: none is */

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static long stat_of(const char *name)
{
	char path[64];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), STATS "%s", name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%ld", &value) != 1)
		value = -1;
	if (file)
		fclose(file);
	return value;
}

static long preempted(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static void schedule_as(int policy)
{
	struct sched_param param = { .sched_priority = sched_get_priority_max(policy) };

	if (sched_setscheduler(0, policy, &param))
		abort();
}

static struct {
	int64_t since;
	long switches;
} measuring; /* one call at a time: nobody preempts it */

static void begin(void)
{
	schedule_as(SCHED_FIFO);
	measuring.switches = preempted();
	measuring.since = now();
}

/* @call: NULL: not to be told. The tests run a vCPU that is to leave at once, and that fails, to
 * have an access to a port done with. */
static void end(const char *call, const uint64_t *bitmap)
{
	int64_t took = now() - measuring.since;
	long switches = preempted() - measuring.switches;
	unsigned long bits = 0;

	schedule_as(SCHED_OTHER);
	if (!call)
		return;
	for (uint64_t i = 0; bitmap && i < log_pages / 64; i++)
		bits += (unsigned long)__builtin_popcountll(bitmap[i]);
	dprintf(STDERR_FILENO, "probe: %s %lld %ld %ld %lu %ld\n", call, (long long)took,
		stat_of("pages_4k"), stat_of("pages_2m"), bits, switches);
}

static int measured(const char *call, int fd, unsigned long request, void *argument,
		    const uint64_t *bitmap)
{
	int status;

	begin();
	status = __real_ioctl(fd, request, argument);
	end(status ? NULL : call, bitmap);
	return status;
}

/* The test asks page by page, and the kernel answers each time for 64: this is one look at all
 * pages of the machine, as few calls as there can be. First what is idle still, then all is marked.
 */
static void look_at_all(void)
{
	static uint64_t words[512]; /* the kernel takes no more at once */
	int fd = __real_open(IDLE, O_RDWR, 0);
	ssize_t n;
	off_t end_of_file = 0;

	begin();
	while ((n = pread(fd, words, sizeof(words), end_of_file)) > 0)
		end_of_file += n;
	end("read_all", NULL);
	memset(words, 0xff, sizeof(words));
	begin();
	for (off_t at = 0; at < end_of_file; at += n)
		if ((n = pwrite(fd, words, sizeof(words), at)) <= 0)
			break;
	end("mark_all", NULL);
	__real_close(fd);
}

/* The guest runs; behind the last look of the test all is looked at. */
static int run(int fd, void *argument)
{
	int status;

	vcpu = fd;
	status = measured("run", fd, KVM_RUN, argument, NULL);
	if (!status && looks == LOOKS) {
		looks = 0;
		look_at_all();
	}
	return status;
}

/* The log goes on or off, or it is another change of the VM's memory. */
static int region(int fd, unsigned long request, struct kvm_userspace_memory_region *r)
{
	uint64_t pages = r->memory_size >> PAGE_BITS;
	int status;

	if (!log_pages == !(r->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return __real_ioctl(fd, request, r);
	log_pages = log_pages ? 0 : pages;
	status = measured(log_pages ? "on" : "off", fd, request, r, NULL);
	if (log_pages || vcpu < 0)
		return status;
	/* Once more through memory: what comes back only then; and again, with nothing to do. */
	if (measured("again", vcpu, KVM_RUN, NULL, NULL) ||
	    measured("still", vcpu, KVM_RUN, NULL, NULL))
		abort();
	return status;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (request == KVM_RUN)
		return run(fd, argument);
	if (request == KVM_GET_DIRTY_LOG)
		return measured("get", fd, request, argument,
				((struct kvm_dirty_log *)argument)->dirty_bitmap);
	if (request == KVM_CLEAR_DIRTY_LOG)
		return measured("clear", fd, request, argument, NULL);
	if (request == KVM_SET_USER_MEMORY_REGION ||
	    (_IOC_TYPE(request) == KVMIO && _IOC_NR(request) == REGION2))
		return region(fd, request, argument);
	return __real_ioctl(fd, request, argument);
}

/* A look at all pages lies between these two. */
int __wrap_open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;
	int fd;

	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
	va_end(list);
	fd = __real_open(path, flags, mode);
	if (fd >= 0 && !strcmp(path, IDLE)) {
		idle = fd;
		begin();
	}
	return fd;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && fd == idle) {
		idle = -1;
		looks++;
		end("idle", NULL);
	}
	return __real_close(fd);
}

struct guest_random_state __wrap_new_guest_random_state(uint32_t seed)
{
	return (struct guest_random_state){ .seed = seed ? seed : 1 };
}
