/* SPDX-License-Identifier: MIT */
/*
 * Work for the other CPUs. There is no scheduler: each CPU sleeps until somebody gives it one
 * function, and runs that to its end.
 */
#ifndef HV_SMP_H
#define HV_SMP_H

#include "mm/percpu.h"

/* Runs fn(arg) on an idle CPU other than this one. */
void cpu_start(unsigned int cpu, void (*fn)(void *arg), void *arg);

bool cpu_busy(unsigned int cpu);

/* Waits until that CPU has nothing to do. */
void cpu_wait(unsigned int cpu);

/*
 * One step of a wait for another CPU. Lets interrupts in: a hypervisor below that runs both CPUs on
 * one of its own takes that away from us upon one, and in Bochs 2.7 none reaches it while our
 * RFLAGS.IF is 0. A kick that comes here ends no run of a vCPU: flushes and asks are looked at
 * before the next entry, and a stop waits for the end of the slice.
 */
void cpu_pass(void);

/* Calls a CPU out of its guest, or out of its sleep. */
void cpu_kick(unsigned int cpu);

/* While one waits for a CPU that was kicked: calls it by an NMI if no kick has reached it for 10
 * ms. A guest whose RFLAGS.IF is 0 may hide an interrupt, as in Bochs 2.7 with SVM; none hides an
 * NMI. */
void cpu_remind(unsigned int cpu);

/* A kick has reached this CPU. @nmi: as an NMI. Return: somebody sent it. */
bool cpu_kicked(bool nmi);

/* The main loop of the other CPUs: sleep, run what cpu_start() gave. */
_Noreturn void cpu_idle(void);

#endif
