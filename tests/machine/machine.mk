# SPDX-License-Identifier: MIT
# The tests that run in the machine. A batch is one boot: a configuration, a number of CPUs, an
# emulator. Set by the includer: BUILD, GUESTS.
#
#   make machine-test		the quick batches, TAP on standard output; -j2 runs two at once
#   make machine-test-NAME	one batch
#   make machine-test-long	every migration on 1, 2 and 4 CPUs, in both emulators
#   make machine-bench		instructions per arrival and per collapse

MACHINE_BUILD := $(BUILD)/machine
MACHINE_IMAGE := $(BUILD)/cleave-test.efi
MACHINE_TIMEOUT ?= 1500
MATRIX := tests/machine/matrix
MATRIX_SMALL := $(MATRIX) --backing 4K --backing 2M
MATRIX_LARGE := $(MATRIX) --backing 1G

# NAME_RUN: emulator, CPUs, image. NAME_CFG: what prints the configuration. The large migrations use
# the product's image, which does not fill each GiB with junk when it is freed. The quick batches have
# shares of the matrix, none of a multiple of 7: such a share would always have the same of the 7
# policies. Those that end in -all have all of it.
MACHINE_QUICK := vmx1 vmx2 vmx4 vmx1-large svm1 svm2 svm2-cases svm4 \
	svmb1 jobs1 jobs2 vmx2-jobs
MACHINE_MOVES := vmx2-moves svm4-moves
MACHINE_LONG := $(foreach v,vmx svm,$(foreach n,1 2 4,$(v)$(n)-all)) $(MACHINE_MOVES)

vmx1_RUN := bochs 1 $(MACHINE_IMAGE)
vmx2_RUN := bochs 2 $(MACHINE_IMAGE)
vmx4_RUN := bochs 4 $(MACHINE_IMAGE)
svm1_RUN := qemu 1 $(MACHINE_IMAGE)
svm2_RUN := qemu 2 $(BUILD)/cleave.efi
svm2-cases_RUN := qemu 2 $(MACHINE_IMAGE)
svm4_RUN := qemu 4 $(MACHINE_IMAGE)
svmb1_RUN := bochs-svm 1 $(MACHINE_IMAGE)
vmx1-large_RUN := bochs 1 $(BUILD)/cleave.efi
vmx1_CFG := { cat tests/machine/cases.cfg && $(MATRIX_SMALL) --share 0/10 --no-head; }
vmx2_CFG := { cat tests/machine/cases.cfg tests/machine/relocate.cfg && $(MATRIX_SMALL) --share 1/10 --no-head; }
vmx4_CFG := { cat tests/machine/cases.cfg && $(MATRIX_SMALL) --share 2/10 --no-head; }
svm1_CFG := { cat tests/machine/cases.cfg && $(MATRIX_SMALL) --share 0/4 --no-head; }
svm2_CFG := { $(MATRIX_LARGE) --share 0/4 && $(MATRIX_SMALL) --share 1/4 --no-head; }
svm2-cases_CFG := cat tests/machine/cases.cfg
svm4_CFG := { cat tests/machine/cases.cfg tests/machine/relocate.cfg && $(MATRIX_SMALL) --share 2/4 --no-head; }
svmb1_CFG := { cat tests/machine/cases.cfg && $(MATRIX_SMALL) --share 0/11 --no-head; }
# A share of them; vmx1-all has all.
vmx1-large_CFG := $(MATRIX_LARGE) --share 1/16

# The product's jobs, by what a user would write.
jobs1_RUN := qemu 1 $(MACHINE_IMAGE)
jobs2_RUN := qemu 2 $(MACHINE_IMAGE)
vmx2-jobs_RUN := bochs 2 $(MACHINE_IMAGE)
$(foreach b,jobs1 jobs2,$(eval $(b)_CFG := cat tests/machine/jobs.cfg tests/machine/jobs_large.cfg))
vmx2-jobs_CFG := cat tests/machine/jobs.cfg

# What the host's tests of the pure parts of hv/ need besides themselves.
test_mca_SRCS := hv/cpu/mca.c
test_control_SRCS := hv/cpu/control.c
test_vmx_switch_SRCS := hv/cpu/control.c
test_ether_SRCS := hv/net/ether.c
test_state_SRCS := hv/vm/state_check.c
test_debug_SRCS := hv/cpu/debug.c
test_tlb_SRCS := hv/mem/tlb.c
test_kick_SRCS := hv/base/smp.c
test_cpuid_SRCS := hv/cpu/cpuid.c hv/cpu/cpuid_system.c hv/cpu/control.c
test_lapic_SRCS := hv/platform/lapic.c
test_platform_SRCS := hv/platform/platform.c hv/platform/msrs.c hv/platform/uart.c
test_bzimage_SRCS := hv/platform/bzimage.c hv/base/fmt.c
test_guest_acpi_SRCS := hv/platform/acpi.c
test_trace_stream_SRCS := hv/base/trace_stream.c hv/base/fmt.c

