# SPDX-License-Identifier: MIT
# What the tests of the link need beside the pure sources.

LINK_SIDES := $(LINK_ALL) tests/host/link/faulty.c tests/host/link/machines.c

test_link_migrations_SRCS := $(LINK_SIDES)
test_link_ahead_SRCS := $(LINK_SIDES)
test_link_cases_SRCS := $(LINK_SIDES)
test_link_latency_SRCS := $(LINK_SIDES)
test_link_hostile_SRCS := $(LINK_SIDES)
test_link_seal_SRCS := $(LINK_ALL)

# Breaks the protocol on purpose and sees whether the tests notice.
.PHONY: mutation-test-link
mutation-test-link: $(HOST_BUILD)/bin/test_link_seal $(HOST_BUILD)/bin/test_link_cases \
		$(HOST_BUILD)/bin/test_link_ahead $(HOST_BUILD)/bin/test_link_hostile $(HOST_BUILD)/bin/test_link_latency \
		$(HOST_BUILD)/bin/test_link_migrations
	@tests/host/link/mutations --build $(BUILD)

# An end of the link as a program: tests/snapshot_link_test.py speaks to it.
link_end_SRCS := $(LINK_ALL)
.PHONY: link-end
link-end: $(HOST_BUILD)/bin/link_end
