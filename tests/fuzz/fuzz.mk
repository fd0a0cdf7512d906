# SPDX-License-Identifier: MIT
# The fuzz targets: each tests/fuzz/fuzz_NAME.c becomes build/fuzz/bin/fuzz_NAME, libFuzzer's main
# with ASan and UBSan. fuzz_NAME_SRCS is what is under test: compiled so that libFuzzer sees which
# branches an input takes. fuzz_NAME_MODEL is what judges it: not worth exploring.
#
#   make fuzz             fuzz each for FUZZ_SECONDS; FUZZ=NAME... for some of them
#   make fuzz-replay      the kept inputs once through each target
#   make fuzz-merge       add what was found to the corpus, minimised
#   make fuzz-plant       does each target find a bug that was planted?

FUZZ_BUILD := $(BUILD)/fuzz
FUZZ_SECONDS ?= 60
FUZZ_ALL := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ ?= $(FUZZ_ALL)

FUZZ_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -I. $(HOST_WARN) -DCLEAVE_DEBUG=0 \
	-fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LEAD := -fsanitize=fuzzer

fuzz_ops_SRCS := $(sort $(wildcard ept/*.c ept/*/*.c))
fuzz_ops_MODEL := $(EPT_MODEL)
fuzz_entry_SRCS := ept/entry/entry.c ept/entry/format_intel.c ept/entry/format_amd.c
fuzz_entry_MODEL := tests/host/model/toy.c $(EPT_BITS)
fuzz_config_SRCS := $(sort $(wildcard hv/config/*.c))
fuzz_acpi_SRCS := boot/firmware/acpi.c boot/base/cpu_list.c boot/base/efi.c
fuzz_memmap_SRCS := boot/firmware/memmap.c boot/base/efi.c boot/base/ranges.c
fuzz_payload_SRCS := hv/vm/payload.c hv/vm/write.c
fuzz_hypercall_SRCS := hv/cpu/hypercall.c
fuzz_monitor_SRCS := hv/monitor/words.c $(sort $(wildcard hv/config/*.c))
fuzz_ether_SRCS := hv/net/ether.c
fuzz_link_SRCS := $(filter hv/link/%,$(LINK_ALL))
fuzz_link_MODEL := $(BEARSSL_ALL) $(LZ4_SRC)
fuzz_bzimage_SRCS := hv/platform/bzimage.c
fuzz_bzimage_MODEL := hv/base/fmt.c

# The firmware's types, for what lies in boot/ beyond the configuration.
FUZZ_FIRMWARE := tests/fuzz/fuzz_acpi.c tests/fuzz/fuzz_memmap.c $(fuzz_acpi_SRCS) $(fuzz_memmap_SRCS)
$(FUZZ_FIRMWARE:%.c=$(FUZZ_BUILD)/lead/%.o): FUZZ_CFLAGS += $(BOOT_CFLAGS)

fuzz_lead = $(patsubst %.c,$(FUZZ_BUILD)/lead/%.o,tests/fuzz/fuzz_$(1).c $(fuzz_$(1)_SRCS))
fuzz_objs = $(fuzz_lead) $(patsubst %.c,$(FUZZ_BUILD)/model/%.o,$(fuzz_$(1)_MODEL))

$(FUZZ_BUILD)/lead/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(FUZZ_LEAD) -MMD -MP -c $< -o $@

$(FUZZ_BUILD)/model/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@

$(FUZZ_BUILD)/bin/fuzz_%: $$(call fuzz_objs,$$*)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(FUZZ_LEAD) $^ -o $@

FUZZ_RUN := tests/fuzz/run --build $(FUZZ_BUILD)

.PHONY: fuzz-build fuzz-replay fuzz-merge fuzz-plant
fuzz-build: $(FUZZ_ALL:%=$(FUZZ_BUILD)/bin/fuzz_%)

fuzz-replay: fuzz-build
	@$(FUZZ_RUN) replay $(FUZZ_ALL)

fuzz-merge: fuzz-build
	@$(FUZZ_RUN) merge $(FUZZ)

# Each target's objects, and how to compile one of them anew.
fuzz-plant: fuzz-build
	@tests/fuzz/plant --build $(FUZZ_BUILD) --compile 'clang $(FUZZ_CFLAGS) $(BOOT_CFLAGS) $(FUZZ_LEAD)' \
		$(foreach t,$(FUZZ_ALL),--objects '$(t) $(call fuzz_objs,$(t))')

-include $(shell find $(FUZZ_BUILD) -name '*.d' 2>/dev/null)
