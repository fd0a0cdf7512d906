# SPDX-License-Identifier: MIT
# What the tests of the second stage need beside the pure sources.

EPT_MODEL := $(addprefix tests/host/model/,toy.c tlb.c reference.c world.c steps.c)

test_ept_explore_SRCS := $(EPT_MODEL) tests/host/model/explore.c
test_ept_entry_SRCS := $(EPT_MODEL)
test_ept_cases_SRCS := $(EPT_MODEL)
test_ept_random_SRCS := $(EPT_MODEL)
test_ept_race_tsan_SRCS := $(EPT_MODEL) tests/host/model/crowd.c
