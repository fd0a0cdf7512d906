#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The trace, from the hypervisor to the picture: a small migration in QEMU, and made-up traces."""
import base64
import csv
import glob
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import unittest
import zlib

import chrome
import tap

BUILD = os.environ.get("CLEAVE_BUILD", os.path.join(tap.ROOT, "build"))
launch = tap.load("tools/launch")
trace_tool = tap.load("tools/trace")
from tracing import dat, html, model, perfetto, read, stat  # noqa: E402

EVENTS = [("ENTER", "vm", "vcpu"), ("EXIT", "reason", "rip"), ("RESUME", "vm", "vcpu"),
          ("FAULT", "gpa", "access"), ("SERVED", "gfn", "cycles"), ("WAIT", "gfn", "whose"),
          ("WAKE", "whose", "cycles"), ("REQUEST", "gfn", "frames"), ("ARRIVE", "gfn", "piece"),
          ("ZERO", "gfn", "piece"), ("AGAIN", "gfn", "piece"), ("SPLIT", "gfn", "piece"),
          ("COLLAPSE", "gfn", "piece"), ("REFUSE", "gfn", "refusal"),
          ("DISCARD", "gfn", "extent"), ("POISON", "gfn", "extent"), ("SYNC", "tables", "piece"),
          ("VM", "vm", "frames"), ("PHASE", "phase", "vm"), ("SWITCH", "vm", "vm")]
NUMBER = {event[0]: i for i, event in enumerate(EVENTS)}
MASK = (1 << 64) - 1


