#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of what the comparison with Linux KVM makes of a dirty log and of access tracking. Boots
nothing."""
import tap
from bench_kvm_words import (OWN, PER_PAGE, Sandbox, access_lines, access_result, heard,
                             log_lines, result, transcript)
from bench_kvm import figures, linux, log, table


class Log(Sandbox):
    def refuse_run(self, pattern, protocol="together", percent=10, **changes):
        self.refused(pattern, heard, log_lines(protocol, percent, "16M", **changes))

    def test_the_slope_between_two_sizes_is_the_cost_of_a_GiB(self):
        f = result()["log"]["together"]["10"]
        self.assertEqual({name: f[name] for name in ("on", "later_get", "off", "still")},
                         {name: cost << 18 for name, cost in (
                             ("on", 300), ("later_get", 100), ("off", 250), ("still", 10))})
        self.assertAlmostEqual(f["written"], (1 << 18) / 10, delta=100)

    def test_a_write_costs_what_a_pass_takes_beyond_the_pass_that_marks_nothing(self):
        for protocol in log.CALLS:
            f = result()["log"][protocol]["100"]
            self.assertEqual(f["later_write"], PER_PAGE["write"])
            self.assertEqual(f["first_write"], PER_PAGE["write"] if protocol == "together" else 0)

    def test_of_several_runs_the_quickest_counts_call_by_call(self):
        lines = transcript()
        lines[-1:-1] = log_lines("apart", 1, "48M", on={1: 10**9})
        f = figures.result(heard(lines), {})["log"]["apart"]["1"]
        self.assertEqual(f["on"], 300 << 18)

    def test_rows_add_up_what_belongs_together(self):
        rows = log.rows(result()["log"])
        self.assertEqual(rows["together"]["on"], 300 << 18)
        self.assertEqual(rows["apart"]["on"], 600 << 18)  # and the first log, and to clear it
        self.assertEqual(rows["apart"]["collect_10"], 300 << 18)
        self.assertEqual(rows["together"]["round_100"], 1600 << 18)
        self.assertEqual((rows["apart"]["off"], rows["apart"]["off_guest"]), (252 << 18, 2 << 18))

    def test_memory_that_was_not_large_before_is_refused(self):
        self.refuse_run("populate 7 pages of 2 MiB", populate={3: 7})
        self.refuse_run("first_get 7 pages of 2 MiB", "apart", first_get={3: 7})
        self.refuse_run("first_pass 4136 pages of 4 KiB.*small", "apart", first_pass={2: 4136})

    def test_memory_that_was_not_split_ahead_is_refused(self):
        for protocol, name in log.SPLITS.items():
            self.refuse_run("not split ahead", protocol, **{name: {2: OWN}})
            self.refuse_run("not split ahead", protocol, **{name: {3: 8}})
            self.refuse_run("not split ahead", protocol, later_pass={2: OWN + 4095})

    def test_memory_that_does_not_come_back_large_is_refused(self):
        self.refuse_run("off .*small", off={2: 4136})
        self.refuse_run("again 7 pages of 2 MiB", again={3: 7})
        self.refuse_run("still .*small", still={2: 4136})

    def test_a_kernel_that_recovers_in_place_is_measured(self):
        self.assertTrue(heard(log_lines("together", 10, "16M", off={3: 8})).logs)

    def test_another_share_of_written_pages_is_refused(self):
        self.refuse_run("4096 pages were dirty at later_get instead of 40", percent=1,
                        later_get={4: 4096})
        self.refuse_run("0 pages .*first_get", percent=1, first_get={4: 0})
        self.refuse_run("4000 pages .*instead of 4096", "apart", first_get={4: 4000})
        self.assertTrue(heard(log_lines("together", 1, "16M", later_get={4: 60})).logs)  # by dice

    def test_a_call_that_was_preempted_is_refused(self):
        self.refuse_run("on was preempted 1 time", on={5: 1})

    def test_calls_that_are_missing_or_others_are_refused(self):
        lines = log_lines("together", 1, "16M")
        self.refused("instead of run on run", heard, lines[:3] + lines[4:])
        self.refused("none", heard, [lines[0], lines[-1]])
        self.refused("before it told of a run", heard, lines[1:])
        for line in ("log together", "log alone 1 16M", "log apart x 16M"):
            self.refused("cannot understand", heard, [figures.MARK + line])
        for line in ("call on", "call on x 1 1 1 1", "call on 1 1 -1 1 1"):
            self.refused("cannot understand", heard, [lines[0], figures.MARK + line])

    def test_a_share_or_a_size_that_was_not_measured_is_refused(self):
        lines = transcript()
        begin = lines.index(f"{figures.MARK}log apart 10 48M")
        length = len(log_lines("apart", 10, "48M"))
        self.refused("apart, 10 %: 1 sizes", figures.result,
                     heard(lines[:begin] + lines[begin + length:]), {})
        begin -= length
        self.refused("none", figures.result, heard(lines[:begin] + lines[begin + 2 * length:]), {})

    def test_the_larger_size_must_take_longer(self):
        lines = transcript()
        lines[-1:-1] = log_lines("together", 0, "48M", on={1: 1})
        self.refused("no longer", figures.result, heard(lines), {})

    def test_the_share_is_told_in_the_words_of_the_tests_version(self):
        self.assertEqual(log.options_of("int wr_fract;")[1], "-f 100")
        self.assertEqual(log.options_of("uint32_t write_percent;"),
                         {percent: f"-w {percent}" for percent in log.PERCENTS})
        self.refused("no option", log.options_of, "int main;")


class Accesses(Sandbox):
    def refuse_run(self, pattern, **changes):
        self.refused(pattern, heard, access_lines("16M", **changes))

    def test_the_slope_between_two_sizes_is_the_cost_of_a_GiB(self):
        data = access_result(access_lines("16M"), access_lines("48M"))
        self.assertEqual((data["later_look"], data["idle_write"] - data["write"]),
                         (4000 << 18, 2 << 18))
        self.assertEqual(data["kernel"], "6.1.0-1-amd64")

    def test_memory_in_large_pages_is_refused(self):
        self.refuse_run("populate 48 pages of 4 KiB", populate={2: 48})

    def test_a_look_that_sees_no_access_is_refused(self):
        self.refuse_run("not seen", later_look={1: 1900 * 4096})

    def test_a_call_that_was_preempted_is_refused(self):
        self.refuse_run("first_look was preempted 2 times", first_look={5: 2})

    def test_calls_or_sizes_that_are_missing_are_refused(self):
        lines = access_lines("16M")
        self.refused("instead of idle run run", heard, lines[:2] + lines[3:])
        self.refused("1 sizes", access_result, lines)
        self.refused("cannot understand", heard, [figures.MARK + "access 16M x"])
        self.refused("no longer", access_result, lines,
                     access_lines("48M", mark_all={1: 10**6}))

    def test_looks_stand_beside_cleaves_scan_and_monitor(self):
        data = {**result(), "access": access_result(access_lines("16M"), access_lines("48M"))}
        text = "\n".join(table.tables({"kernels": {"stable": data}}, {
            "npt_access_scan_all_1g": 190e6, "ept_access_sample_32": 21245}))
        self.assertRegex(text, r"look: each page.* 1,048,576,000 +190,000,000 +-")
        self.assertRegex(text, r"look at all at once.* 340,787,200 +190,000,000 +-")
        self.assertRegex(text, r"interval of the monitor, 32 regions +- +- +21,245")

    def test_the_kernel_is_configured_as_debians_without_modules(self):
        lines = linux.configuration("CONFIG_KVM=m\nCONFIG_E1000=m\nCONFIG_SMP=y\nCONFIG_NET=y\n"
                                    "CONFIG_NETX=y\n# CONFIG_IDLE_PAGE_TRACKING is not set\n").splitlines()
        self.assertEqual(lines[:2], ["CONFIG_SMP=y", "CONFIG_NETX=y"])
        self.assertIn("CONFIG_IDLE_PAGE_TRACKING=y", lines)
        self.assertIn("CONFIG_KVM=y", lines)
        self.assertIn("# CONFIG_NET is not set", lines)
        self.assertEqual(len(lines), len({line.split("=")[0] for line in lines}))

    def test_of_the_source_the_bulk_that_is_not_built_stays_packed(self):
        self.assertTrue(linux.wanted("mm/page_idle.c"))
        self.assertTrue(linux.wanted("drivers/gpu/drm/Kconfig"))
        self.assertFalse(linux.wanted("drivers/gpu/drm/drm_drv.c"))


if __name__ == "__main__":
    tap.main(__name__)
