# SPDX-License-Identifier: MIT
#
# The EFI images: build/cleave.efi, and build/cleave-test.efi with the in-machine tests in it and
# freed memory filled with junk. build/cleave.so and build/cleave-test.so are the same before they
# became PE, with symbols and DWARF for the debugger.
#
# Sources are found by wildcard: a new .c or .asm file in boot/, mm/, ept/ or hv/ (for the test
# image also tests/machine/, in place of hv/job/jobs.c) is built without being named anywhere.

BUILD ?= build
NASM  ?= nasm
LD    ?= ld
OBJCOPY ?= objcopy

# Of gnu-efi we use the headers alone, wherever they are: what its start-up code is called differs
# from one version to the next. nowhere-* is the target that complains.
find_place = $(firstword $(wildcard $(shell sed -n 's/^$(1) //p' tools/places)) nowhere-$(1))
EFI_INCLUDE ?= $(call find_place,efi-include)

WARNINGS ?= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wpointer-arith -Wundef -Wvla

# Root mode: no vector registers (a guest's stay in place), no red zone, nothing that needs a runtime.
# A section for each function: tools/check-reach.
ROOT_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpie -fvisibility=hidden -fno-stack-protector \
	       -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
	       -fno-asynchronous-unwind-tables -fno-common -ffunction-sections $(WARNINGS) \
	       -I.
# The firmware's strings are made of 16-bit characters, its functions use Microsoft's ABI.
BOOT_CFLAGS := -fshort-wchar -DGNU_EFI_USE_MS_ABI -isystem $(EFI_INCLUDE) \
	       -isystem $(EFI_INCLUDE)/x86_64

include hv/link/link.mk

EFI_SRCS  ?= $(wildcard $(foreach r,boot mm ept hv,$(r)/*.c $(r)/*/*.c $(r)/*/*/*.c) \
	boot/*/*.asm hv/*/*/*.asm) $(BEARSSL_ALL) $(LZ4_SRC)
TEST_SRCS ?= $(filter-out hv/job/jobs.c,$(EFI_SRCS)) $(wildcard tests/machine/*.c)

EFI_OBJS  := $(patsubst %,$(BUILD)/obj/%.o,$(EFI_SRCS))
TEST_OBJS := $(patsubst %,$(BUILD)/obj-test/%.o,$(TEST_SRCS))

# What objcopy takes over into PE; the rest is for the debugger.
PE_SECTIONS := .text .rodata .data .dynamic .dynsym .rela .reloc
EFI_LDFLAGS := -pie -Bsymbolic --no-dynamic-linker -nostdlib -z text -z noexecstack \
	       -z max-page-size=4096 -z norelro --no-undefined --build-id=none -T linker.ld

nowhere-%:
	@echo "gnu-efi is not here: no $* in $$(sed -n 's/^$* //p' tools/places | xargs)" >&2; \
		echo "run tools/setup build, or set EFI_INCLUDE" >&2; exit 1

$(EFI_OBJS) $(TEST_OBJS): | $(filter nowhere-%,$(EFI_INCLUDE))

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
	$(LD) $(EFI_LDFLAGS) -o $@ $(filter %.o,$^)

# Which functions can the image not reach?
.PHONY: check-reach
check-reach: $(EFI_OBJS)
	@tools/check-reach --objects $(BUILD)/obj -- $(LD) $(EFI_LDFLAGS) $(EFI_OBJS)

$(BUILD)/%.efi: $(BUILD)/%.so
	$(OBJCOPY) $(addprefix -j ,$(PE_SECTIONS)) --target efi-app-x86_64 \
		--subsystem efi-app $< $@

# The same parser, and the same reader of kernels, on the host, for the launcher.
CONFIG_SRCS := $(wildcard hv/config/*.c)

CHECK_CONFIG_OBJS := $(patsubst %.c,$(BUILD)/obj-check/%.o,tools/check-config.c \
	tools/check-guest.c hv/platform/bzimage.c hv/base/fmt.c $(CONFIG_SRCS))

$(BUILD)/obj-check/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARNINGS) -I. -MMD -MP -c -o $@ $<

$(BUILD)/check-config: $(CHECK_CONFIG_OBJS)
	$(CC) -o $@ $^

-include $(CHECK_CONFIG_OBJS:.o=.d)
-include $(EFI_OBJS:.o=.d) $(TEST_OBJS:.o=.d)

# Host tests of what is pure here.
test_monitor_words_SRCS := hv/monitor/words.c
test_fmt_SRCS := hv/base/fmt.c
test_startup_SRCS := hv/base/startup.c hv/base/json.c hv/base/clock.c hv/base/fmt.c
test_least_SRCS := boot/base/least.c
test_ranges_SRCS := boot/base/ranges.c
test_options_SRCS := boot/firmware/options.c boot/firmware/files.c
$(addprefix $(BUILD)/host/asan/,tests/host/test_options.o $(test_options_SRCS:.c=.o)): \
	HOST_CFLAGS += $(BOOT_CFLAGS)
test_cpu_list_SRCS := boot/base/cpu_list.c