def number(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes([*out, n])


class Stream:
    """Writes what hv/base/trace_stream.c would."""

    def __init__(self, cpus=2, khz=1000000, second_stage="NPT"):
        self.data = b"noise of the firmware" + read.BEGINS + (
            f"tsc_khz {khz}\ncpus {cpus}\nsecond_stage {second_stage}\n" +
            "".join(f"event {' '.join(event)}\n" for event in EVENTS) + "\n").encode()
        self.before = [{} for _ in range(cpus)]

    def difference(self, cpu, key, value):
        d = (value - self.before[cpu].get(key, 0)) & MASK
        self.before[cpu][key] = value
        return number((d << 1 ^ -(d >> 63)) & MASK)

    def chunk(self, cpu, *records, lost=0):
        out = number(cpu + 1) + number(lost) + number(len(records))
        for tsc, name, a, b in records:
            out += number(NUMBER[name]) + self.difference(cpu, "tsc", tsc) + \
                self.difference(cpu, (name, "a"), a) + self.difference(cpu, (name, "b"), b)
        self.data += out
        return self

    def end(self):
        self.data += b"\0"
        return self.data


def piece(level, vm=2):
    return vm << 8 | level


def small():
    """Two ranges of VM 2: the first comes page by page and collapses, the second is placed whole and
    loses a page."""
    s = Stream()
    s.chunk(0, (1000, "VM", 1, 1024), (1100, "VM", 2, 1024), (2000, "PHASE", 0, 1),
            (3000, "SWITCH", 1, 2))
    s.chunk(1, (3100, "ENTER", 2, 0), (3200, "RESUME", 2, 0), (4000, "FAULT", 5 << 12, 2),
            (4000, "REQUEST", 5, 1), (4100, "WAIT", 5, 2 << 8))
    s.chunk(0, (4500, "SPLIT", 0, piece(2)), (5000, "ARRIVE", 5, piece(1)))
    s.chunk(1, (5100, "WAKE", 2 << 8, 1000), (5200, "RESUME", 2, 0), (6000, "SERVED", 6, 200))
    s.chunk(0, *[(7000 + i, "ARRIVE", i, piece(1)) for i in range(512) if i not in (5, 6)],
            (8000, "COLLAPSE", 0, piece(2)), (8500, "ZERO", 512, piece(2)),
            (9000, "SPLIT", 512, piece(2)), (9100, "POISON", 600, 2 << 48 | 1),
            (9200, "REFUSE", 512, 15 << 32 | piece(2)), (9300, "SYNC", 1, piece(0)),
            (9500, "PHASE", 1, 2), (9900, "PHASE", 2, 2))
    return s


class Format(tap.Sandbox):
    def test_differences_of_either_sign_and_of_64_bits_come_back(self):
        s = Stream()
        s.chunk(0, (5, "EXIT", MASK, 1), (3, "EXIT", 0, MASK), (1 << 63, "EXIT", 1 << 62, 0))
        events = read.parse(s.end()).events
        self.assertEqual(sorted((e.tsc, e.a, e.b) for e in events),
                         [(3, 0, MASK), (5, MASK, 1), (1 << 63, 1 << 62, 0)])

    def test_a_stream_that_is_cut_anywhere_gives_what_came_before(self):
        whole = small().end()
        all_events = len(read.parse(whole).events)
        for cut in range(len(whole) - 400, len(whole)):
            trace = read.parse(whole[:cut])
            self.assertFalse(trace.whole)
            self.assertLessEqual(len(trace.events), all_events)
        self.assertTrue(read.parse(whole).whole)

    def test_what_is_no_trace_is_refused(self):
        for data in (b"", b"hello", read.BEGINS, read.BEGINS + b"cpus 1\n\n"):
            self.assertRaises(read.Broken, read.parse, data)
        self.assertRaises(read.Broken, read.parse, Stream(cpus=1).end()[:-1] + number(7))

    def test_losses_are_counted_by_cpu_and_shown(self):
        data = small().chunk(1, lost=17).chunk(0, lost=3).end()
        trace = read.parse(data)
        self.assertEqual(trace.lost, {1: 17, 0: 3})
        with open(self.path("trace.bin"), "wb") as file:
            file.write(data)
        done = self.run_tool("tools/trace", "stat", self.top)
        self.assertIn("20 records were lost", done.stdout)
        done = self.run_tool("tools/trace", "html", self.top, "--offline")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("20 records were lost (by CPU: 0: 3, 1: 17)", self.read("report.html"))

    def test_a_vcpu_is_not_guessed_after_a_loss(self):
        s = Stream().chunk(0, (1, "ENTER", 2, 1), (2, "EXIT", 3, 0))
        s.chunk(0, (9, "EXIT", 3, 0), lost=1)
        self.assertEqual([e.vcpu for e in read.parse(s.end()).events], [1, 1, None])

    def test_the_figures_of_a_made_up_migration(self):
        migration, = model.migrations(read.parse(small().end()))
        figures = migration.figures()
        for name, value in (("arrivals", 513), ("faults", 2), ("splits", 2), ("collapses", 1),
                            ("refused", 1), ("poisoned", 1), ("requests", 1)):
            self.assertEqual(figures[name], value, name)
        self.assertEqual(migration.vcpus[0].block_cycles, 1200)
        series, end = migration.series(100, 3)
        self.assertEqual((end.count, end.tables, end.linked), ({1: 511, 2: 1, 3: 0}, 4, 4))
        self.assertEqual(max(series["tables"]), 5)

    def test_exits_have_the_times_from_the_guest_to_the_guest(self):
        rows = stat.rows(read.parse(small().end()))
        npf = rows[0x400]
        self.assertEqual((npf.samples, npf.timed, npf.sum), (2, 1, 200))  # one had to wait

    def test_without_npm_the_report_says_what_is_missing(self):
        with open(self.path("trace.bin"), "wb") as file:
            file.write(small().end())
        done = self.run_tool("tools/trace", "html", self.top, PATH="/nonexistent:/usr/bin:/bin",
                             CLEAVE_BUILD=self.path("build"),
                             npm_config_registry="http://127.0.0.1:9/",
                             npm_config_fetch_retries="0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no charts: npm install uplot", done.stderr)
        self.assertNotIn("uPlot.iife", self.read("report.html"))


def need(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is missing: tools/setup trace")


class Machine(tap.Sandbox):
    """One run for all."""
    folder = None

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(BUILD, "test", "trace")
        shutil.rmtree(cls.folder, ignore_errors=True)
        os.makedirs(cls.folder)
        cls.done = subprocess.run(
            [os.path.join(tap.ROOT, "tools", "launch"), "--efi", os.path.join(BUILD, "cleave.efi"),
             "--config", os.path.join(tap.ROOT, "tools", "run.cfg"), "--machine", "qemu",
             "--cpus", "2", "--timeout", "120", "--out", cls.folder, "--trace",
             "--set", "region=64M work=8M vcpus=2 lose=3 latency=100",
             *glob.glob(os.path.join(BUILD, "guest", "*.bin"))],
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        cls.trace = cls.json = None
        if cls.done.returncode == 0:
            cls.trace = read.load(os.path.join(cls.folder, "trace.bin"))
            cls.json, = trace_tool.report_of(cls.folder)["runs"]

    def setUp(self):
        super().setUp()
        self.assertEqual(self.done.returncode, 0, self.done.stdout[-2000:])

    def file(self, name):
        return os.path.join(self.folder, name)

    def make(self, what):
        done = self.run_tool("tools/trace", what, self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_nothing_is_lost_and_the_end_is_there(self):
        self.assertTrue(self.trace.whole)
        self.assertEqual(self.trace.lost_sum(), 0)
        self.assertEqual(self.json["trace_lost"], 0)
        self.assertLessEqual(self.json["trace_records"], len(self.trace.events))
        self.assertIn(f"trace: {len(self.trace.events)} records, 0 lost", self.done.stdout)

    def test_the_figures_agree_with_the_reports(self):
        migration, = model.migrations(self.trace)
        figures, run = migration.figures(), self.json
        for name in ("arrivals", "pager_duplicates", "faults", "collapses", "syncs", "poisoned",
                     "latency_log2_cycles"):
            self.assertEqual(figures[name], run[name], name)
        self.assertEqual(figures["splits"], run["splits_absent"] + run["splits_present"])
        self.assertEqual(figures["blocktime_us"], [v["blocktime_us"] for v in run["vcpus"]])
        self.assertEqual(figures["faults_of"], [v["faults"] for v in run["vcpus"]])
        self.assertEqual(figures["refused"], sum(n for name, n in run.items()
                                                 if name.startswith("refused_")))
        for name in ("downtime_us", "arrived_us"):  # another look at the clock
            self.assertLess(abs(figures[name] - run[name]), 1000, name)

    def test_the_picture_ends_with_the_leaves_that_the_report_counts(self):
        migration, = model.migrations(self.trace)
        series, end = migration.series(50, self.json["at_switch"]["tables"])
        said = self.json["end"]
        self.assertEqual((end.count[1], end.count[2], end.count[3], end.tables),
                         (said["pages_4k"], said["pages_2m"], said["pages_1g"], said["tables"]))
        self.assertLessEqual(max(series["tables"]), self.json["tables_peak"])

    def test_samples_agree_with_all_else(self):
        """The last sample, report.json, the events and both tables say the same."""
        migration, = model.migrations(self.trace)
        run, figures = self.json, migration.figures()
        table = run["samples"]
        vcpus = range(len(run["vcpus"]))
        last = {name: column[-1] for name, column in table.items() if isinstance(column, list)}
        of_vcpus = lambda name: [last[f"vcpu{i}_{name}"] for i in vcpus]
        placed = [e for e in migration.events if e.name in ("ARRIVE", "ZERO", "SERVED")]
        self.assertEqual(last["pages"], sum(e.frames for e in placed))
        self.assertEqual(last["pages"], run["pager_data_frames"] + run["pager_zero_frames"])
        self.assertEqual(last["bytes"], 4096 * sum(e.frames for e in placed if e.name != "ZERO"))
        self.assertEqual(last["bytes"], 4096 * run["pager_data_frames"])
        self.assertEqual({name: last["leaves" + name[5:]] for name in ("pages_4k", "pages_2m", "pages_1g")},
                         {name: run["end"][name] for name in ("pages_4k", "pages_2m", "pages_1g")})
        self.assertEqual((last["tables"], last["flushes"]), (run["end"]["tables"], run["flushes"]))
        self.assertEqual(of_vcpus("faults"), figures["faults_of"])
        self.assertEqual(sum(of_vcpus("faults")), run["faults"])
        waits = [sum(e.cycles for e in migration.events if e.cycles is not None and e.vcpu == i)
                 for i in vcpus]
        self.assertEqual(of_vcpus("blocked_cycles"), waits)
        self.assertEqual([cycles * 1000 // self.trace.khz for cycles in waits],
                         [v["blocktime_us"] for v in run["vcpus"]])
        self.assertEqual(sum(run["latency_log2_cycles"]), run["faults_waited"] + run["faults_at_hand"])
        self.assertEqual(sum(run["latency_log2_cycles"]),
                         sum(e.cycles is not None for e in migration.events))

    def test_samples_come_at_a_regular_interval_and_only_grow(self):
        table = self.json["samples"]
        self.assertEqual(table["clock"]["follows"], "the host's time")
        self.assertIn(f"{self.trace.khz} kHz", table["clock"]["cycles"])
        gaps = [b - a for a, b in zip(table["time_ns"], table["time_ns"][1:])]
        self.assertGreater(len(gaps), 5)
        self.assertGreaterEqual(min(gaps[:-1]), 10000000)  # the last one is of the end
        for name, column in table.items():
            if isinstance(column, list) and not name.startswith(("leaves", "tables", "touched")):
                self.assertEqual(column, sorted(column), name)

    def test_the_guest_needs_fewer_leaves_when_they_are_larger(self):
        """At the end 8 MiB of work lie in some leaves of 2 MiB; before, many were small."""
        touched = self.json["samples"]["touched"]
        self.assertGreater(max(touched), 32)
        self.assertLessEqual(min(n for n in touched[len(touched) // 2:]), 16)

    def test_the_table_of_samples_is_that_of_the_report(self):
        self.make("samples")
        with open(self.file("samples.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for name, column in self.json["samples"].items():
            if isinstance(column, list):
                self.assertEqual([int(row[name]) for row in rows], column, name)
        self.assertEqual({row["clock"] for row in rows}, {"the host's time"})

    @need("trace-cmd")
    def test_trace_cmd_reads_every_event(self):
        self.make("dat")
        done = subprocess.run(["trace-cmd", "report", self.file("trace.dat")], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        count = lambda name: sum(f" {name}: " in line for line in lines)
        counts = {}
        for event in self.trace.events:
            counts[event.name] = counts.get(event.name, 0) + 1
        self.assertEqual(count("kvm_page_fault"), counts["FAULT"])
        self.assertEqual(count("kvm_mmu_split_huge_page"), counts["SPLIT"])
        self.assertEqual(count("arrive"), counts["ARRIVE"])
        self.assertEqual(count("collapse"), counts["COLLAPSE"])
        self.assertEqual(count("kvm_exit"), counts["EXIT"] + counts["FAULT"] +
                         counts.get("SERVED", 0))
        self.assertNotIn("EVENTS DROPPED", done.stdout)
        self.assertRegex(done.stdout, r"vm\d-vcpu1-\d+ +\[001\] +\d+\.\d+: kvm_exit:")

    @need("protoc")
    def test_perfettos_messages_are_of_its_schema(self):
        self.make("perfetto")
        with open(self.file("trace.pftrace"), "rb") as file:
            done = subprocess.run(["protoc", f"--proto_path={tap.ROOT}/tests/trace",
                                   "--decode=Trace", "perfetto.proto"], stdin=file, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertNotRegex(text, r"(?m)^ *\d+: ", "a field that the schema does not know")
        self.assertEqual(text.count("TYPE_SLICE_BEGIN"), text.count("TYPE_SLICE_END"))
        self.assertIn('name: "waits for a page"', text)
        self.assertIn("terminating_flow_ids", text)

    def test_the_table_has_a_line_for_each_event(self):
        self.make("csv")
        with open(self.file("trace.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(self.trace.events))
        waits = sum(int(row["cycles"]) for row in rows if row["event"] == "wake" and
                    row["vcpu"] == "0" and row["vm"] == "1")
        self.assertGreater(waits, 0)

    def test_the_launcher_has_drawn_the_report(self):
        self.assertLess(os.path.getsize(self.file("report.html")), 200000)

    @unittest.skipUnless(chrome.program(), "chromium is missing: tools/setup trace")
    def test_the_page_shows_it(self):
        migration, = model.migrations(self.trace)
        collapse = next(e for e in migration.events if e.name == "COLLAPSE")
        row, when = collapse.gfn // 512, migration.us(collapse.tsc) - migration.us(migration.stopped)
        with chrome.Chrome() as page:
            self.look(page, migration, row, when)
            self.assertEqual(page.errors, [])

    def colours(self, page, row):
        return page.run(f"[...new Uint32Array(map.getContext('2d').getImageData(0, {row}, 512, 1)"
                        ".data.buffer)]")

    def look(self, page, migration, row, when):
        ready = "document.documentElement?.dataset.ready === '1'"
        page.size(1360, 1000)
        page.scheme("light")
        page.open(self.file("report.html"), ready)
        stripe, small, lost = (page.run(f"rgba('--{name}')") for name in ("p2m", "p4k", "poison"))
        page.run(f"setTime({when + 2} + D.span / 20)")  # the last faults' dots have faded
        after = self.colours(page, row)
        self.assertEqual(set(after), {stripe}, "a range that has collapsed is one stripe")
        page.run(f"setTime({when - 100})")
        self.assertIn(small, self.colours(page, row), "before it was small pages")
        page.run("setTime(0)")
        self.assertEqual(page.run("state.every((s) => s === ABSENT)"), True)
        page.press("End")
        self.assertEqual(page.run("T"), page.run("D.span"))
        ends = page.run("state.reduce((n, s) => (n[s]++, n), new Array(7).fill(0))")
        self.assertEqual(ends, [0, 0, self.json["end"]["pages_4k"], 512 * self.json["end"]["pages_2m"],
                                0, self.json["poisoned"], 0])
        poison = next(e.gfn for e in migration.events if e.name == "POISON")
        self.assertEqual(self.colours(page, poison // 512)[poison % 512], lost)
        figures = page.run("document.querySelector('.figures').innerText")
        self.assertIn(f"{self.json['arrivals']:,}", figures)
        self.assertIn(f"{self.json['faults']:,}", figures)
        box = page.run("(({x, y, width, height}) => [x, y, width, height])"
                       "(map.getBoundingClientRect())")
        page.click(box[0] + 20, box[1] + box[3] * (row + 0.5) / (migration.frames // 512))
        life = page.run("document.getElementById('life').innerText")
        self.assertIn(f"The life of range {row}", life)
        self.assertIn("collapses: one 2 MiB leaf", life)
        self.assertIn("is split into 512 entries of 4 KiB", life)
        self.assertEqual(page.run("charts.length"), 8 if trace_tool.uplot(False)[0] else 0)
        self.assertEqual(page.run("document.querySelectorAll('canvas.lane').length"), 2)
        page.run(f"setTime({when * 0.6})")
        page.size(1360, page.run("document.documentElement.scrollHeight"))
        page.run("new Promise((done) => setTimeout(done, 200))")
        page.picture(os.path.join(BUILD, "test", "report.png"))
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            page.size(360, 780, 2)
            page.run("new Promise((done) => setTimeout(done, 200))")
            self.assertEqual(page.run("document.documentElement.scrollWidth"), 360)
        absent = page.run("rgba('--absent')")
        page.run("setTime(0)")
        self.assertEqual(set(self.colours(page, row)), {absent})
        page.picture(os.path.join(BUILD, "test", "report-phone.png"))


if __name__ == "__main__":
    tap.main(__name__)
