# SPDX-License-Identifier: MIT
#
#	make run	boot a live post-copy migration of a running guest, and show it
#	make demo	what it is about, in a minute: a guest moved whole, and page by page
#	make linux	boot Debian's Linux as a guest (docs/linux.md)
#	make migrate	two machines and a wire: a guest is migrated from one to the other (docs/link.md)
#	make migrate GUEST=linux	Debian's Linux; TO=self: between two VMs of one machine
#	make snapshot	keep a running guest in a file, an ELF core (docs/snapshot.md)
#	make restore	run it on from there, before its pages have come
#	make test	all tests that fit into 25 minutes
#	make test-long	the slow ones, in parts of at most an hour; PART="NAME ..." runs some
#	make test-nested	under real KVM in an emulator (docs/nested.md); NESTED=svm1|svm2|vmx1|vmx2,
#			KERNEL=backports
#	make fuzz	look for inputs that break the pure code (docs/fuzzing.md)
#	make bench	the figures: on the host, and instructions in the machine
#	make bench-check	measures in the machine again: is a figure worse than in the tree?
#	make hints	what each hint to the compiler brings; HINTS="word ..." for some
#	make bench-link		what a migration between two machines costs
#	make bench-linux	what Cleave costs a Linux: instructions of its boot, exits
#	make profile NAME=x	where the instructions go: arrival, copy, collapse, log, linux (docs/profile.md)
#	make experiment NAME=x	compare what a knob does (docs/experiments.md)
#	make reproduce	all experiments again, against the tables in the tree; NAME="x y", SMOKE=only
#	make check-model	search the model of the second stage (spin)
#	make docs	write the tables of docs/configuration.md and docs/protocol.md
#	make check	layers, circles, functions out of reach, formatting, static analysis
#	make		build/cleave.efi and the payloads build/guest/*.bin
#	make gdb	the same as run, under GDB (docs/debugging.md)
#	make bench-kvm	Linux KVM's figures in the same emulator (docs/bench-kvm.md);
#			KERNEL=backports|both, TESTS=demand,log,access
#
#	MACHINE=kvm|qemu|bochs|bochs-svm	where to boot; default: what the host can do
#
# For make run and make gdb:
#	CONFIG=FILE		another configuration (docs/configuration.md)
#	SET="key=value ..."	load options: they win over the configuration, in all of its runs
#	CPUS=N MEMORY=MIB	of the machine; default 2, and 3072
#	ICOUNT=N		QEMU counts instructions of 2^N ns each instead of time; 7 is a good N
#	OUT=DIR			the run's folder, in place of a new one in build/run
#	JSON=FILE		a copy of the run's report.json
#	TRACE=1			every event, and the run as a picture: report.html (docs/trace.md)
#	VIEW=plain|live		make run only: lines, or the live view; default: what the terminal can
#	MONITOR=1		make run only: take commands from tools/monitor without the view, too
#
# For make migrate: MACHINE=A,B two machines of different kinds; WIRE="loss 10; delay 5" what the wire does;
# LINK=ivshmem memory that both share in place of a wire.
#
# For make experiment and make reproduce: JOBS=N machines at once; SNAKEMAKE="OPTIONS" for Snakemake,
# as --cluster; KEEP=1 replaces the table and the figure in the tree by what came out.
#
# For make linux and make migrate GUEST=linux, besides: MODE=shell|check|idle, LINUX_KERNEL=FILE, LINUX_INITRD=FILE,
# LINUX_APPEND=TEXT, LINUX_FLAVOUR=amd64, LINUX_BACKPORTS=1.

BUILD ?= build
CC := gcc
CPUS ?= 2
CONFIG ?= tools/run.cfg
VIEW ?= auto
# What is not set is left to the launcher. Blanks may be in all of them but in numbers.
LAUNCH_FLAGS = --cpus "$(CPUS)" --config "$(CONFIG)" --efi $(BUILD)/cleave.efi \
	$(if $(SET),--set "$(SET)") $(if $(MEMORY),--memory "$(MEMORY)") \
	$(if $(ICOUNT),--icount-shift "$(ICOUNT)") $(if $(OUT),--out "$(OUT)") \
	$(if $(JSON),--json "$(JSON)") $(if $(TRACE),--trace)

.DEFAULT_GOAL := all
# Half of a file is none.
.DELETE_ON_ERROR:

include boot/boot.mk
include guest/guest.mk
include guest/linux/linux.mk
include tests/host/host.mk
include tests/host/ept.mk
include tests/host/link.mk
include tests/fuzz/fuzz.mk
include tests/machine/machine.mk
include tests/spin/spin.mk

