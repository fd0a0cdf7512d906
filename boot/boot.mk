# SPDX-License-Identifier: MIT
#
# The EFI images: build/cleave.efi, and build/cleave-test.efi with the in-machine tests in it and
# freed memory filled with junk. build/cleave.so and build/cleave-test.so are the same before they
# became PE, with symbols and DWARF for the debugger.
#
# Sources are found by wildcard: a new .c or .asm file in boot/, mm/, ept/ or hv/ (for the test
# image also tests/machine/, in place of hv/jobs.c) is built without being named anywhere.

BUILD ?= build
NASM  ?= nasm
LD    ?= ld
OBJCOPY ?= objcopy

EFI_CRT0  ?= /usr/lib/crt0-efi-x86_64.o
EFI_LIB   ?= /usr/lib/libgnuefi.a
EFI_INCLUDE ?= /usr/include/efi

WARNINGS ?= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wpointer-arith -Wundef -Wvla

# Root mode: no vector registers (a guest's stay in place), no red zone (libgnuefi may use one, we
# never do), nothing that needs a runtime.
ROOT_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpic -fvisibility=hidden -fno-stack-protector \
	       -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
	       -fno-asynchronous-unwind-tables -fno-common $(WARNINGS) -I.
# The firmware's strings are made of 16-bit characters, its functions use Microsoft's ABI.
BOOT_CFLAGS := -fshort-wchar -DGNU_EFI_USE_MS_ABI -isystem $(EFI_INCLUDE) \
	       -isystem $(EFI_INCLUDE)/x86_64

EFI_SRCS  ?= $(wildcard boot/*.c boot/*.asm mm/*.c ept/*.c ept/*/*.c hv/*.c hv/*.asm)
TEST_SRCS ?= $(filter-out hv/jobs.c,$(EFI_SRCS)) $(wildcard tests/machine/*.c)

EFI_OBJS  := $(patsubst %,$(BUILD)/obj/%.o,$(EFI_SRCS))
TEST_OBJS := $(patsubst %,$(BUILD)/obj-test/%.o,$(TEST_SRCS))

# What objcopy takes over into PE; the rest is for the debugger.
PE_SECTIONS := .text .rodata .data .dynamic .dynsym .rela .reloc
EFI_LDFLAGS := -pie -Bsymbolic --no-dynamic-linker -nostdlib -z text -z noexecstack \
	       -z max-page-size=4096 -z norelro --no-undefined --build-id=none -T linker.ld

.PHONY: efi
efi: $(BUILD)/cleave.efi

$(BUILD)/obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ROOT_CFLAGS) $(if $(filter boot/%,$<),$(BOOT_CFLAGS)) -DCLEAVE_DEBUG=0 -MMD -MP \
		-c -o $@ $<

$(BUILD)/obj-test/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ROOT_CFLAGS) $(if $(filter boot/%,$<),$(BOOT_CFLAGS)) -DCLEAVE_DEBUG=1 -MMD -MP \
		-c -o $@ $<

# Two rules: one pattern with two targets would mean that one run makes both.
define assemble
@mkdir -p $(@D)
$(NASM) -f elf64 -g -F dwarf -I./ -MD $(@:.o=.d) -o $@ $<
endef

$(BUILD)/obj/%.asm.o: %.asm
	$(assemble)

$(BUILD)/obj-test/%.asm.o: %.asm
	$(assemble)

$(BUILD)/cleave.so: $(EFI_OBJS) linker.ld
$(BUILD)/cleave-test.so: $(TEST_OBJS) linker.ld
$(BUILD)/cleave.so $(BUILD)/cleave-test.so:
	$(LD) $(EFI_LDFLAGS) -o $@ $(EFI_CRT0) $(filter %.o,$^) $(EFI_LIB)

$(BUILD)/%.efi: $(BUILD)/%.so
	$(OBJCOPY) $(addprefix -j ,$(PE_SECTIONS)) --target efi-app-x86_64 \
		--subsystem efi-app $< $@

-include $(EFI_OBJS:.o=.d) $(TEST_OBJS:.o=.d)

# Host tests of what is pure here.
test_fmt_SRCS := hv/fmt.c
test_ranges_SRCS := boot/ranges.c
