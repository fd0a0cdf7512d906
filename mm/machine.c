/* SPDX-License-Identifier: MIT */
/* The frames and the table pages of the machine that we run on. boot/ sets them up. */
#include "mm/machine.h"

struct frame_pool machine_frames;
struct table_cache machine_tables;
