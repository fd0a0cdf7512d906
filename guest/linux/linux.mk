# SPDX-License-Identifier: MIT
# The self-check of the guest Linux: a program for its user space, linked without libraries to load.
# Set by the includer: BUILD, CC. Provides: LINUX_CHECK.

BUILD ?= build

LINUX_OUT := $(BUILD)/linux
LINUX_CHECK := $(LINUX_OUT)/check
LINUX_OBJS := $(patsubst guest/linux/%.c,$(LINUX_OUT)/obj/%.o,$(wildcard guest/linux/*.c))
LINUX_CFLAGS := -std=gnu11 -O2 -D_GNU_SOURCE -pthread -MMD -MP -Wall -Wextra -Werror -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wvla

$(LINUX_OUT)/obj/%.o: guest/linux/%.c guest/linux/linux.mk
	@mkdir -p $(@D)
	$(CC) $(LINUX_CFLAGS) -c $< -o $@

$(LINUX_CHECK): $(LINUX_OBJS)
	$(CC) -static -s -pthread $^ -lm -o $@

-include $(wildcard $(LINUX_OUT)/obj/*.d)