.PHONY: all run demo gdb linux migrate test test-long test-nested fuzz bench bench-kvm bench-linux bench-link profile check \
	experiment reproduce \
	test-image setup setup-test \
	setup-nested clean

# One build at a time in a folder; another waits, and then finds it done.
locked = +@mkdir -p $(BUILD) && flock $(BUILD)/.lock $(MAKE) --no-print-directory $(1)

all:
	$(call locked,efi guests $(BUILD)/check-config)

test-image:
	$(call locked,$(BUILD)/cleave-test.efi)

run: setup
	@$(MAKE) --no-print-directory -s -j2 all
	@tools/launch $(LAUNCH_FLAGS) --view "$(VIEW)" $(if $(MONITOR),--monitor) $(GUESTS)

# What it is about, in a minute.
demo: CONFIG = tools/demo.cfg
demo: setup
	@$(MAKE) --no-print-directory -s -j2 all
	@tools/demo $(LAUNCH_FLAGS) --view "$(VIEW)" $(GUESTS)

gdb: setup
	@tools/setup debug
	@$(MAKE) --no-print-directory -s -j2 all
	@tools/gdb --symbols $(BUILD)/cleave.so $(LAUNCH_FLAGS) $(GUESTS)

# In a terminal a shell, elsewhere the self-check, unless MODE= says so.
LINUX_GUESTS = $(addprefix $(BUILD)/linux/guests/,linux.bin linux-initrd.bin linux-cmdline.bin)
export LINUX_KERNEL LINUX_INITRD LINUX_APPEND LINUX_FLAVOUR LINUX_BACKPORTS

linux: CONFIG = tools/linux.cfg
migrate: CONFIG = $(if $(GUEST),tools/linux-migrate.cfg,tools/migrate.cfg)
TO ?= other
GUEST_WORDS = $(if $(filter-out linux,$(GUEST)),$(error make migrate GUEST=$(GUEST): it must be \
	GUEST=linux, or none; a payload is named by SET="guest=NAME"))
TO_WORDS = $(if $(filter-out other self,$(TO)),$(error make migrate TO=$(TO): it must be TO=other or \
	TO=self))
SELF_WORDS = $(if $(GUEST),,$(error make migrate TO=self: it needs GUEST=linux; payloads are migrated \
	within one machine by make run))
MODE_WORDS = $(if $(filter shell,$(MODE)),$(error make migrate MODE=shell: a terminal stays where it is: \
	it needs TO=self))

migrate: setup
	$(GUEST_WORDS)$(TO_WORDS)$(if $(filter self,$(TO)),$(SELF_WORDS),$(MODE_WORDS))
	@$(if $(filter self,$(TO)),$(MAKE) --no-print-directory -s migrate-here CONFIG="$(CONFIG)",\
		$(MAKE) --no-print-directory -s migrate-away CONFIG="$(CONFIG)")

# The guest's own self-check: a shell would have to move from one terminal to another.
.PHONY: migrate-away migrate-here
migrate-away:
	@$(MAKE) --no-print-directory -s -j2 all $(if $(GUEST),linux-guest)
	@$(if $(GUEST),tools/linux --build $(BUILD) --mode "$(or $(MODE),check)" &&) \
		tools/pair $(filter-out --trace,$(LAUNCH_FLAGS)) $(if $(WIRE),--wire "$(WIRE)") $(if $(LINK),--link-device "$(LINK)") \
		$(if $(GUEST),--console log --timeout 3600 $(LINUX_GUESTS),$(GUESTS))

linux migrate-here: setup
	@$(MAKE) --no-print-directory -s -j2 all linux-guest
	@echo "takes about 1 minute with KVM, 3 without, 15 in Bochs; the first time fetches 25 MB"
	@mode=$(MODE); [ "$$mode" ] || { [ -t 0 ] && [ -t 1 ] && mode=shell || mode=check; }; \
	case $$mode in \
	shell) console="--console interactive --timeout 86400" ;; \
	*) console="--console log --timeout 3600" ;; \
	esac; \
	tools/linux --build $(BUILD) --mode "$$mode" && \
		tools/launch $(LAUNCH_FLAGS) $$console $(LINUX_GUESTS)

