/* SPDX-License-Identifier: MIT */
/* Memory and strings in the freestanding image; meanings as in ISO C. */
#ifndef HV_STRING_H
#define HV_STRING_H

#include "mm/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
