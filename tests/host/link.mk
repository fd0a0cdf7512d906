# SPDX-License-Identifier: MIT
# What the tests of the link need beside the pure sources.

LINK_SIDES := $(LINK_ALL) tests/host/link/faulty.c tests/host/link/machines.c

test_link_migrations_SRCS := $(LINK_SIDES)
