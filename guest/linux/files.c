/* SPDX-License-Identifier: MIT */
/* Files in memory: written, read in two ways, and removed again; the sums must be those written. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define WORKERS    2
#define SLOTS      8
#define FILE_WORDS 8192u
#define FILE_BYTES (FILE_WORDS * 8)

struct slot {
	char name[64];
	uint64_t seed; /* 0: there is no file */
};

static struct slot slot[WORKERS][SLOTS];

static uint64_t sum_of(const uint64_t *words)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < FILE_WORDS; i++)
		sum = (sum << 1 | sum >> 63) ^ words[i];
	return sum;
}

static void make_words(uint64_t seed, uint64_t *words)
{
	for (unsigned int i = 0; i < FILE_WORDS; i++)
		words[i] = mix(seed + i);
}

static void verify(const struct slot *s, const char *way, const uint64_t *words, uint64_t expected)
{
	uint64_t sum = sum_of(words);

	if (planted(PLANT_SUM))
		sum++;
	count(COUNT_SUMS);
	if (sum != expected)
		complain(COUNT_WRONG_SUMS, "%s, %s: sum %#llx, should be %#llx", s->name, way,
			 (unsigned long long)sum, (unsigned long long)expected);
}

static void read_back(struct slot *s, uint64_t *words)
{
	int fd = open(s->name, O_RDONLY | O_CLOEXEC);
	uint64_t *mapped, expected;

	if (fd < 0) {
		complain(COUNT_WRONG_SUMS, "%s is gone", s->name);
		return;
	}
	make_words(s->seed, words);
	expected = sum_of(words);
	if (read(fd, words, FILE_BYTES) == (ssize_t)FILE_BYTES)
		verify(s, "read", words, expected);
	else
		complain(COUNT_WRONG_SUMS, "%s is too short", s->name);
	mapped = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED) {
		verify(s, "mapped", mapped, expected);
		munmap(mapped, FILE_BYTES);
	}
	close(fd);
}

static void write_anew(struct slot *s, uint64_t *words)
{
	int fd;

	s->seed++;
	unlink(s->name);
	fd = open(s->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	make_words(s->seed, words);
	if (fd < 0 || write(fd, words, FILE_BYTES) != (ssize_t)FILE_BYTES)
		give_up("%s cannot be written", s->name);
	close(fd);
}

static void *work(void *argument)
{
	struct slot *mine = argument;
	uint64_t *words = malloc(FILE_BYTES);

	if (!words)
		give_up("no memory for files");
	for (unsigned int i = 0; !check.stop; i = (i + 1) % SLOTS) {
		if (mine[i].seed)
			read_back(&mine[i], words);
		write_anew(&mine[i], words);
		sleep_ns(2 * NS_PER_MS);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		unlink(mine[i].name);
	free(words);
	return NULL;
}

void files_start(void)
{
	for (unsigned int w = 0; w < WORKERS; w++) {
		for (unsigned int i = 0; i < SLOTS; i++)
			snprintf(slot[w][i].name, sizeof(slot[w][i].name), "/tmp/check-%d-%u-%u",
				 (int)getpid(), w, i);
		start(work, slot[w], -1, 10);
	}
}
