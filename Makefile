# SPDX-License-Identifier: MIT
#
#	make run	boot a live post-copy migration of a running guest, and show it
#	make test	all tests that fit into 25 minutes
#	make test-long	the slow ones
#	make fuzz	look for inputs that break the pure code (docs/fuzzing.md)
#	make bench	the figures: on the host, and instructions in the machine
#	make check-model	search the model of the second stage (spin)
#	make docs	write the tables of docs/configuration.md
#	make check	layers, formatting, static analysis
#	make		build/cleave.efi and the payloads build/guest/*.bin
#	make gdb	the same as run, under GDB (docs/debugging.md)
#	make bench-kvm	Linux KVM's figures in the same emulator
#
#	MACHINE=kvm|qemu|bochs|bochs-svm	where to boot; default: what the host can do
#	CPUS=N CONFIG=FILE	for make run and make gdb

BUILD ?= build
CC := gcc
CPUS ?= 2
CONFIG ?= tools/run.cfg

.DEFAULT_GOAL := all

include boot/boot.mk
include guest/guest.mk
include tests/host/host.mk
include tests/host/ept.mk
include tests/fuzz/fuzz.mk
include tests/machine/machine.mk
include tests/spin/spin.mk

.PHONY: all run gdb test test-long fuzz bench bench-kvm check test-image setup setup-test clean

all: efi guests
test-image: $(BUILD)/cleave-test.efi

run: setup
	@$(MAKE) --no-print-directory -s -j2 all
	@tools/launch --cpus $(CPUS) --efi $(BUILD)/cleave.efi --config "$(CONFIG)" $(GUESTS)

gdb: setup
	@tools/setup debug
	@$(MAKE) --no-print-directory -s -j2 all
	@tools/gdb --cpus $(CPUS) --efi $(BUILD)/cleave.efi --symbols $(BUILD)/cleave.so \
		--config "$(CONFIG)" $(GUESTS)

# Both compilers build everything; the tests run what gcc built.
test: setup-test
	@$(MAKE) --no-print-directory -s -j2 all test-image
	@tests/run --timeout 3600 \
		layers="tools/check-layers" \
		check="tools/check" \
		tools="tests/tools_test.py" \
		launcher="tests/launch_test.py" \
		bench-kvm="tests/bench_kvm_test.py" \
		clang="$(MAKE) --no-print-directory -s clang-build" \
		model="$(MAKE) --no-print-directory -s check-model" \
		host="$(MAKE) --no-print-directory -s -j2 host-test" \
		fuzz="$(MAKE) --no-print-directory -s -j2 fuzz-replay" \
		gdb="tests/gdb_test.py" \
		wrong-machine="$(MAKE) --no-print-directory -s wrong-machine-test" \
		machine="$(MAKE) --no-print-directory -s -j2 machine-test"

test-long: setup-test
	@$(MAKE) --no-print-directory -s -j2 all test-image
	@tests/run --timeout 3600 \
		mutations="$(MAKE) --no-print-directory -s mutation-test" \
		model-mutants="$(MAKE) --no-print-directory -s check-model-mutants" \
		fuzz-plant="$(MAKE) --no-print-directory -s -j2 fuzz-plant" \
		machine-long="$(MAKE) --no-print-directory -s -j2 machine-test-long"

fuzz: setup-test
	@$(MAKE) --no-print-directory -s -j2 fuzz-build
	@tests/run --timeout $$(( $(FUZZ_SECONDS) + 300 )) $(foreach t,$(FUZZ),\
		fuzz-$(t)="$(FUZZ_RUN) --seconds $(FUZZ_SECONDS) fuzz $(t)")

bench: setup-test
	@$(MAKE) --no-print-directory -s -j2 all test-image
	@$(MAKE) --no-print-directory -s host-bench
	@$(MAKE) --no-print-directory -s machine-bench

bench-kvm: setup
	@tools/bench-kvm --cleave $(BUILD)/bench/machine.json

check:
	@tools/check-layers
	@tools/check

.PHONY: clang-build
clang-build:
	@$(MAKE) --no-print-directory -s -j2 BUILD=$(BUILD)/clang CC=clang all test-image && \
		echo "ok clang builds the images and the payloads"

setup:
	@tools/setup build run

setup-test:
	@tools/setup build run test debug model

clean:
	rm -rf $(BUILD)
