#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Experiments: what a file says becomes runs, runs become one table, and the table repeats."""
import argparse
import contextlib
import io
import os
import shutil
import sys

import tap

try:
    import yaml  # noqa: F401: what tools/experiment needs
except ModuleNotFoundError:
    print("ok experiments # SKIP PyYAML is missing: tools/setup experiment")
    sys.exit(0)
experiment = tap.load("tools/experiment")
plans, results = experiment.plans, experiment.results
BUILD = os.path.join(tap.ROOT, "build")
GOOD = "question: Q?\nguest: seq\nknobs: {work: 4M}\nfigures: [faults]\n"
TINY = """question: Does a run repeat, and does one that fails stop the others?
guest: random
sizes: {region: 32M, work: 4M, latency: 500}
knobs: {timeout: [600000, 1]}
figures: [faults, blocktime_us, finished_us, worst.pages_4k, latency_log2_cycles.p99]
"""


class Plans(tap.Sandbox):
    def plan(self, text):
        return plans.make(self.write("one.yaml", text))

    def test_lists_are_multiplied_and_sets_are_added(self):
        plan = self.plan("question: Q?\nguest: [seq, hot]\nsizes: {region: [32M, 64M]}\n"
                         "knobs:\n- {collapse: [end, never]}\n- {collapse: budget, budget: [1, 2]}\n"
                         "figures: [faults]\n")
        self.assertEqual(len(plan.runs), 2 * 2 * (2 + 2))
        self.assertEqual(plan.runs[0].options(),
                         "verbose=0 guest=seq region=32M collapse=end seed=1")
        self.assertEqual([run.name for run in plan.runs][2],
                         "guest-seq_region-32M_collapse-budget_budget-1")

    def test_each_repetition_has_a_seed_of_its_own(self):
        plan = self.plan(GOOD + "seed: 7\nrepetitions: 3\n")
        self.assertEqual([run.knobs["seed"] for run in plan.runs], ["7", "8", "9"])
        self.assertEqual([run.name for run in plan.runs], ["seed-7", "seed-8", "seed-9"])

    def test_a_set_of_knobs_may_choose_its_guest(self):
        plan = self.plan(GOOD.replace("knobs: {work: 4M}", "knobs: [{work: 4M}, {guest: hot}]"))
        self.assertEqual([run.knobs["guest"] for run in plan.runs], ["seq", "hot"])

    def test_what_is_wrong_is_named_with_what_is_right(self):
        for text, words in (
                ("- 1\n", "known: question"), ("a: [\n", "not YAML"),
                (GOOD + "knob: 1\n", "knob: no such key; known: question"),
                (GOOD.replace("question: Q?\n", ""), "question: is missing"),
                (GOOD.replace("guest: seq", "guest: 1"), "guest: must be str or list"),
                (GOOD + "seed: true\n", "seed: must be int"),
                (GOOD + "repetitions: 0\n", "at least 1"),
                (GOOD + "machine: {cpu: 1}\n", "machine: cpu: no such key; known: emulator"),
                (GOOD.replace("4M}", "on}"), "put it in quotes"),
                (GOOD.replace("4M}", "[4M, [8M]]}"), "a word or a number"),
                (GOOD.replace("work: 4M", "seed: 4"), "is set by seed:"),
                (GOOD.replace("{work: 4M}", "[{work: 4M}, {work: 4M}]"), "the same knobs"),
                (GOOD.replace("{work: 4M}", "[work]"), "lines `key: value`")):
            with self.assertRaises(plans.Problem, msg=text) as caught:
                self.plan(text)
            self.assertIn(words, str(caught.exception))
            self.assertIn("one.yaml", str(caught.exception))
        with self.assertRaises(plans.Problem) as caught:
            plans.make("nowhere")
        self.assertIn("holes", str(caught.exception))

    def test_every_shipped_experiment_is_a_plan(self):
        for name in plans.shipped():
            self.assertTrue(plans.make(name).question.endswith("?"), name)


