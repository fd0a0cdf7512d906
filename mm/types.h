/* SPDX-License-Identifier: MIT */
/*
 * The words that every layer speaks: addresses, frames and levels.
 *
 * A guest-physical and a host-physical address are different one-member structs, so that mixing
 * the two does not compile. A frame number (gfn, pfn) is an address divided by 4 KiB.
 */
#ifndef MM_TYPES_H
#define MM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (UINT64_C(1) << PAGE_SHIFT) /* bytes */

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Cleave drives at most this many CPUs; others stay parked in the firmware's hands. */
#define MAX_CPUS 8

/* Levels as KVM names them: the level of an entry tells how much it maps when it is a leaf. */
enum pg_level {
	PG_LEVEL_NONE = 0,
	PG_LEVEL_4K = 1,
	PG_LEVEL_2M = 2,
	PG_LEVEL_1G = 3,
	PG_LEVEL_512G = 4,
	PG_LEVEL_MAX = 5,
};

typedef struct {
	uint64_t v;
} gpa_t; /* guest-physical address, bytes */

typedef struct {
	uint64_t v;
} hpa_t; /* host-physical address, bytes */

typedef uint64_t gfn_t; /* guest frame number: gpa >> PAGE_SHIFT */

#define HPA_NONE ((hpa_t){ UINT64_MAX })

static inline gpa_t gpa(uint64_t bytes)
{
	return (gpa_t){ bytes };
}

static inline hpa_t hpa(uint64_t bytes)
{
	return (hpa_t){ bytes };
}

static inline gpa_t gfn_to_gpa(gfn_t gfn)
{
	return (gpa_t){ gfn << PAGE_SHIFT };
}

static inline gfn_t gpa_to_gfn(gpa_t a)
{
	return a.v >> PAGE_SHIFT;
}

/* 4 KiB frames in one x86 page of a level: 1, 512, 262144. */
static inline uint64_t level_frames(enum pg_level level)
{
	return UINT64_C(1) << (9 * (level - 1));
}

static inline enum pg_level level_below(enum pg_level level)
{
	return (enum pg_level)(level - 1);
}

static inline enum pg_level level_above(enum pg_level level)
{
	return (enum pg_level)(level + 1);
}

#define must_check       __attribute__((warn_unused_result))
#define ARRAY_LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)        ((a) < (b) ? (a) : (b))
#define MAX(a, b)        ((a) > (b) ? (a) : (b))
#define CACHE_LINE       64 /* bytes */
#define ALIGN_DOWN(x, a) ((x) & ~((uint64_t)(a)-1))
#define ALIGN_UP(x, a)   (((x) + (uint64_t)(a)-1) & ~((uint64_t)(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((uint64_t)(a)-1)) == 0)

#endif
