/* SPDX-License-Identifier: MIT */
/* The firmware that started us: see boot/base/efi.h. boot/efi_main.c fills it in. */
#include "boot/base/efi.h"

struct firmware firmware;