# A machine, and this host at the other end of its link: docs/snapshot.md.
SNAPSHOT ?= $(BUILD)/guest.core
snapshot restore: CONFIG = $(if $(GUEST),tools/linux-migrate.cfg,tools/migrate.cfg)
snapshot: HALF = save
restore: HALF = restore
snapshot restore: setup
	$(GUEST_WORDS)
	@tools/setup link
	@$(MAKE) --no-print-directory -s -j2 all $(if $(GUEST),linux-guest)
	@$(if $(GUEST),tools/linux --build $(BUILD) --mode "$(or $(MODE),check)" &&) \
		tools/half $(HALF) "$(SNAPSHOT)" $(filter-out --trace,$(LAUNCH_FLAGS)) \
		$(if $(WIRE),--wire "$(WIRE)") \
		$(if $(GUEST),--console log --timeout 3600 $(LINUX_GUESTS),$(GUESTS))

.PHONY: linux-guest snapshot restore
linux-guest:
	$(call locked,$(LINUX_CHECK))

# Both compilers build everything; the tests run what gcc built. Two groups run at once: the longest
# beside all others.
test: setup-test
	@$(MAKE) --no-print-directory -s -j2 all test-image linux-guest
	@tests/run --jobs 2 --timeout 3600 \
		machine="$(MAKE) --no-print-directory -s machine-test" \
		layers="tools/check-layers --build $(BUILD)" \
		reach="$(MAKE) --no-print-directory -s check-reach" \
		check="tools/check" \
		checks="tests/checks_test.py" \
		tools="tests/tools_test.py" \
		launcher="tests/launch_test.py" \
		launcher-files="tests/launch_files_test.py" \
		console="tests/console_test.py" \
		trace="tests/trace_test.py" \
		view="tests/view_test.py" \
		monitor="tests/monitor_test.py --build $(BUILD)" \
		linux="tests/linux_test.py" \
		linux-machine="tests/linux_machine --build $(BUILD)" \
		link-files="CLEAVE_BUILD=$(BUILD) tests/link_files_test.py" \
		link-ends="$(MAKE) --no-print-directory -s link-end && CLEAVE_BUILD=$(BUILD) tests/link_ends_test.py" \
		wire="tests/wire_test.py" \
		link-machine="tests/link_machine --build $(BUILD)" \
		snapshot-machine="tests/snapshot_machine --build $(BUILD)" \
		order-machine="tests/order_machine --build $(BUILD)" \
		bench-kvm="tests/bench_kvm_test.py" bench-kvm-log="tests/bench_kvm_log_test.py" \
		extending="tests/extending_test.py" \
		experiments="tests/experiments_test.py --build $(BUILD)" \
		docs="tests/docs_test.py" \
		clang="$(MAKE) --no-print-directory -s clang-build" \
		model="$(MAKE) --no-print-directory -s check-model" \
		host="$(MAKE) --no-print-directory -s -j2 host-test" \
		fuzz="$(MAKE) --no-print-directory -s -j2 fuzz-replay" \
		gdb="tests/gdb_test.py" \
		profile="CLEAVE_BUILD=$(BUILD) tests/profile_test.py" \
		wrong-machine="$(MAKE) --no-print-directory -s wrong-machine-test" \
		nested-parts="tests/nested_test.py" \
		nested="tests/nested/run --build $(BUILD) --quick"

# Under real KVM in an emulator: docs/nested.md.
NESTED ?= svm1 svm2 vmx1 vmx2
KERNEL ?= stable
nested = tests/nested/run --build $(BUILD) --kernel $(KERNEL) $(1)

test-nested: setup-nested
	@$(MAKE) --no-print-directory -s -j2 all test-image
	@tests/run --timeout 10800 $(foreach n,$(NESTED),nested-$(n)="$(call nested,$(n))")

# The slow tests, in parts that end after an hour. PART="NAME ..." runs some of them.
# Linux as a guest, in minutes on an idle machine: vcpus 3, sizes 9, policies 6, hops 7, crowded 3,
# kernels 3 (and they are fetched: 140 MB), bochs and bochs-svm 30 each.
LINUX_LONG := $(addprefix linux-,vcpus sizes policies hops crowded kernels bochs bochs-svm)
LONG_PARTS := sabotages mutations-1 mutations-2 mutations-3 mutations-4 model-mutants fuzz-plant \
	$(MACHINE_LONG) $(LINUX_LONG) bench-check link-machine snapshot-machine link-mutations \
	nested-svm1 nested-svm2 nested-vmx1 nested-vmx2
