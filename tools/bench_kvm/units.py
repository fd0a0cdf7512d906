# SPDX-License-Identifier: MIT
"""The unit of all figures, sizes and times as the machine writes them."""
import re

from machines import Problem

UNIT = "instructions in the emulator, not time"
PAGE = 4096
PAGES_2M = 512
PAGES_GIB = 1 << 18

SIZE = re.compile(r"([1-9][0-9]*)([KMG])$")
FACTOR = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TIME = re.compile(r"([0-9]+)\.([0-9]{9})$")

# What a refusal says.
FAULTY = "the result would be worthless; "
LOOK = "look at serial.log"


def parse_size(text):
    match = SIZE.match(text)
    if not match:
        raise Problem(f"'{text}' is not a size; write it like 64M")
    return int(match.group(1)) * FACTOR[match.group(2)]


def size_name(size):
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"


def parse_time(text):
    """Nanoseconds. In whole numbers: these are counts."""
    match = TIME.match(text)
    if not match:
        raise Problem(f"the test said '{text}' for its time; its output has changed")
    return int(match.group(1)) * 10**9 + int(match.group(2))


def two_sizes(runs, what):
    """What was measured of the smaller and of the larger size, as two lists."""
    by_size = {}
    for run in runs:
        by_size.setdefault(run.size, []).append(run)
    if len(by_size) != 2:
        raise Problem(f"{what}: {len(by_size)} sizes were measured instead of 2; {LOOK}")
    return [by_size[size] for size in sorted(by_size)]
