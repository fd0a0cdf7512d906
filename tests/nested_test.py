#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of what is pure in tests/nested: the edit of QEMU's source, KVM's counts, what they cost, the
list of the backports. Boots nothing."""
import os
import sys

import tap

nested = tap.load("tests/nested/run")
sys.path.insert(0, os.path.join(tap.ROOT, "tests", "nested"))
import cost
import exits
import mended_qemu
from machines import Problem

SOURCE = """\
target_ulong helper_read_crN(CPUX86State *env, int reg)
{
    case 8:
        break;
}

void helper_write_crN(CPUX86State *env, int reg, target_ulong t0)
{
    switch (reg) {
    case 8:
        if (!(env->hflags2 & HF2_VINTR_MASK)) {
            qemu_mutex_lock_iothread();
            cpu_set_apic_tpr(env_archcpu(env)->apic_state, t0);
            qemu_mutex_unlock_iothread();
        }
        if (ctl_has_irq(env)) {
            cpu_interrupt(cs, CPU_INTERRUPT_VIRQ);
        }
        break;
    default:
        break;
    }
}
"""


class Mending(tap.Sandbox):
    def order(self, text, *words):
        places = [text.index(word) for word in words]
        self.assertEqual(places, sorted(places))

    def test_the_lock_is_held_for_the_interrupt(self):
        for lock, unlock in (("qemu_mutex_lock_iothread", "qemu_mutex_unlock_iothread"),
                             ("bql_lock", "bql_unlock")):
            text = mended_qemu.mend(SOURCE.replace("qemu_mutex_lock_iothread", lock).replace(
                "qemu_mutex_unlock_iothread", unlock))
            self.assertEqual(text.count(f"{lock}();"), 1)
            self.order(text, "helper_write_crN", f"{lock}();", "cpu_set_apic_tpr", "cpu_interrupt(",
                       f"{unlock}();", "default:")

    def test_a_source_that_is_mended_already_is_refused(self):
        for text in ("", SOURCE.replace("            qemu_mutex_lock_iothread();\n", ""),
                     SOURCE.replace("cpu_interrupt(", "something_else(")):
            with self.assertRaises(Problem):
                mended_qemu.mend(text)

    def test_mending_twice_finds_what_it_wrote(self):
        once = mended_qemu.mend(SOURCE)
        self.assertEqual(mended_qemu.mend(once), once)


class MendingVmrun(tap.Sandbox):
    SOURCE = """\
#include "qemu/osdep.h"

    if (ctl_has_irq(env)) {
        cs->interrupt_request |= CPU_INTERRUPT_VIRQ;
    }
"""

    def test_the_lock_is_held_where_an_interrupt_is_noted(self):
        text = mended_qemu.mend_vmrun(self.SOURCE, mended_qemu.lock_names("    bql_lock();\n"))
        self.assertRegex(text, r"\n {8}bql_lock\(\);\n.*VIRQ;\n {8}bql_unlock\(\);\n")
        self.assertIn('#include "qemu/main-loop.h"', text)

    def test_another_source_is_refused(self):
        for text in ("", self.SOURCE + self.SOURCE, self.SOURCE.replace("osdep", "other")):
            with self.assertRaises(Problem):
                mended_qemu.mend_vmrun(text, ("lock", "unlock"))


class MendingXsetbv(tap.Sandbox):
    SOURCE = """\
        case 0xd1: /* xsetbv */
            if ((s->cpuid_ext_features & CPUID_EXT_XSAVE) == 0) {
                goto illegal_op;
            }
            if (!check_cpl0(s)) {
                break;
            }