PART ?= $(LONG_PARTS)
long_link-machine := tests/link_machine --build $(BUILD) long
long_link-mutations = $(MAKE) --no-print-directory -s mutation-test-link
long_snapshot-machine := tests/snapshot_machine --build $(BUILD) long
long_sabotages := tests/machine/sabotages --build $(BUILD)
long_bench-check = $(MAKE) --no-print-directory -s bench-check
long_model-mutants = $(MAKE) --no-print-directory -s check-model-mutants
long_fuzz-plant = $(MAKE) --no-print-directory -s -j2 fuzz-plant
$(foreach n,1 2 3 4,$(eval long_mutations-$(n) = \
	$$(MAKE) --no-print-directory -s mutation-test SHARE=$(n)/4))
$(foreach b,$(MACHINE_LONG),$(eval long_$(b) = \
	$$(MAKE) --no-print-directory -s machine-test-$(b) MACHINE_TIMEOUT=3500))
$(foreach p,$(LINUX_LONG),$(eval long_$(p) = tests/linux_machine --build $(BUILD) $(p:linux-%=%)))
$(foreach n,svm1 svm2 vmx1 vmx2,$(eval long_nested-$(n) = $$(call nested,$(n))))

$(if $(filter-out $(LONG_PARTS),$(PART)),$(error PART=$(filter-out $(LONG_PARTS),$(PART)): there \
	is no such part; there are: $(LONG_PARTS)))

test-long: setup-test $(if $(filter nested-%,$(PART)),setup-nested)
	@$(MAKE) --no-print-directory -s -j2 all test-image $(if $(filter linux-% %-machine,$(PART)),linux-guest)
	@tests/run --timeout 3600 $(foreach p,$(PART),$(p)="$(long_$(p))")

fuzz: setup-test
	@$(MAKE) --no-print-directory -s -j2 fuzz-build
	@tests/run --timeout $$(( $(FUZZ_SECONDS) + 300 )) $(foreach t,$(FUZZ),\
		fuzz-$(t)="$(FUZZ_RUN) --seconds $(FUZZ_SECONDS) fuzz $(t)")

bench: setup-test
	@$(MAKE) --no-print-directory -s -j2 all test-image
	@$(MAKE) --no-print-directory -s host-bench
	@$(MAKE) --no-print-directory -s machine-bench

bench-linux: setup
	@$(MAKE) --no-print-directory -s -j2 all linux-guest
	@tests/linux_bench --build $(BUILD) 2> $(BUILD)/bench-linux.log

profile: setup
	$(if $(NAME),,$(error make profile NAME=x: there are: arrival, copy, collapse, log, linux, link))
	@$(if $(filter link,$(NAME)),tools/setup link)
	@$(MAKE) --no-print-directory -s -j2 all test-image $(if $(filter linux,$(NAME)),linux-guest)
	@$(if $(filter linux,$(NAME)),tools/linux --build $(BUILD) --mode idle &&) tools/profile --build $(BUILD) "$(NAME)"

bench-link: setup
	@$(MAKE) --no-print-directory -s -j2 all
	@tests/link_bench --build $(BUILD) 2> $(BUILD)/bench-link.log

bench-kvm: setup
	@tools/bench-kvm --kernel $(KERNEL) $(if $(TESTS),--tests $(TESTS)) --cleave $(BUILD)/bench/machine.json

EXPERIMENT = tools/experiment --build $(BUILD) $(if $(JOBS),--jobs $(JOBS))
experiment: setup
	$(if $(NAME),,$(error make experiment NAME=x: there are: $(notdir $(patsubst %/,%,$(dir \
		$(wildcard docs/experiments/*/experiment.yaml))))))
	@tools/setup experiment plot
	@$(MAKE) --no-print-directory -s -j2 all
	@$(EXPERIMENT) run $(if $(KEEP),--keep) $(NAME) -- $(SNAKEMAKE)

reproduce: setup
	@tools/setup experiment plot
	@$(MAKE) --no-print-directory -s -j2 all
	@$(EXPERIMENT) reproduce $(if $(SMOKE),--smoke) $(NAME) -- $(SNAKEMAKE)

# Each says what it found, though another failed.
check: all
	@bad=0; tools/check-layers --build $(BUILD) || bad=1; \
		$(MAKE) --no-print-directory -s check-reach || bad=1; tools/check || bad=1; exit $$bad

.PHONY: clang-build
clang-build:
	@$(MAKE) --no-print-directory -s -j2 BUILD=$(BUILD)/clang CC=clang all test-image && \
		echo "ok clang builds the images and the payloads"

setup:
	@tools/setup build run

# What a test of another program's view cannot have, it is skipped for.
setup-test:
	@tools/setup build run test debug model link
	@tools/setup trace experiment plot >/dev/null 2>&1 || true

setup-nested:
	@tools/setup build run nested

clean:
	rm -rf $(BUILD)
