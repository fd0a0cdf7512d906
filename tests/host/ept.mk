# SPDX-License-Identifier: MIT
# What the tests of the second stage need beside the pure sources.

EPT_MODEL := $(addprefix tests/host/model/,toy.c tlb.c reference.c reference_range.c \
	reference_track.c world.c steps.c steps_range.c steps_clone.c)
EPT_BITS := $(addprefix tests/host/model/,bits_intel.c bits_amd.c)
EPT_TWINS := $(addprefix tests/host/model/,twins.c twins_compare.c) $(EPT_BITS)

test_ept_explore_SRCS := $(EPT_MODEL) tests/host/model/explore.c
test_ept_explore_access_SRCS := $(EPT_MODEL) tests/host/model/explore.c
test_ept_entry_SRCS := $(EPT_MODEL) $(EPT_BITS)
test_ept_arguments_SRCS := $(EPT_MODEL)
test_ept_cases_SRCS := $(EPT_MODEL)
test_ept_leaves_SRCS := $(EPT_MODEL)
test_ept_range_cases_SRCS := $(EPT_MODEL)
test_ept_track_cases_SRCS := $(EPT_MODEL)
test_ept_collect_cases_SRCS := $(EPT_MODEL)
test_ept_lookup_cases_SRCS := $(EPT_MODEL)
test_ept_random_SRCS := $(EPT_MODEL)
test_ept_formats_SRCS := $(EPT_MODEL) $(EPT_TWINS)
test_ept_format_sequences_SRCS := $(EPT_MODEL) $(EPT_TWINS)
test_ept_race_tsan_SRCS := $(EPT_MODEL) tests/host/model/crowd.c
test_ept_range_race_tsan_SRCS := $(EPT_MODEL) tests/host/model/crowd.c

# Few CPUs in all orders: what is under test, hardware's walk included, is instrumented as for TSan
# and linked with our own functions behind that. A full gather has few tables there: each makes the orders longer.
INTERLEAVED := $(sort $(wildcard ept/*.c ept/*/*.c)) tests/host/model/tlb.c
INTERLEAVE_SHARED := $(patsubst %.c,$(HOST_BUILD)/interleave/%.o,$(INTERLEAVED) \
	$(addprefix tests/host/model/,toy.c crowd.c interleave.c interleave_hooks.c))

$(INTERLEAVED:%.c=$(HOST_BUILD)/interleave/%.o): INTERLEAVE_CFLAGS := -fsanitize=thread
$(HOST_BUILD)/interleave/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -O2 -DEPT_GATHER_MAX=16 $(INTERLEAVE_CFLAGS) -MMD -MP -c $< -o $@

$(HOST_BUILD)/bin/interleave_%: $(HOST_BUILD)/interleave/tests/host/interleave_%.o \
		$(INTERLEAVE_SHARED)
	@mkdir -p $(@D)
	$(CC) -pthread $^ -o $@ -lcmocka

INTERLEAVE_TESTS := ept range access

HOST_TESTS += $(INTERLEAVE_TESTS:%=test_interleave_%)
host-test: $(INTERLEAVE_TESTS:%=host-run-test_interleave_%)
$(INTERLEAVE_TESTS:%=host-run-test_interleave_%): host-run-test_interleave_%: \
		$(HOST_BUILD)/bin/interleave_%
	@tests/host/run test_interleave_$* $(HOST_BUILD)/test_interleave_$*.tap $(HOST_TIMEOUT) $<
$(INTERLEAVE_TESTS:%=host-test-interleave_%): host-test-interleave_%: host-run-test_interleave_%
	@cat $(HOST_BUILD)/test_interleave_$*.tap
	@! grep -q '^not ok' $(HOST_BUILD)/test_interleave_$*.tap

.PHONY: $(INTERLEAVE_TESTS:%=host-run-test_interleave_%) $(INTERLEAVE_TESTS:%=host-test-interleave_%)

# The figures: no sanitizer, and the second stage compiled as the hypervisor compiles it, without
# vector registers.
HOST_BENCH_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -I. -pthread $(HOST_WARN)
HOST_BENCH_OBJS := $(patsubst %.c,$(HOST_BUILD)/bench/%.o,$(sort $(wildcard tests/host/bench_*.c)) \
	tests/host/arena.c mm/frame.c mm/table_cache.c $(sort $(wildcard ept/*.c ept/*/*.c)))

$(HOST_BUILD)/bench/ept/%.o: HOST_BENCH_CFLAGS += -mgeneral-regs-only
$(HOST_BUILD)/bench/mm/%.o: HOST_BENCH_CFLAGS += -mgeneral-regs-only
$(HOST_BUILD)/bench/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_BENCH_CFLAGS) -MMD -MP -c $< -o $@

$(HOST_BUILD)/bin/bench_ept: $(HOST_BENCH_OBJS)
	@mkdir -p $(@D)
	$(CC) -pthread $^ -o $@

host-bench: $(HOST_BUILD)/bin/bench_ept
	@mkdir -p $(BUILD)/bench
	@$< $(BUILD)/bench/host.json

# That they can be measured is a test.
HOST_TESTS += test_bench_ept
host-test: host-run-test_bench_ept
host-run-test_bench_ept: $(HOST_BUILD)/bin/bench_ept
	@tests/host/run test_bench_ept $(HOST_BUILD)/test_bench_ept.tap $(HOST_TIMEOUT) $< --once
host-test-bench_ept: host-run-test_bench_ept
	@cat $(HOST_BUILD)/test_bench_ept.tap
	@! grep -q '^not ok' $(HOST_BUILD)/test_bench_ept.tap

.PHONY: host-bench host-run-test_bench_ept host-test-bench_ept

# Breaks the second stage on purpose and sees whether the tests notice: slow.
mutation-test:
	@CC=$(CC) tests/host/mutations --build $(BUILD)/mutations $(if $(SHARE),--share $(SHARE))

.PHONY: mutation-test
