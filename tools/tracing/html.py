# SPDX-License-Identifier: MIT
"""report.html: a migration as one page that needs nothing else.

The page computes what it shows from each page's time of arrival, the events of the ranges, and a few
series; these travel deflated.
"""
import base64
import html
import json
import math
import os
import re
import struct
import zlib

from tracing import model, samples
from tracing.read import refusals

INDENT = re.compile(r"^(?:\t+|//.*\n)", re.MULTILINE)
HERE = os.path.dirname(os.path.abspath(__file__))
BINS = 600
WAITS_MAX = 2000  # shown one by one
FAULTS_MAX = 20000
ARRIVALS_BYTES = 34000  # deflated; beyond that times of arrival are rounded down,
STEPS_LEAST = 256  # but to no fewer steps than these
TO_LEAF, TO_TABLE, TO_GIB_LEAF, TO_GIB_TABLE = range(4)
GIVEN_UP, LOST, BACK = range(3)
GONE = {"DISCARD": GIVEN_UP, "POISON": LOST, "AGAIN": BACK}


class Columns:
    """Events by columns; times as differences, in us."""

    def __init__(self, *names):
        self.lists = {name: [] for name in ("t", *names)}
        self.last = 0

    def add(self, when, *values):
        for column, value in zip(self.lists.values(), (when - self.last, *values)):
            column.append(value)
        self.last = when


