/* SPDX-License-Identifier: MIT */
/*
 * Most of the memory, in pages whose words derive from the page's number and its version. The
 * versions are a log beside the pages: who reads a page knows what must be in it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "check.h"

#define WORDS          (PAGE_BYTES / 8)
#define SHARDS_PER_CPU 4
#define STEP           0x9e3779b97f4a7c15ull
/* One page in so many is written anew in each round. */
#define WRITE_ONE_IN 4

/* Pages that one thread works on at a time. */
struct shard {
	pthread_mutex_t lock; /* protects the pages and their versions */
	uint64_t first, end;
};

static uint64_t (*page)[WORDS];
static uint32_t *version;
static uint64_t npages;
static struct shard shard[CHECK_CPUS_MAX * SHARDS_PER_CPU];
static unsigned int nshards;
static _Atomic uint64_t filled;

static uint64_t first_word(uint64_t n)
{
	return mix(n << 32 | version[n]);
}

static void write_page(uint64_t n)
{
	uint64_t word = first_word(n);

	if (planted(PLANT_LOST))
		return;
	for (unsigned int i = 0; i < WORDS; i++, word += STEP)
		page[n][i] = word;
}

static void verify_page(uint64_t n)
{
	uint64_t word = first_word(n);
	uint64_t differs = 0;

	for (unsigned int i = 0; i < WORDS; i++, word += STEP)
		differs |= page[n][i] ^ word;
	count(COUNT_PAGES);
	if (!differs)
		return;
	word = first_word(n);
	for (unsigned int i = 0; i < WORDS; i++, word += STEP) {
		if (page[n][i] == word)
			continue;
		complain(COUNT_WRONG_PAGES,
			 "page %llu, version %u, word %u is %#llx and should be %#llx",
			 (unsigned long long)n, version[n], i, (unsigned long long)page[n][i],
			 (unsigned long long)word);
		return;
	}
}

static void work_on(struct shard *s, uint64_t turn)
{
	for (uint64_t n = s->first; n < s->end && !check.stop; n++) {
		if (planted(PLANT_PAGE))
			page[n][mix(n) % WORDS] ^= 0x40;
		verify_page(n);
		if (mix(n ^ turn << 40) % WRITE_ONE_IN)
			continue;
		version[n]++;
		write_page(n);
	}
}

static void fill(struct shard *s)
{
	for (uint64_t n = s->first; n < s->end && !check.stop; n++) {
		write_page(n);
		filled++;
	}
}

/* First the shards are filled, each by one thread; then each thread goes round all of them. */
static void *work(void *argument)
{
	unsigned int me = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = me; i < nshards; i += check.cpus) {
		pthread_mutex_lock(&shard[i].lock);
		fill(&shard[i]);
		pthread_mutex_unlock(&shard[i].lock);
	}
	while (filled < npages && !check.stop)
		sleep_ns(NS_PER_MS);
	for (uint64_t turn = me * SHARDS_PER_CPU; !check.stop; turn++) {
		struct shard *s = &shard[turn % nshards];

		pthread_mutex_lock(&s->lock);
		work_on(s, turn);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static void *map(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		give_up("no memory: %llu bytes", (unsigned long long)bytes);
	/* Children do not need it, and a copy of its page tables takes long. */
	madvise(memory, bytes, MADV_DONTFORK);
	return memory;
}

/* The first half in pages as large as Linux likes, the second in small ones. */
void memory_start(void)
{
	npages = check.bytes / PAGE_BYTES;
	nshards = check.cpus * SHARDS_PER_CPU;
	page = map(npages * PAGE_BYTES);
	version = map(npages * sizeof(*version));
	madvise(page[npages / 2], (npages - npages / 2) * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < nshards; i++) {
		pthread_mutex_init(&shard[i].lock, NULL);
		shard[i].first = npages * i / nshards;
		shard[i].end = npages * (i + 1) / nshards;
	}
	for (unsigned int cpu = 0; cpu < check.cpus; cpu++)
		start(work, (void *)(uintptr_t)cpu, (int)cpu, 0);
}

uint64_t memory_pages(void)
{
	return npages;
}

uint64_t memory_filled(void)
{
	return filled;
}

uint64_t memory_vouch(void)
{
	uint64_t wrong = check.count[COUNT_WRONG_PAGES];

	for (uint64_t n = 0; n < npages; n++)
		verify_page(n);
	return npages - (check.count[COUNT_WRONG_PAGES] - wrong);
}

uint64_t memory_tell_huge(void)
{
	return frames_tell_huge((const char *)page, (const char *)(page + npages));
}
