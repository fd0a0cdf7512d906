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

LINK_SRCS := $(sort $(wildcard hv/link/*.c hv/link/seal/*.c))
LINK_SEAL := $(filter hv/link/seal/%,$(LINK_SRCS))

$(BEARSSL_ALL) &:
	@tools/bearssl $(BEARSSL)

# $(1): where objects lie, $(2): what they are called after, $(3): the variable with their flags.
define link_flags
$(LINK_SEAL:%.c=$(1)/%$(2)): $(3) += -isystem $(BEARSSL)/inc
$(LINK_SEAL:%.c=$(1)/%$(2)): | $(BEARSSL_ALL)
$(BEARSSL_ALL:%.c=$(1)/%$(2)): $(3) += $(BEARSSL_FLAGS)
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
LINK_ALL := $(LINK_SRCS) $(BEARSSL_ALL)

# All of it, as the image has it.
LINK_OBJS := $(LINK_ALL:%.c=$(BUILD)/obj/%.c.o)
.PHONY: link-objects
link-objects: $(LINK_OBJS)
