# SPDX-License-Identifier: MIT
"""What the runs of an experiment reported becomes one table: a row for each run, or for each
migration of a run with hops. All that determines a run is in its row, and so are the figures that
the experiment asks for.
"""
import csv
import io
import json
import os
import re

MACHINE = ("machine", "time", "cpus", "memory_mib")
PERCENTILE = re.compile(r"p(\d+)$")
NO_REPORT = "no report"
REASON = re.compile(r"cleave: case \S+: FAIL (.*)")


class NoFigure(Exception):
    pass


def percentile(buckets, percent):
    """The end of the bucket in which this share of all is reached: buckets are powers of two."""
    wanted, seen = sum(buckets) * percent, 0
    for log2, count in enumerate(buckets):
        seen += count
        if count and seen * 100 >= wanted:
            return 2 << log2
    return 0


def look_up(run, path):
    """A figure by its path: `faults`, `worst.tables`, `vcpus.0.steps`, `latency_log2_cycles.p99`."""
    value = run
    for word in path.split("."):
        try:
            if isinstance(value, list) and (match := PERCENTILE.match(word)):
                value = percentile(value, int(match[1]))
            else:
                value = value[int(word)] if isinstance(value, list) else value[word]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NoFigure(path) from None
    if isinstance(value, (dict, list)):
        raise NoFigure(path)
    return value


def read_report(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def reason_of(log):
    """What the hypervisor says of a run that it could not report, or None."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            match = REASON.search(file.read())
    except OSError:
        return None
    return match and match[1].strip()


def rows_of(name, knobs, report, figures, log=""):
    """The rows of one boot. One without a run in it, or that failed, has a row without figures.
    @log: its serial log"""
    said = {"run": name, **{key: report[key] for key in MACHINE if report}} if report else \
        {"run": name}
    runs = report["runs"] if report else []
    if not runs:
        why = report and (reason_of(log) or report["outcome"]) or NO_REPORT
        return [{**said, **knobs, "verdict": why}]
    rows = []
    for run in runs:
        row = {**said, **knobs, **run.get("config", {}),
               "second_stage": run.get("second_stage", ""), "hop": run.get("hop", 0),
               "verdict": run.get("verdict", "unreadable")}
        if report["status"] and row["verdict"] == "pass":
            row["verdict"] = report["outcome"]  # all was well but the end
        if row["verdict"] == "pass":
            for path in figures:
                try:
                    row[path] = look_up(run, path)
                except NoFigure:
                    row["verdict"] = f"no figure {path}"
                    break
        rows.append(row)
    return rows


def table(rows, figures):
    """CSV: what determines a run first, then the verdict, then the figures."""
    known = ["run", *MACHINE, "second_stage"]
    knobs = []
    for row in rows:
        knobs += [key for key in row
                  if key not in known + knobs + ["hop", "verdict"] and key not in figures]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*known, *knobs, "hop", "verdict", *figures], restval="",
                            lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def failures(rows):
    return [(row["run"], row["verdict"]) for row in rows if row["verdict"] != "pass"]


def origin(reports):
    """What is the same for all rows but does not determine their figures' meaning: from which
    sources, with which emulator, in how many seconds of machines."""
    reports = [report for report in reports if report]
    return {"commit": sorted({report["commit"] for report in reports}),
            "emulator": sorted({report.get("emulator") or "unknown" for report in reports}),
            "machine_seconds": round(sum(report["seconds"] or 0 for report in reports))}


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def near(new, old, percent):
    a, b = number(new), number(old)
    if a is None or b is None:
        return new == old
    return abs(a - b) * 100 <= percent * max(abs(a), abs(b))


def compare(new, old, figures, percent):
    """One sentence for each row that differs by more than @percent in a figure."""
    differs = []
    now, then = ({(row["run"], row["hop"]): row for row in rows} for rows in (new, old))
    for key, row in now.items():
        if key not in then:
            differs.append(f"run {key[0]}: is new")
            continue
        words = [f"{name} {row.get(name)}, was {then[key].get(name)}"
                 for name in ["verdict", *figures] if not near(row.get(name), then[key].get(name), percent)]
        if words:
            differs.append(f"run {key[0]}: {'; '.join(words)}")
    return differs + [f"run {key[0]}: is gone" for key in then if key not in now]


def write(path, text):
    temp = f"{path}.new"
    with open(temp, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(temp, path)
