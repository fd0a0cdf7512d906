# SPDX-License-Identifier: MIT
"""The samples of a migration: TRACE_FIGURES of hv/trace_abi.h, as the machine took them."""
import csv

from tracing.read import figures, of_a_vcpu

NS = 1000000


def of(migration):
    """{name of a column: its values}; times are since the source stopped. A sample that was cut, or of
    which a part was lost, is left out."""
    names, moments = figures(), {}
    for event in migration.events:
        if event.name == "SAMPLE" and event.a & 0xff < len(names):
            name = names[event.a & 0xff]
            column = name if event.vcpu is None else f"vcpu{event.vcpu}_{name}"
            moments.setdefault(event.tsc, {})[column] = event.b
    columns = list(next(iter(moments.values()), {}))
    out = {name: [] for name in ("time_cycles", "time_ns", *columns)}
    for tsc, sample in sorted(moments.items()):
        if list(sample) != columns:
            continue
        cycles = tsc - migration.stopped
        for name, value in (("time_cycles", cycles), ("time_ns", cycles * NS // migration.trace.khz),
                            *sample.items()):
            out[name].append(value)
    return out


def clock(migration, time):
    """What all times of a run are made of. @time: what the machine's time follows, by report.json"""
    return {"cycles": f"of the TSC, {migration.trace.khz} kHz", "ns": "cycles by that rate",
            "follows": time or "unknown"}


def document(migration, time):
    """For report.json."""
    return {"clock": clock(migration, time), "since": "the source stopped", **of(migration)}


def write(found, time, file):
    """A line for each sample of each migration."""
    out = csv.writer(file, lineterminator="\n")
    tables = [of(migration) for migration in found]
    vcpus = sorted({name for table in tables for name in table if of_a_vcpu(name)})
    names = [name for name in (tables or [{}])[0] if name not in vcpus] + vcpus
    out.writerow(("migration", *names, "clock"))
    for migration, table in zip(found, tables):
        for i in range(len(table["time_cycles"])):
            out.writerow((migration.number + 1, *(table[name][i] if name in table else ""
                                                  for name in names), time or "unknown"))