def thinned(items, most):
    """At most so many of them, evenly."""
    step = max(1, -(-len(items) // most))
    return items[::step]


def last_of_groups(items, most):
    """At most so many of them, evenly, the last one among them: of counters that only grow."""
    step = max(1, -(-len(items) // most))
    return items[::-step][::-1]


def _row_event(e):
    """(kind, number, by a collapse) or None."""
    leaf = {"ARRIVE": 0, "ZERO": 0, "COLLAPSE": 1}.get(e.name)
    if e.level == 2 and leaf is not None:
        return TO_LEAF, e.gfn >> 9, leaf
    if e.level == 3 and leaf is not None:
        return TO_GIB_LEAF, e.gfn >> 18, leaf
    if e.name == "SPLIT":
        return (TO_TABLE, e.gfn >> 9, 0) if e.level == 2 else (TO_GIB_TABLE, e.gfn >> 18, 0)
    return None


def _columns(m, words):
    rowev, asks = Columns("k", "r", "c"), Columns("gfn")
    gone, refused = Columns("gfn", "frames", "k"), Columns("gfn", "why")
    faults, waits = Columns("gfn", "vcpu"), Columns("us", "vcpu")
    since = lambda e: max(0, round((e.tsc - m.stopped) * 1000 / m.trace.khz))
    for e in m.events:
        if (row := _row_event(e)) is not None:
            rowev.add(since(e), *row)
        elif e.name == "REQUEST":
            asks.add(since(e), e.gfn)
        elif e.name in GONE:
            gone.add(since(e), e.gfn, min(e.frames, m.frames - e.gfn), GONE[e.name])
        elif e.name == "REFUSE":
            refused.add(since(e), e.gfn, words[e.why] if e.why < len(words) else str(e.why))
    for e in thinned([e for e in m.events if e.name in ("FAULT", "SERVED")], FAULTS_MAX):
        faults.add(since(e), e.gfn, e.vcpu or 0)
    for e in thinned([e for e in m.events if e.cycles is not None], WAITS_MAX):
        waits.add(since(e), round(m.trace.us(e.cycles), 1), e.vcpu or 0)
    return {"rowev": rowev.lists, "asks": asks.lists, "gone": gone.lists, "refused": refused.lists,
            "faults": faults.lists, "waits": waits.lists}


def _planes(values):
    """32-bit values, the lowest bytes of all first: what deflate likes."""
    data = struct.pack(f"<{len(values)}I", *values)
    return b"".join(data[i::4] for i in range(4))


def _runs(times, quantum):
    """Pages that follow each other and come within one quantum are a run; runs are in the order of
    their times. Packed: how many; of each its time and its place, as differences, and its length."""
    came = sorted((when // quantum, gfn) for gfn, when in enumerate(times) if when != model.NEVER)
    after, places, lengths = [], [], []
    before, expected = 0, 0
    for when, gfn in came:
        if lengths and when == before and gfn == expected:
            lengths[-1] += 1
        else:
            gap = gfn - expected
            after.append(when - before)
            places.append((gap << 1 ^ gap >> 31) & 0xffffffff)
            lengths.append(1)
        before, expected = when, gfn + 1
    return struct.pack("<I", len(after)) + _planes(after) + _planes(places) + _planes(lengths)


def _deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _arrivals(m, span):
    """(times of arrival in units of the quantum, packed by runs; the quantum in us)"""
    times, quantum = m.arrivals(), 1
    while True:
        packed = _runs(times, quantum)
        size = len(zlib.compress(packed, 6))
        if size <= ARRIVALS_BYTES or span // (2 * quantum) < STEPS_LEAST:
            return packed, quantum
        quantum *= 2 if size < 2 * ARRIVALS_BYTES else 8
        while span // quantum < STEPS_LEAST:
            quantum //= 2


def _histogram(m):
    """From the first bucket with a wait to the last one; x: log2 of its lower end in us"""
    used = [i for i, n in enumerate(m.latency) if n] or [10, 10]
    buckets = range(used[0], used[-1] + 1)
    return {"x": [round(math.log2(m.trace.us(1 << i)), 3) for i in buckets],
            "n": [m.latency[i] for i in buckets]}


def _block(m, bins):
    """vCPU -> blocktime in us at the end of each bin."""
    step = max(m.end - m.stopped, 1) / bins
    rows = {vcpu: [0] * bins for vcpu in sorted(m.vcpus)}
    for e in m.events:
        if e.cycles is not None and e.vcpu in rows:
            at = min(max(int((e.tsc - m.stopped) / step), 0), bins - 1)
            rows[e.vcpu][at] += m.trace.us(e.cycles)
    out = []
    for row in rows.values():
        total, line = 0, []
        for us in row:
            total += us
            line.append(round(total))
        out.append(line)
    return out


def _samples(m):
    """What the machine has sampled and nothing else tells; times in us, columns as differences."""
    table = {name: last_of_groups(column, BINS) for name, column in samples.of(m).items()}
    steps = lambda column: [b - a for a, b in zip([0, *column], column)]
    return {"us": [cycles // 1000 for cycles in table["time_ns"]],
            "flushes": steps(table.get("flushes", [])), "touched": table.get("touched", []),
            "passes": [steps(table.get(f"vcpu{v}_passes", [])) for v in sorted(m.vcpus)]}


def time_text(us):
    if us is None:
        return "–"
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def payload(m, tables, missing):
    series, _ = m.series(BINS, tables)
    shares = m.lane_shares(BINS)
    lanes = sorted(m.vcpus)
    span = round((m.end - m.stopped) * 1000 / m.trace.khz)
    arrivals, quantum = _arrivals(m, span)
    what = {
        "frames": m.frames, "span": span, "bins": BINS, "quantum": quantum,
        "tables": tables,
        "series": series, "hist": _histogram(m), "vcpus": lanes, "block": _block(m, BINS),
        "samples": _samples(m),
        "lane_text": [f"waited {time_text(m.trace.us(m.vcpus[v].block_cycles))} in all, "
                      f"{time_text(m.trace.us(m.vcpus[v].block_max))} at most" for v in lanes],
        "missing": missing, **_columns(m, refusals()),
    }
    head = json.dumps(what, separators=(",", ":")).encode()
    lane_bytes = bytes(part for v in lanes for shares3 in shares.get(v, [[0, 0, 0]] * BINS)
                       for part in shares3)
    data = struct.pack("<I", len(head)) + head + arrivals + lane_bytes
    return base64.b64encode(_deflate(data)).decode()


def _figures(m, run):
    figures = m.figures()
    block = sum(v.block_cycles for v in m.vcpus.values())
    peak = max(m.series(1, run.get("at_switch", {}).get("tables", 0))[0]["tables"], default=0)
    shown = [("downtime", time_text(figures["downtime_us"])),
             ("until all pages are here", time_text(figures["arrived_us"])),
             ("arrivals", f"{figures['arrivals']:,}"), ("faults", f"{figures['faults']:,}"),
             ("blocktime, all vCPUs", time_text(m.trace.us(block))),
             ("longest wait", time_text(m.trace.us(max((v.block_max for v in m.vcpus.values()),
                                                       default=0)))),
             ("splits / collapses", f"{figures['splits']:,} / {figures['collapses']:,}"),
             ("refused collapses", f"{figures['refused']:,}"), ("table pages at most", f"{peak:,}"),
             ("duplicates", f"{figures['pager_duplicates']:,}")]
    return "".join(f"<li><b>{html.escape(value)}</b><small>{html.escape(name)}</small></li>"
                   for name, value in shown)


def _warning(trace):
    said = []
    if trace.lost_sum():
        said.append(f"{trace.lost_sum():,} records were lost (by CPU: " + ", ".join(
            f"{cpu}: {n:,}" for cpu, n in sorted(trace.lost.items())) +
            "): the figures and the picture are of the others.")
    if not trace.whole:
        said.append("The trace has no end: the machine was cut short.")
    return "".join(f'<p class="warn">{html.escape(text)}</p>' for text in said)


def _read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def _subtitle(m, run, document):
    config = run.get("config", {})
    said = [f"run “{run['name']}”" if "name" in run else "", f"migration {m.number + 1} of {m.of}",
            f"{run['second_stage']}, {run['backing']} frames" if "backing" in run else "",
            f"guest {config['guest']}" if "guest" in config else "",
            f"collapse={config['collapse']}" if "collapse" in config else "",
            f"{len(m.vcpus)} vCPU{'s' * (len(m.vcpus) != 1)} on {m.trace.cpus} CPUs",
            document.get("machine", ""), f"verdict: {run['verdict']}" if "verdict" in run else ""]
    return " · ".join(html.escape(text) for text in said if text)


def page(m, run, document, uplot, missing):
    """@run: the migration's figures in report.json, or {}. @uplot: (script, style) or None"""
    size = m.frames // 256
    title = f"Cleave: post-copy migration of {size if size < 1024 or size % 1024 else size // 1024} " \
            f"{'MiB' if size < 1024 or size % 1024 else 'GiB'}"
    parts = {
        "TITLE": title, "SUBTITLE": _subtitle(m, run, document), "CSS": _read("report.css"),
        "WARNING": _warning(m.trace), "FIGURES": _figures(m, run),
        "DATA": payload(m, run.get("at_switch", {}).get("tables", 0), missing),
        "UPLOT": f"<style>{uplot[1]}</style><script>{uplot[0]}</script>" if uplot else "",
        "JS": INDENT.sub("", _read("report.js")),
        "FOOT": html.escape(f"{len(m.trace.events):,} events of {m.trace.cpus} CPUs, "
                            f"{m.trace.lost_sum():,} lost; all times are the machine's own: TSC of "
                            f"{m.trace.khz:,} kHz, which follows {document.get('time', 'unknown')}; commit "
                            f"{document.get('commit', 'unknown')}. docs/trace.md says what is shown."),
    }
    text = _read("report.html")
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text