"""

    def test_it_asks_for_its_intercept_before_its_privilege(self):
        text = mended_qemu.mend_xsetbv(self.SOURCE)
        self.assertIn("            }\n            gen_svm_check_intercept(s, 0x8d);\n"
                      "            if (!check_cpl0(s)) {\n", text)
        self.assertEqual(mended_qemu.mend_xsetbv(text), text)

    def test_another_source_is_refused(self):
        with self.assertRaises(Problem):
            mended_qemu.mend_xsetbv(self.SOURCE.replace("0xd1", "0xd2"))


class Counting(tap.Sandbox):
    def counts(self, *lines):
        counts = exits.Counts()
        for line in lines:
            counts.hear(line)
        return counts.result(exits.svm_name)

    def test_exits_are_named_and_summed(self):
        result = self.counts("nested: hist kvm_exit { exit_reason: 7c } hitcount:         12",
                             "nested: hist kvm_exit { exit_reason: 18 } hitcount: 3",
                             "nested: hist kvm_nested_vmexit { exit_reason: 400 } hitcount: 2",
                             "nested: hist kvm_nested_vmenter { common_pid: 190 } hitcount: 7")
        self.assertEqual(result["exits"], {"MSR": 12, "CR8 write": 3})
        self.assertEqual(result["exits_of_the_guest"], {"nested page fault": 2})
        self.assertEqual(result["nested_entries"], 7)
        self.assertIn("15", exits.table(result)[-2])

    def test_a_failed_entry_of_vmx_keeps_its_reason(self):
        self.assertEqual(exits.vmx_name(0x80000021), "reason 33")

    def test_counters_are_numbers(self):
        result = self.counts("nested: 83.13 counters exits=30 tlb_flush=4 odd=x")
        self.assertEqual(result["counters"], {"exits": 30, "tlb_flush": 4})


class Costing(tap.Sandbox):
    FIGURES = [{"name": "run", "tsc": 1000}] + [
        {"bench": "demand", "cycles": cycles} for cycles in (5000, 13192, 100, 200, 300, 1040)] + [
        {"bench": "arrival", "cycles": cycles} for cycles in (7, 7 + 3 * 8192)]

    def counts(self):
        counts = exits.Counts()
        for number, hits in enumerate((100, 8292, 5, 6, 20, 213), 1):
            counts.hear(f"nested: hist window{number}/kvm_exit {{ exit_reason: 80 }} hitcount: {hits}")
        return counts

    def test_one_page_is_the_slope_and_one_collapse_what_is_above_it(self):
        self.assertEqual(cost.instructions(self.FIGURES), {"run": 1000, "page": 1, "collapse": 10, "in_place": 3})

    def test_windows_are_no_exits_of_the_whole(self):
        counts = self.counts()
        self.assertEqual(counts.result(exits.svm_name)["exits"], {})
        self.assertEqual(cost.by_reason(counts, exits.svm_name)["exits"],
                         {"VMRUN": {"page": 1, "collapse": 3}})

    def test_figures_that_are_missing_are_told(self):
        for figures in ([], self.FIGURES[1:], self.FIGURES[:-1]):
            with self.assertRaises(Problem):
                cost.instructions(figures)

    def test_the_table_has_all_of_it(self):
        figures = cost.instructions(self.FIGURES)
        text = "\n".join(cost.table(cost.result(self.counts(), exits.svm_name, figures,
                                                {**figures, "collapse": 0})))
        for words in (r"VMRUN +1\.000 +0\.000 +0\.000 +3\.00", r"sum +1\.000", r"a collapse +10 +0 +-", r"a page in place +3 +3",
                      r"make run` +1,000 +1,000 +1\.0"):
            self.assertRegex(text, words)

    def test_the_configuration_has_what_is_expected(self):
        names = nested.batches.case_names(os.path.join(tap.ROOT, "tests", "nested", "cost.cfg"))
        self.assertEqual(names, [*cost.WINDOWS, *(f"arrival_{pages}" for pages in cost.PAGES)])

    def test_the_mark_is_the_image_s(self):
        with open(os.path.join(tap.ROOT, "tests", "machine", "bench_demand.c"),
                  encoding="utf-8") as file:
            self.assertRegex(file.read(), rf"MARK\s+{cost.MARK:#x}\b")


class Choosing(tap.Sandbox):
    KNOWN = [nested.Case(name, "svm", 1, "", "", (), 1) for name in
             ("svm1-run", "svm1-cases", "svm2-run")]
    KNOWN.append(nested.Case("svm1-cost", "svm", 1, "", "", (), 1, usual=False))

    def chosen(self, *names):
        return [case.name for case in nested.chosen(names, self.KNOWN)]

    def test_a_name_or_its_first_half(self):
        self.assertEqual(self.chosen("svm1"), ["svm1-run", "svm1-cases"])
        self.assertEqual(self.chosen("svm2-run"), ["svm2-run"])
        self.assertEqual(self.chosen("svm1-cost"), ["svm1-cost"])
        self.assertEqual(len(self.chosen()), 3)

    def test_what_is_not_usual_is_named_in_full(self):
        self.assertNotIn("svm1-cost", self.chosen() + self.chosen("svm1"))

    def test_an_unknown_name_is_told(self):
        for name in ("svm", "vmx1", "svm1-"):
            with self.assertRaises(Problem):
                self.chosen("svm2", name)


if __name__ == "__main__":
    tap.main(__name__)
