/* SPDX-License-Identifier: MIT */
/*
 * A toy format: tables of 4 entries in 3 levels, so that whole state spaces can be enumerated. A
 * leaf of level 1, 2 and 3 maps 1, 4 and 16 pages; the space has 64. All bits lie elsewhere than
 * Intel's, only bit 0 makes an entry visible, and the memory type moves between levels: whoever
 * copies bits where an entry should be decoded and encoded again is found out.
 */
#ifndef TESTS_HOST_MODEL_TOY_H
#define TESTS_HOST_MODEL_TOY_H

#include "ept/format.h"

extern const struct ept_format ept_format_toy;

#endif
