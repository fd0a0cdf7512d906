/* SPDX-License-Identifier: MIT */
/*
 * Gives memory back and takes it again: small pages one by one, and huge pages whole. A page that
 * was given back must read as zeros, and one that was written since must keep what was written.
 *
 * Cleave is told of frames, so Linux must not move the pages meanwhile: they are locked, and what
 * is locked is not compacted (vm.compact_unevictable_allowed=0). Without Cleave it is Linux that
 * the pages are given to.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define WORDS       (PAGE_BYTES / 8)
#define STEP        0x9e3779b97f4a7c15ull
#define SMALL_PAGES 512u
#define HUGE_AREAS  2u
#define PAGES       (SMALL_PAGES + HUGE_AREAS * HUGE_PAGES)
#define PAUSE_NS    (2 * NS_PER_MS)
/* Before those that bring the pages in by their touches, behind the detectors of gaps. */
#define PRIORITY 5
/* Of so many turns each gives some small pages back, and one gives a huge page. */
#define TURNS         16
#define SMALL_AT_ONCE 32

static uint64_t (*small)[WORDS], (*huge)[WORDS];
static uint32_t version[PAGES]; /* small ones first; 0: never written */
static bool to_cleave;

static uint64_t *page_at(unsigned int n)
{
	return n < SMALL_PAGES ? small[n] : huge[n - SMALL_PAGES];
}

static uint64_t first_word(unsigned int n)
{
	return version[n] ? mix((uint64_t)n << 32 | version[n]) : 0;
}

static void write_page(unsigned int n)
{
	uint64_t *page = page_at(n), word;

	version[n]++;
	word = first_word(n);
	for (unsigned int i = 0; i < WORDS; i++, word += STEP)
		page[i] = word;
}

/* @zeros: it was given back, and not written since */
static void verify_page(unsigned int n, bool zeros)
{
	uint64_t *page = page_at(n), word = zeros ? 0 : first_word(n), step = zeros ? 0 : STEP;

	for (unsigned int i = 0; i < WORDS; i++, word += step) {
		if (page[i] == word)
			continue;
		complain(COUNT_WRONG_GIVEN, "page %u of the balloon, word %u is %#llx %s", n, i,
			 (unsigned long long)page[i],
			 zeros ? "though it was given back" : "and not what was written");
		return;
	}
}

static bool give(unsigned int first, unsigned int pages)
{
	char *at = (char *)page_at(first);

	if (planted(PLANT_GIVEN))
		return true;
	if (!to_cleave)
		return madvise(at, (size_t)pages * PAGE_BYTES, MADV_DONTNEED) == 0;
	return pages == 1 ? frames_give(at) : frames_give_huge(at);
}

/* @blind: does not look at the pages before, so that they may be absent when they are given back */
static void turn(unsigned int first, unsigned int pages, bool blind)
{
	for (unsigned int n = first; n < first + pages && !blind; n++)
		verify_page(n, false);
	if (!give(first, pages))
		return; /* Linux had no such page: next time */
	for (unsigned int n = first; n < first + pages; n++) {
		verify_page(n, true);
		write_page(n);
		count(COUNT_GIVEN);
	}
}

static void *work(void *argument)
{
	uint64_t random = (uint64_t)(uintptr_t)argument;
	struct sched_param early = { .sched_priority = PRIORITY };

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &early);
	for (uint64_t k = 0; !check.stop; k++) {
		bool blind = (random = mix(random)) >> 63;

		if (k % TURNS == 0)
			turn(SMALL_PAGES + (unsigned int)(random % HUGE_AREAS) * HUGE_PAGES,
			     HUGE_PAGES, blind);
		for (unsigned int i = 0; i < SMALL_AT_ONCE; i++, random = mix(random))
			turn((unsigned int)(random % SMALL_PAGES), 1, blind);
		sleep_ns(PAUSE_NS);
	}
	return NULL;
}

/* Memory that children do not have, so that none of it is shared. */
static char *map(size_t bytes, int advice)
{
	char *at = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		give_up("no memory for the balloon");
	at += (HUGE_BYTES - (uintptr_t)at % HUGE_BYTES) % HUGE_BYTES;
	madvise(at, bytes, advice);
	madvise(at, bytes, MADV_DONTFORK);
	return at;
}

static void pin(void *at, size_t bytes)
{
	if (mlock(at, bytes))
		give_up("the balloon cannot be locked");
}

static void forbid_compaction(void)
{
	int file = open("/proc/sys/vm/compact_unevictable_allowed", O_WRONLY | O_CLOEXEC);

	if (file < 0 || write(file, "0", 1) != 1)
		give_up("vm.compact_unevictable_allowed");
	close(file);
}

void balloon_start(bool cleave)
{
	to_cleave = cleave;
	small = (void *)map(SMALL_PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
	huge = (void *)map(HUGE_AREAS * HUGE_BYTES, MADV_HUGEPAGE);
	for (unsigned int n = 0; n < PAGES; n++)
		write_page(n);
	if (cleave) {
		forbid_compaction();
		pin(small, SMALL_PAGES * PAGE_BYTES);
		pin(huge, HUGE_AREAS * HUGE_BYTES);
	}
	start(work, (void *)(uintptr_t)1, -1, 0);
}

void balloon_vouch(void)
{
	for (unsigned int n = 0; n < PAGES; n++)
		verify_page(n, false);
}
