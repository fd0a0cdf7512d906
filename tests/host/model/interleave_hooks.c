/* SPDX-License-Identifier: MIT */
/*
 * What -fsanitize=thread makes the compiler call: here each atomic access is first a place where
 * another CPU may run, then an ordinary access. All CPUs run on one thread.
 */
#include <stdint.h>

#include "tests/host/model/interleave.h"

#define HOOK(type, name, ...)                                                                      \
	type name(__VA_ARGS__);                                                                    \
	type name(__VA_ARGS__)

HOOK(void, __tsan_init, void)
{
}

HOOK(void, __tsan_func_entry, void *caller)
{
	(void)caller;
}

HOOK(void, __tsan_func_exit, void)
{
}

/* Plain accesses never are to what other CPUs change: they are only watched. */
#define PLAIN(bytes)                                                                               \
	HOOK(void, __tsan_read##bytes, void *at)                                                   \
	{                                                                                          \
		interleave_access(at, INTERLEAVE_PLAIN);                                           \
	}                                                                                          \
	HOOK(void, __tsan_write##bytes, void *at)                                                  \
	{                                                                                          \
		interleave_access(at, INTERLEAVE_PLAIN);                                           \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

HOOK(void, __tsan_read_range, void *at, unsigned long bytes)
{
	(void)bytes;
	interleave_access(at, INTERLEAVE_PLAIN);
}

HOOK(void, __tsan_write_range, void *at, unsigned long bytes)
{
	(void)bytes;
	interleave_access(at, INTERLEAVE_PLAIN);
}

#define FETCH(bits, name, op)                                                                      \
	HOOK(uint##bits##_t, __tsan_atomic##bits##_fetch_##name, volatile uint##bits##_t *at,      \
	     uint##bits##_t v, int order)                                                          \
	{                                                                                          \
		uint##bits##_t old;                                                                \
                                                                                                   \
		(void)order;                                                                       \
		interleave_access((const void *)at, INTERLEAVE_CHANGE);                            \
		old = *at;                                                                         \
		*at = (uint##bits##_t)(old op v);                                                  \
		return old;                                                                        \
	}

#define ATOMIC(bits)                                                                               \
	HOOK(uint##bits##_t, __tsan_atomic##bits##_load, const volatile uint##bits##_t *at,        \
	     int order)                                                                            \
	{                                                                                          \
		(void)order;                                                                       \
		interleave_access((const void *)at, INTERLEAVE_LOAD);                              \
		return *at;                                                                        \
	}                                                                                          \
	HOOK(void, __tsan_atomic##bits##_store, volatile uint##bits##_t *at, uint##bits##_t v,     \
	     int order)                                                                            \
	{                                                                                          \
		(void)order;                                                                       \
		interleave_access((const void *)at, INTERLEAVE_CHANGE);                            \
		*at = v;                                                                           \
	}                                                                                          \
	HOOK(uint##bits##_t, __tsan_atomic##bits##_exchange, volatile uint##bits##_t *at,          \
	     uint##bits##_t v, int order)                                                          \
	{                                                                                          \
		uint##bits##_t old;                                                                \
                                                                                                   \
		(void)order;                                                                       \
		interleave_access((const void *)at, INTERLEAVE_CHANGE);                            \
		old = *at;                                                                         \
		*at = v;                                                                           \
		return old;                                                                        \
	}                                                                                          \
	FETCH(bits, add, +)                                                                        \
	FETCH(bits, or, |)                                                                         \
	FETCH(bits, and, &)                                                                        \
	HOOK(uint##bits##_t, __tsan_atomic##bits##_compare_exchange_val,                           \
	     volatile uint##bits##_t *at, uint##bits##_t expected, uint##bits##_t v, int order,    \
	     int failed)                                                                           \
	{                                                                                          \
		uint##bits##_t old;                                                                \
                                                                                                   \
		(void)order;                                                                       \
		(void)failed;                                                                      \
		interleave_access((const void *)at, INTERLEAVE_CHANGE);                            \
		old = *at;                                                                         \
		if (old == expected)                                                               \
			*at = v;                                                                   \
		return old;                                                                        \
	}                                                                                          \
	HOOK(int, __tsan_atomic##bits##_compare_exchange_strong, volatile uint##bits##_t *at,      \
	     uint##bits##_t *expected, uint##bits##_t v, int order, int failed)                    \
	{                                                                                          \
		uint##bits##_t old = __tsan_atomic##bits##_compare_exchange_val(at, *expected, v,  \
										order, failed);    \
		bool done = old == *expected;                                                      \
                                                                                                   \
		*expected = old;                                                                   \
		return done;                                                                       \
	}

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)