$(foreach n,1 2 4,$(eval vmx$(n)-all_RUN := bochs $(n) $(BUILD)/cleave.efi))
$(foreach n,1 2 4,$(eval svm$(n)-all_RUN := qemu $(n) $(BUILD)/cleave.efi))
$(foreach b,$(MACHINE_LONG),$(eval $(b)_CFG := $(MATRIX)))

# Memory that moves under load, for a minute.
vmx2-moves_RUN := bochs 2 $(MACHINE_IMAGE)
svm4-moves_RUN := qemu 4 $(MACHINE_IMAGE)
$(foreach b,$(MACHINE_MOVES),$(eval $(b)_CFG := { sed '/^\[/,$$$$d' tests/machine/cases.cfg && \
	sed 's/^after=.*/after=60000/' tests/machine/relocate.cfg; }))

machine_emulator = $(word 1,$($(1)_RUN))
machine_cpus = $(word 2,$($(1)_RUN))
machine_image = $(word 3,$($(1)_RUN))

MACHINE_TARGETS := $(addprefix machine-run-,$(MACHINE_QUICK) $(MACHINE_LONG))

# A batch's lines go to a file, so that two batches don't mix them.
$(MACHINE_TARGETS): machine-run-%: $(BUILD)/cleave.efi $(MACHINE_IMAGE) $(GUESTS)
	@mkdir -p $(MACHINE_BUILD)
	@$($*_CFG) > $(MACHINE_BUILD)/$*.cfg
	@tests/machine/run --machine $(call machine_emulator,$*) --cpus $(call machine_cpus,$*) \
		--efi $(call machine_image,$*) --config $(MACHINE_BUILD)/$*.cfg \
		--timeout $(MACHINE_TIMEOUT) --prefix $*/ $(GUESTS) \
		> $(MACHINE_BUILD)/$*.tap 2> $(MACHINE_BUILD)/$*.log || true
	@echo "#: $*: $$(grep -c '^ok' $(MACHINE_BUILD)/$*.tap) ok, $$(grep -c '^not ok' $(MACHINE_BUILD)/$*.tap) not"

machine-test-%: machine-run-%
	@cat $(MACHINE_BUILD)/$*.tap
	@! grep -q '^not ok' $(MACHINE_BUILD)/$*.tap

machine-test: $(addprefix machine-run-,$(MACHINE_QUICK))
	@cat $(MACHINE_QUICK:%=$(MACHINE_BUILD)/%.tap)
	@! grep -q '^not ok' $(MACHINE_QUICK:%=$(MACHINE_BUILD)/%.tap)

machine-test-long: $(addprefix machine-run-,$(MACHINE_LONG))
	@cat $(MACHINE_LONG:%=$(MACHINE_BUILD)/%.tap)
	@! grep -q '^not ok' $(MACHINE_LONG:%=$(MACHINE_BUILD)/%.tap)

machine-bench: $(MACHINE_IMAGE) $(BUILD)/cleave.efi $(GUESTS)
	@tests/machine/bench_figures $(BENCH) --efi $(MACHINE_IMAGE) --product $(BUILD)/cleave.efi --out $(BUILD)/bench \
		$(filter %/touch.bin %/random.bin,$(GUESTS))

# Measures again, and fails naming what is worse than tests/machine/figures.csv says. Whoever makes a
# figure worse, or better, on purpose writes it there: BENCH=--keep.
bench-check: BENCH := --check
bench-check: machine-bench

# What each hint to the compiler brings: docs/profile.md. Takes an hour.
hints: $(GUESTS)
	@tests/machine/hints --build $(BUILD) $(HINTS)

.PHONY: bench-check hints machine-test machine-test-long machine-bench $(MACHINE_TARGETS)

# The hypervisor inside of a program that hands over an untidy machine, as firmware may.
UNTIDY_SRCS := boot/entry.c $(wildcard tests/machine/untidy/*.c)
UNTIDY_OBJS := $(UNTIDY_SRCS:%=$(BUILD)/obj/%.o) $(BUILD)/obj/tests/machine/untidy/untidy.asm.o \
	$(filter %/string.c.o,$(EFI_OBJS))

$(BUILD)/obj/tests/machine/untidy/%.c.o: ROOT_CFLAGS += $(BOOT_CFLAGS)
$(BUILD)/obj/tests/machine/untidy/untidy.asm.o: tests/machine/untidy/untidy.asm $(BUILD)/cleave.efi
	@mkdir -p $(@D)
	$(NASM) -f elf64 -dHYPERVISOR="'$(BUILD)/cleave.efi'" -o $@ $<

$(BUILD)/untidy.so: $(UNTIDY_OBJS) linker.ld
	$(LD) $(EFI_LDFLAGS) -o $@ $(filter %.o,$^)

-include $(UNTIDY_OBJS:.o=.d)

# Machines on which something is wrong.
wrong-machine-test: $(BUILD)/cleave.efi $(BUILD)/untidy.efi $(GUESTS)
	@tests/machine/wrong_machine --efi $(BUILD)/cleave.efi --untidy $(BUILD)/untidy.efi $(GUESTS)

.PHONY: wrong-machine-test
