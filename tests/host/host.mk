# SPDX-License-Identifier: MIT
# The host tests: each tests/host/test_NAME.c becomes one program, linked with all the pure sources
# of the hypervisor, under ASan and UBSan; each test_NAME_tsan.c under TSan. Sources that only one
# test needs are listed in test_NAME_SRCS (read late, so any fragment may set it).
#
#   make host-test        build and run all, TAP on standard output
#   make host-test-NAME   build and run tests/host/test_NAME.c
#   make host-list        name the tests
#   make docs             write the tables of docs/configuration.md and docs/protocol.md

BUILD ?= build
CC ?= gcc
HOST_BUILD := $(BUILD)/host
HOST_TIMEOUT ?= 900

HOST_TESTS := $(sort $(patsubst tests/host/%.c,%,$(wildcard tests/host/test_*.c)))
HOST_PURE := mm/frame.c mm/table_cache.c $(sort $(wildcard ept/*.c ept/*/*.c hv/config/*.c))

HOST_WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wundef -Wvla
HOST_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -I. -pthread $(HOST_WARN)
HOST_SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_SAN_tsan := -fsanitize=thread
# TSan's shadow has fixed places, which a kernel with much address randomization gets in the way of.
HOST_RUN_asan := env ASAN_OPTIONS=detect_stack_use_after_return=1
HOST_RUN_tsan := env TSAN_OPTIONS=halt_on_error=1 $(shell setarch -R true 2>/dev/null && echo setarch -R)

host_san = $(if $(filter %_tsan,$(1)),tsan,asan)
# $(1): the test's name. Objects are made once for each sanitizer.
host_objs = $(patsubst %.c,$(HOST_BUILD)/$(call host_san,$(1))/%.o, \
	tests/host/$(1).c tests/host/arena.c $($(1)_SRCS) $(HOST_PURE))

$(HOST_BUILD)/asan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(HOST_SAN_asan) -MMD -MP -c $< -o $@

$(HOST_BUILD)/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(HOST_SAN_tsan) -MMD -MP -c $< -o $@

.SECONDEXPANSION:
$(HOST_BUILD)/bin/%: $$(call host_objs,$$*)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(HOST_SAN_$(call host_san,$*)) $^ -o $@ -lcmocka

# A test's output goes to a file, so that tests that run at once don't mix their lines. A program
# that dies leaves a `not ok` of its own there.
$(addprefix host-run-,$(HOST_TESTS)): host-run-%: $(HOST_BUILD)/bin/%
	@tests/host/run $* $(HOST_BUILD)/$*.tap $(HOST_TIMEOUT) $(HOST_RUN_$(call host_san,$*)) $<

$(patsubst test_%,host-test-%,$(HOST_TESTS)): host-test-%: host-run-test_%
	@cat $(HOST_BUILD)/test_$*.tap
	@! grep -q '^not ok' $(HOST_BUILD)/test_$*.tap

host-test: $(addprefix host-run-,$(HOST_TESTS))
	@cat $(HOST_TESTS:%=$(HOST_BUILD)/%.tap)
	@! grep -q '^not ok' $(HOST_TESTS:%=$(HOST_BUILD)/%.tap)

# The tables of the keys, from hv/config/keys.c, and those of the protocol, from hv/link/wire.h.
.PHONY: docs
docs: $(HOST_BUILD)/bin/test_config_keys $(HOST_BUILD)/bin/test_link_wire
	@$< write docs/configuration.md
	@$(HOST_BUILD)/bin/test_link_wire write

host-list:
	@printf '%s\n' $(HOST_TESTS)

.PHONY: host-test host-list $(addprefix host-run-,$(HOST_TESTS)) \
	$(patsubst test_%,host-test-%,$(HOST_TESTS))
.SECONDARY:

-include $(shell find $(HOST_BUILD) -name '*.d' 2>/dev/null)
