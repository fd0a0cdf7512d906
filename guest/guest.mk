# SPDX-License-Identifier: MIT
# The payloads: build/guest/NAME.bin, and NAME.elf beside it for its symbols. A payload is a file
# NAME.c in guest/demo/ or guest/test/, or a folder NAME/ there with all that lies in it; nothing
# names it here. guest/start/ is linked to each of them, of guest/lib/ what it uses.
# Set by the includer: BUILD. Provides: GUESTS, target `guests`.

BUILD ?= build
NASM ?= nasm
OBJCOPY ?= objcopy

GUEST_OUT := $(BUILD)/guest
guest_objects = $(patsubst guest/%,$(GUEST_OUT)/%.o,$(basename $(1)))
guest_sources = $(wildcard $(addsuffix .c,$(1)) $(addsuffix .asm,$(1)))

GUEST_ROOMS := guest/demo guest/test
GUEST_PLACES := $(basename $(wildcard $(GUEST_ROOMS:%=%/*.c))) \
	$(patsubst %/,%,$(wildcard $(GUEST_ROOMS:%=%/*/)))
GUEST_NAMES := $(sort $(notdir $(GUEST_PLACES)))
GUESTS := $(GUEST_NAMES:%=$(GUEST_OUT)/%.bin)
GUEST_START_OBJS := $(call guest_objects,$(call guest_sources,guest/start/*))
GUEST_LIB_OBJS := $(call guest_objects,$(call guest_sources,guest/lib/*))

ifneq ($(words $(GUEST_NAMES)),$(words $(GUEST_PLACES)))
$(error two payloads have the same name: $(sort $(GUEST_PLACES)))
endif

GUEST_CFLAGS := -std=gnu11 -O2 -g -I. -MMD -MP -ffreestanding -fno-pic -fno-pie -mcmodel=small \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wundef -Wvla -Wframe-larger-than=1024

# What the host's tests need besides themselves.
test_guest_lib_SRCS := guest/lib/pattern.c

.PHONY: guests
guests: $(GUESTS)

$(GUEST_OUT):
	mkdir -p $@

$(GUEST_OUT)/%.o: guest/%.c guest/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -c $< -o $@

# The plain numbers of the two headers, in the assembler's words.
$(GUEST_OUT)/layout.inc: hv/abi.h guest/lib/layout.h guest/guest.mk | $(GUEST_OUT)
	$(CC) -E -dM -D__NASM__ -I. -include hv/abi.h guest/lib/layout.h | \
		sed -nE 's/^#define ((ABI|GUEST)_[A-Z_]+) (.+)/%define \1 \3/p' > $@.$$$$ && \
		mv $@.$$$$ $@

$(GUEST_OUT)/%.o: guest/%.asm $(GUEST_OUT)/layout.inc
	@mkdir -p $(@D)
	$(NASM) -f elf64 -g -F dwarf -Wall -Werror -I $(GUEST_OUT)/ $< -o $@

$(GUEST_OUT)/guest.ld: guest/lib/guest.ld guest/lib/layout.h guest/guest.mk | $(GUEST_OUT)
	$(CC) -E -P -x c -I. $< -o $@

# What a payload consists of, beside what all have.
define guest_payload
$(GUEST_OUT)/$(notdir $(1)).elf: $(call guest_objects,$(call guest_sources,$(1) $(1)/*))
endef
$(foreach p,$(GUEST_PLACES),$(eval $(call guest_payload,$(p))))

# Of the library, what nobody uses is left out again.
$(GUESTS:.bin=.elf): $(GUEST_START_OBJS) $(GUEST_LIB_OBJS) $(GUEST_OUT)/guest.ld
	$(LD) -static -nostdlib -z noexecstack --no-warn-rwx-segments -z max-page-size=4096 \
		--fatal-warnings --gc-sections -T $(GUEST_OUT)/guest.ld $(filter %.o,$^) -o $@

$(GUEST_OUT)/%.bin: $(GUEST_OUT)/%.elf
	$(OBJCOPY) -O binary $< $@

.SECONDARY: # keep the ELF files and objects; bare, as a list here would undo other fragments

-include $(wildcard $(GUEST_OUT)/*/*.d $(GUEST_OUT)/*/*/*.d)
