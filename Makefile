# SPDX-License-Identifier: MIT
#
#	make run	boot a live post-copy migration and show it
#	make test	all tests
#	make bench	the figures
#
# See README for the others.

BUILD ?= build
CC := gcc
CLANG ?= clang

all: efi guests

include boot/boot.mk
include guest/guest.mk
include tests/host/host.mk
-include tests/host/ept.mk

.PHONY: all clean
.DEFAULT_GOAL := all

clean:
	rm -rf $(BUILD)
