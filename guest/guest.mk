# SPDX-License-Identifier: MIT
# The payloads: build/guest/NAME.bin, and NAME.elf beside it for its symbols. A payload is one file,
# guest/NAME.c, plus the library. Set by the includer: BUILD. Provides: GUESTS, target `guests`.

BUILD ?= build
NASM ?= nasm
OBJCOPY ?= objcopy

GUEST_NAMES := seq random chase writer pair balloon touch bad poke mover hot lost mark exec
GUEST_LIB := guest hypercall line pattern probe state trap
GUEST_OUT := $(BUILD)/guest
GUESTS := $(GUEST_NAMES:%=$(GUEST_OUT)/%.bin)

GUEST_CFLAGS := -std=gnu11 -O2 -g -I. -MMD -MP -ffreestanding -fno-pic -fno-pie -mcmodel=small \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wundef -Wvla -Wframe-larger-than=1024
GUEST_LIB_OBJS := $(GUEST_LIB:%=$(GUEST_OUT)/%.o) $(GUEST_OUT)/start.o $(GUEST_OUT)/tables.o \
	$(GUEST_OUT)/vectors.o
GUEST_BAD_OBJS := $(addprefix $(GUEST_OUT)/,evils.o sweeps.o storms.o registers.o) # of `bad` alone
GUEST_WINDOW := $(GUEST_OUT)/window.o # of those that look beyond their memory

# What the host's tests need besides themselves.
test_guest_lib_SRCS := guest/pattern.c

.PHONY: guests
guests: $(GUESTS)

$(GUEST_OUT):
	mkdir -p $@

$(GUEST_OUT)/%.o: guest/%.c guest/guest.mk | $(GUEST_OUT)
	$(CC) $(GUEST_CFLAGS) -c $< -o $@

# The plain numbers of the two headers, in the assembler's words.
$(GUEST_OUT)/layout.inc: hv/abi.h guest/layout.h guest/guest.mk | $(GUEST_OUT)
	$(CC) -E -dM -D__NASM__ -I. -include hv/abi.h guest/layout.h | \
		sed -nE 's/^#define ((ABI|GUEST)_[A-Z_]+) (.+)/%define \1 \3/p' > $@.$$$$ && \
		mv $@.$$$$ $@

$(GUEST_OUT)/%.o: guest/%.asm $(GUEST_OUT)/layout.inc
	$(NASM) -f elf64 -g -F dwarf -Wall -Werror -I $(GUEST_OUT)/ $< -o $@

$(GUEST_OUT)/guest.ld: guest/guest.ld guest/layout.h guest/guest.mk | $(GUEST_OUT)
	$(CC) -E -P -x c -I. $< -o $@

$(GUEST_OUT)/bad.elf: $(GUEST_BAD_OBJS) $(GUEST_WINDOW)
$(GUEST_OUT)/lost.elf $(GUEST_OUT)/exec.elf: $(GUEST_WINDOW)

$(GUEST_OUT)/%.elf: $(GUEST_OUT)/%.o $(GUEST_LIB_OBJS) $(GUEST_OUT)/guest.ld
	$(LD) -static -nostdlib -z noexecstack --no-warn-rwx-segments -z max-page-size=4096 \
		--fatal-warnings -T $(GUEST_OUT)/guest.ld $(filter %.o,$^) -o $@

$(GUEST_OUT)/%.bin: $(GUEST_OUT)/%.elf
	$(OBJCOPY) -O binary $< $@

.SECONDARY: # keep the ELF files and objects; bare, as a list here would undo other fragments

-include $(wildcard $(GUEST_OUT)/*.d)
