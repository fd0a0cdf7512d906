/* SPDX-License-Identifier: MIT */
/*
 * A ticket lock: fair, touches one cache line. Take it with interrupts off only: in root mode they
 * always are, so there is no irq-saving variant. Say beside each lock's declaration what it
 * protects.
 */
#ifndef MM_LOCK_H
#define MM_LOCK_H

#include <stdatomic.h>

#include "mm/types.h"

/* Tells the CPU (and an emulator that runs CPUs in turns) that this is a spin loop. */
static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

struct spinlock {
	_Atomic uint16_t next;
	_Atomic uint16_t owner;
};

static inline void spin_lock(struct spinlock *lock)
{
	uint16_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket)
		cpu_relax();
}

static inline void spin_unlock(struct spinlock *lock)
{
	/* Only the owner writes this field, so a load and a store are enough. */
	uint16_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

	atomic_store_explicit(&lock->owner, (uint16_t)(owner + 1), memory_order_release);
}

#endif