class Tables(tap.Sandbox):
    REPORT = {"machine": "M", "time": "T", "cpus": 1, "memory_mib": 64, "status": 0, "outcome": "",
              "runs": [{"verdict": "pass", "second_stage": "NPT", "hop": 0, "config": {"seed": 3},
                        "faults": 5, "worst": {"tables": 2}, "vcpus": [{"steps": 9}],
                        "log2": [0, 0, 98, 0, 2]}]}

    def rows(self, report, *figures):
        return results.rows_of("r", {"work": "4M"}, report, figures)

    def test_a_figure_is_found_by_its_path(self):
        run = self.REPORT["runs"][0]
        for path, value in (("faults", 5), ("worst.tables", 2), ("vcpus.0.steps", 9),
                            ("log2.p50", 8), ("log2.p98", 8), ("log2.p99", 32)):
            self.assertEqual(results.look_up(run, path), value, path)
        for path in ("fault", "worst", "worst.table", "vcpus.1.steps", "vcpus.x", "faults.x"):
            with self.assertRaises(results.NoFigure):
                results.look_up(run, path)

    def test_a_row_says_what_determines_the_run(self):
        self.assertEqual(results.table(self.rows(self.REPORT, "faults"), ["faults"]),
                         "run,machine,time,cpus,memory_mib,second_stage,work,seed,hop,verdict,faults\n"
                         "r,M,T,1,64,NPT,4M,3,0,pass,5\n")

    def test_a_run_that_failed_keeps_its_row_and_its_reason(self):
        bad = {**self.REPORT["runs"][0], "verdict": "a page is wrong"}
        for report, verdict in ((None, "no report"), ({**self.REPORT, "runs": [bad]}, "a page is wrong"),
                                ({**self.REPORT, "runs": [], "outcome": "no end"}, "no end"),
                                ({**self.REPORT, "status": 3, "outcome": "it died"}, "it died")):
            rows = self.rows(report, "faults")
            self.assertEqual(results.failures(rows), [("r", verdict)])
            self.assertTrue(results.table(rows, ["faults"]).endswith(f"{verdict},\n"))
        self.assertEqual(results.failures(self.rows(self.REPORT, "fault")), [("r", "no figure fault")])

    def test_tables_are_compared_row_by_row_within_a_tolerance(self):
        old = [{"run": "a", "hop": "0", "verdict": "pass", "faults": "100"},
               {"run": "b", "hop": "0", "verdict": "pass", "faults": "0"}]
        for new, percent, said in ((old, 0, []),
                                   ([{**old[0], "faults": "104"}, old[1]], 5, []),
                                   ([{**old[0], "faults": "104"}, old[1]], 0,
                                    ["run a: faults 104, was 100"]),
                                   ([old[0], {**old[1], "faults": "1"}], 5, ["run b: faults 1, was 0"]),
                                   ([{**old[0], "verdict": "died", "faults": ""}, old[1]], 5,
                                    ["run a: verdict died, was pass; faults , was 100"]),
                                   ([old[0], {**old[1], "run": "c"}], 5,
                                    ["run c: is new", "run b: is gone"])):
            self.assertEqual(results.compare(new, old, ["faults"], percent), said)

    def test_a_smoke_run_is_held_against_its_own_row(self):
        plan = plans.make("holes")
        row = results.read_table(os.path.join(plan.folder, experiment.TABLE))[0]
        self.assertEqual(row["run"], plan.runs[0].name)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertTrue(experiment.hold_against(plan, [row], True))
            self.assertFalse(experiment.hold_against(plan, [{**row, "end.tables": "77"}], True))
        self.assertIn("ok holes: 1 runs, identical\ndiffers holes", said.getvalue())
        self.assertIn("end.tables 77, was ", said.getvalue())


class Machines(tap.Sandbox):
    """On the real emulator: boots of some seconds."""

    def setUp(self):
        super().setUp()
        for tool in ("snakemake", "qemu-system-x86_64"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is missing: tools/setup run experiment")
        self.file = self.write("tiny.yaml", TINY)

    def run_experiment(self, out, *options):
        with contextlib.redirect_stdout(io.StringIO()):
            done = experiment.main(["--build", BUILD, "--out", self.path(out), "--jobs", "2", "run",
                                    self.file, *options])
        return done, self.read(f"{out}/tiny/{experiment.TABLE}")

    def test_a_table_repeats_to_the_byte_though_a_run_fails_and_on_a_cluster(self):
        status, table = self.run_experiment("one")
        rows = {row["run"]: row for row in results.read_table(self.path("one/tiny/result.csv"))}
        self.assertEqual(status, 1)
        self.assertEqual([row["verdict"] for row in rows.values()],
                         ["pass", "the guest was not ready in time"])
        self.assertGreater(int(rows["timeout-600000"]["faults"]), 0)
        good = self.path("one/tiny/reports/timeout-600000.json")
        done = os.stat(good).st_mtime_ns
        self.run_experiment("one")
        self.assertEqual(os.stat(good).st_mtime_ns, done, "a run that was there was run again")
        submit = self.write("submit", '#!/bin/sh\necho "$@" >> ' + self.path("submitted") +
                            '\nexec sh "$@"\n', 0o755)
        self.assertEqual(self.run_experiment("two", "--", "--cluster", submit), (1, table))
        self.assertEqual(len(self.read("submitted").splitlines()), 2)

    def test_the_hypervisor_s_parser_speaks_before_a_machine_is_booted(self):
        self.file = self.write("tiny.yaml", TINY.replace("timeout: [600000, 1]", "colapse: end"))
        done = self.run_tool("tools/experiment", "--build", BUILD, "--out", self.path("out"), "run",
                             self.file)
        self.assertEqual(done.returncode, 2)
        self.assertIn("colapse", done.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_payload_that_is_not_there_is_named(self):
        self.file = self.write("tiny.yaml", TINY.replace("guest: random", "guest: nobody"))
        done = self.run_tool("tools/experiment", "--build", BUILD, "run", self.file)
        self.assertEqual(done.returncode, 2)
        self.assertIn("guest nobody: no ", done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=BUILD)
    known, sys.argv[1:] = parser.parse_known_args()
    BUILD = os.path.abspath(known.build)
    tap.main(__name__)
