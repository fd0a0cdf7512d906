/* SPDX-License-Identifier: MIT */
/* The in-machine cases: each is a job of its own name; see tests/machine/cases.cfg. */
#ifndef TESTS_MACHINE_CASES_H
#define TESTS_MACHINE_CASES_H

#include "hv/job/jobs.h"

#define CASES_LEVELS(X)                                                                            \
	X(ladder)                                                                                  \
	X(hole_is_asked_for_exactly)                                                               \
	X(collapse_with_hole_is_refused)                                                           \
	X(collapse_twice)                                                                          \
	X(collapse_changes_leaf_counters)                                                          \
	X(statistics_equal_walk)                                                                   \
	X(one_arrival_exposes_no_neighbour)

#define CASES_RACES(X)                                                                             \
	X(split_under_readers)                                                                     \
	X(unmapped_page_is_not_seen)                                                               \
	X(freed_tables_are_junk)                                                                   \
	X(same_page_by_all_vcpus)                                                                  \
	X(one_table_for_one_range)                                                                 \
	X(duplicate_arrival)                                                                       \
	X(latency_histogram_adds_up)

#define CASES_LIMITS(X)                                                                            \
	X(table_allocation_fails_everywhere)                                                       \
	X(memory_runs_out_everywhere)                                                              \
	X(no_gib_frame)                                                                            \
	X(region_too_large)                                                                        \
	X(wrong_payloads_are_refused)                                                              \
	X(failures_are_told)

#define CASES_HOSTILE(X)                                                                           \
	X(hostile_guest)                                                                           \
	X(hostile_guest_alone)                                                                     \
	X(hostile_guest_beside_honest)                                                             \
	X(registers_of_another_vm)                                                                 \
	X(single_steps)                                                                            \
	X(breakpoints)                                                                             \
	X(watched_stack)                                                                           \
	X(watched_stack_of_debug_exceptions)                                                       \
	X(alignment_checks_without_end)                                                            \
	X(triple_fault)                                                                            \
	X(paging_without_protection)

#define CASES_VCPU(X) X(loaded_vcpu_is_seen)

#define CASES_POISON(X)                                                                            \
	X(lost_pages_are_machine_checks)                                                           \
	X(lost_huge_page)                                                                          \
	X(machine_check_shuts_down)                                                                \
	X(machine_check_replaces_an_event)                                                         \
	X(lost_page_among_absent)

#define CASES_RANGES(X)                                                                            \
	X(protection_survives_the_ladder)                                                          \
	X(protect_splits_only_at_the_edges)                                                        \
	X(discard_in_a_large_leaf)                                                                 \
	X(discard_before_arrival)                                                                  \
	X(copy_in_and_out)                                                                         \
	X(unplugged_memory_is_free)

#define CASES_TRACK(X)                                                                             \
	X(dirty_log_by_writes)                                                                     \
	X(dirty_log_by_bits)                                                                       \
	X(dirty_log_by_log)                                                                        \
	X(executed_leaves_are_split)                                                               \
	X(longest_fault_while_collapsing)

#define CASES_DIRTY(X)                                                                             \
	X(nothing_escapes_writes)                                                                  \
	X(nothing_escapes_bits)                                                                    \
	X(nothing_escapes_log)

#define CASES_CLONE(X)                                                                             \
	X(clone_has_the_same_memory)                                                               \
	X(clone_of_a_gib_costs_tables)                                                             \
	X(clones_write_apart)                                                                      \
	X(clone_outlives_the_original)                                                             \
	X(clone_of_a_running_vm)                                                                   \
	X(clone_of_a_clone)                                                                        \
	X(shared_clone)                                                                            \
	X(clone_without_memory)

#define CASES_RELOCATE(X)                                                                          \
	X(relocation_under_load)                                                                   \
	X(relocation_says_why)                                                                     \
	X(scattered_memory_collapses)                                                              \
	X(pieces_of_a_gib_relocate)                                                                \
	X(private_pages_collapse)                                                                  \
	X(move_at_mixed_granularity)

#define CASES_WATCH(X)                                                                             \
	X(hot_is_collapsed_first)                                                                  \
	X(watching_costs_by_regions)

#define CASES_POLICY(X)                                                                            \
	X(hot_collapses_before_cold)                                                               \
	X(idle_waits_for_the_waiting)                                                              \
	X(density_fetches_the_rest)

#define CASES_JOBS(X) X(wrong_use_of_jobs)

/* All of them. */
#define CASES(X)                                                                                   \
	CASES_LEVELS(X)                                                                            \
	CASES_RACES(X)                                                                             \
	CASES_LIMITS(X)                                                                            \
	CASES_HOSTILE(X)                                                                           \
	CASES_VCPU(X)                                                                              \
	CASES_POISON(X)                                                                            \
	CASES_RANGES(X)                                                                            \
	CASES_TRACK(X)                                                                             \
	CASES_DIRTY(X)                                                                             \
	CASES_CLONE(X)                                                                             \
	CASES_RELOCATE(X)                                                                          \
	CASES_WATCH(X)                                                                             \
	CASES_POLICY(X)                                                                            \
	CASES_JOBS(X)

#define CASE_JOB(name)                                                                             \
	const char *name##_job(const struct run_config *config, const struct boot_info *info);
CASES(CASE_JOB)

#endif
