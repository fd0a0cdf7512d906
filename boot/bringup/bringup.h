/* SPDX-License-Identifier: MIT */
/*
 * The part of boot/ that brings the machine under our own tables once the firmware is gone: page
 * tables, descriptors, stacks, the other CPUs.
 */
#ifndef BOOT_BRINGUP_BRINGUP_H
#define BOOT_BRINGUP_BRINGUP_H

#include "boot/base/plan.h"
#include "mm/percpu.h"

/* Refuses a CPU that lacks a feature which root mode needs. */
void cpu_require(void);

/* Switches to our page tables, descriptors and stacks, starts the other CPUs and enters the
 * hypervisor on each. */
_Noreturn void enter(struct boot_info *info, struct boot_plan *plan);

/* Sets up per-CPU data, descriptors and stacks of cpus[id], for cpu_load(). */
void cpu_prepare(unsigned int id, uint32_t apic);

/* On that CPU: control registers, descriptor tables, GS base. Interrupts stay off. */
void cpu_load(struct cpu *cpu);

/* CR0 and CR4 of root mode on this machine. */
uint64_t cpu_cr0(void);
uint64_t cpu_cr4(void);

/* Does the CPU have 1 GiB pages? */
bool cpu_gib_pages(void);

/* Builds the one IDT of all CPUs; idt_seal() makes it read-only. */
void idt_build(void);
void idt_seal(void);

/* Fills in the GDT and the TSS of a CPU. @tops: of its stacks, by their numbers. */
void desc_prepare(struct cpu *cpu, const uintptr_t tops[CPU_STACKS]);

/* Loads GDT, TSS and IDT. */
void desc_load(const struct cpu *cpu);

/* Copies the code with which other CPUs start; ap_start_all() maps its page. */
void ap_prepare(hpa_t trampoline);

/* Starts all other CPUs, one at a time; they wait until ap_release(). */
void ap_start_all(const struct boot_plan *plan, uint64_t tsc_khz);

/* Lets the started CPUs enter hv_cpu_main(). */
void ap_release(void);

#endif
