# SPDX-License-Identifier: MIT
#
# The link's ciphers: the few files of BearSSL that hv/link/seal/ uses, from Debian's source package
# (tools/bearssl), compiled by us. The library as Debian builds it needs thread-local storage and
# vector registers.

BEARSSL ?= build/bearssl

# ChaCha20-Poly1305, and HKDF with SHA-256.
BEARSSL_SRCS := $(addprefix $(BEARSSL)/src/,symcipher/chacha20_ct.c symcipher/poly1305_ctmulq.c \
	hash/sha2small.c mac/hmac.c kdf/hkdf.c codec/dec32be.c codec/enc32be.c codec/ccopy.c \
	codec/enc64be.c)
# AES-128-GCM: these use vector registers, whose contents are the caller's to save.
BEARSSL_VECTOR := $(addprefix $(BEARSSL)/src/,aead/gcm.c symcipher/aes_x86ni.c \
	symcipher/aes_x86ni_ctr.c hash/ghash_pclmul.c)
BEARSSL_ALL := $(BEARSSL_SRCS) $(BEARSSL_VECTOR)
BEARSSL_FLAGS := -I$(BEARSSL)/inc -I$(BEARSSL)/src -w

# What packs pages: one file of LZ4, from Debian's source package (tools/lz4), likewise.
LZ4 ?= build/lz4
LZ4_SRC := $(LZ4)/lz4.c
LZ4_SHAPE := -DLZ4_FREESTANDING=1 -DLZ4_memcpy=__builtin_memcpy -DLZ4_memmove=__builtin_memmove \
	-DLZ4_memset=__builtin_memset -DLZ4_MEMORY_USAGE=12
LZ4_FLAGS := $(LZ4_SHAPE) -w

LINK_SRCS := $(sort $(wildcard hv/link/*.c hv/link/seal/*.c hv/link/pack/*.c))
LINK_SEAL := $(filter hv/link/seal/%,$(LINK_SRCS))
LINK_PACK := $(filter hv/link/pack/%,$(LINK_SRCS))

$(LZ4_SRC):
	@tools/lz4 $(LZ4)

$(BEARSSL_ALL) &:
	@tools/bearssl $(BEARSSL)

# $(1): where objects lie, $(2): what they are called after, $(3): the variable with their flags.
define link_flags
$(LINK_SEAL:%.c=$(1)/%$(2)): $(3) += -isystem $(BEARSSL)/inc
$(LINK_SEAL:%.c=$(1)/%$(2)): | $(BEARSSL_ALL)
$(BEARSSL_ALL:%.c=$(1)/%$(2)): $(3) += $(BEARSSL_FLAGS)
$(LINK_PACK:%.c=$(1)/%$(2)): $(3) += -isystem $(LZ4) $(LZ4_SHAPE)
$(LINK_PACK:%.c=$(1)/%$(2)): | $(LZ4_SRC)
$(LZ4_SRC:%.c=$(1)/%$(2)): $(3) += $(LZ4_FLAGS)
endef

$(eval $(call link_flags,$(BUILD)/obj,.c.o,ROOT_CFLAGS))
$(eval $(call link_flags,$(BUILD)/obj-test,.c.o,ROOT_CFLAGS))
$(eval $(call link_flags,$(BUILD)/host/asan,.o,HOST_CFLAGS))
$(eval $(call link_flags,$(BUILD)/fuzz/lead,.o,FUZZ_CFLAGS))
$(eval $(call link_flags,$(BUILD)/fuzz/model,.o,FUZZ_CFLAGS))

$(BEARSSL_VECTOR:%.c=$(BUILD)/obj/%.c.o) $(BEARSSL_VECTOR:%.c=$(BUILD)/obj-test/%.c.o): \
	ROOT_CFLAGS := $(filter-out -mgeneral-regs-only,$(ROOT_CFLAGS)) $(BEARSSL_FLAGS)

# On the host they are as fast as they can be: a thousand migrations are sealed by them.
$(BEARSSL_ALL:%.c=$(BUILD)/host/asan/%.o): HOST_CFLAGS := -O2 $(BEARSSL_FLAGS)
$(BEARSSL_ALL:%.c=$(BUILD)/host/asan/%.o): HOST_SAN_asan :=

# What a test of the link is linked with.
LINK_ALL := $(LINK_SRCS) $(BEARSSL_ALL) $(LZ4_SRC)

# All of it, as the image has it.
LINK_OBJS := $(LINK_ALL:%.c=$(BUILD)/obj/%.c.o)
.PHONY: link-objects
link-objects: $(LINK_OBJS)
