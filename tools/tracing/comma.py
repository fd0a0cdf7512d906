# SPDX-License-Identifier: MIT
"""CSV: one line for each event, with its values by what they mean."""
import csv

from tracing.read import LEVELS, PHASES, refusals

COLUMNS = ("time_ns", "tsc", "cpu", "event", "vm", "vcpu", "gfn", "frames", "level", "cycles", "why",
           "a", "b")
SIZED = {"ARRIVE", "ZERO", "AGAIN", "SERVED", "DUPLICATE", "DISCARD", "POISON", "REQUEST", "VM"}


def _why(event, words):
    if event.why is not None:
        return words[event.why] if event.why < len(words) else event.why
    if event.name == "PHASE":
        return PHASES[event.a] if event.a < len(PHASES) else event.a
    return ""


def write(trace, file):
    out = csv.writer(file, lineterminator="\n")
    out.writerow(COLUMNS)
    words = refusals()
    for e in trace.events:
        out.writerow((trace.ns(e.tsc), e.tsc, e.cpu, e.name.lower(), *map(
            lambda value: "" if value is None else value,
            (e.vm, e.vcpu, e.gfn, e.frames if e.name in SIZED else None, LEVELS.get(e.level),
             e.cycles)), _why(e, words), f"0x{e.a:x}", f"0x{e.b:x}"))
