#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the checks of the sources: layers, circles, reach, house rules."""
import os
import shutil
import subprocess

import tap
from broken import broken

layers = tap.load("tools/check-layers")
check = tap.load("tools/check")


class Layers(tap.Sandbox):
    def complaints(self):
        return [c for _, found in layers.check_layers(self.top) for c in found]

    def test_a_tree_that_keeps_to_the_layers_passes(self):
        for path, text in (("mm/types.h", "#include <stdint.h>\n"),
                           ("mm/x86.h", '#include "mm/types.h"\n'),
                           ("mm/kmap.c", '#include "x86.h"\n__asm__ ("nop");\n'),
                           ("ept/ept.h", '#include "mm/types.h"\n'),
                           ("hv/base/abi.h", "#include <stdint.h>\n"),
                           ("hv/cpu/vmx/vmx.c", '#include "ept/ept.h"\n#include "mm/x86.h"\n'),
                           ("boot/a/main.c", '#include <efi.h>\n#include "hv/cpu/vmx/vmx.c"\n'),
                           ("guest/demo/seq.c", '#include "hv/base/abi.h"\n'),
                           ("guest/start.asm", '%include "abi.inc"\n')):
            self.write(path, text)
        self.assertEqual(self.complaints(), [])

    def test_each_violation_of_the_layers_is_found(self):
        for path in ("mm/types.h", "mm/x86.h", "ept/ept.h", "hv/hv.h", "hv/abi.h", "boot/b.h",
                     "guest/lib.h", "tools/t.h"):
            self.write(path, "")
        for path, text in (("mm/frame.c", '#include "mm/x86.h"'),
                           ("mm/lock.h", '__asm__ volatile ("pause");'),
                           ("mm/kmap.h", '#include "hv/hv.h"'),
                           ("ept/map.c", '#include "mm/x86.h"'),
                           ("ept/walk.c", '  #  include "hv/hv.h"'),
                           ("ept/iter.h", "#include <stdio.h>"),
                           ("hv/vmx.c", '#include "boot/b.h"'),
                           ("hv/efi.c", "#include <efi.h>"),
                           ("hv/base/trace_abi.h", '#include "mm/types.h"'),
                           ("guest/seq.c", '#include "hv/hv.h"'),
                           ("guest/pair.c", '#include "mm/types.h"'),
                           ("guest/start.asm", '%include "boot/b.h"'),
                           ("boot/main.c", '#include "guest/lib.h"'),
                           ("boot/deep/exit.c", '#include "tools/t.h"'),
                           ("guest/lib/deep.c", '#include "hv/hv.h"'),
                           ("boot/acpi.c", '#include "nowhere.h"')):
            target = self.write(path, text + "\n")
            found = self.complaints()
            self.assertEqual([c.partition(":")[0] for c in found], [path], found)
            os.unlink(target)

    def test_a_header_that_needs_another_does_not_compile_alone(self):
        self.write("mm/types.h", "typedef int gpa_t;\n")
        self.write("mm/good.h", '#include "mm/types.h"\nextern gpa_t a;\n')
        self.write("mm/bad.h", "extern gpa_t b;\n")
        bad = [name for name, found in layers.check_headers(self.top, "gcc") if found]
        self.assertEqual(bad, ["mm/bad.h compiles alone with gcc"])

    def test_a_tree_with_violations_is_not_ok(self):
        self.write("ept/map.c", '#include "hv/hv.h"\n')
        done = self.run_tool("tools/check-layers", "--root", self.top)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not ok layer ept", done.stdout)


class Circles(tap.Sandbox):
    """Made-up trees: each file defines a function of its name, and calls those it needs."""

    def build(self, needs, objects="obj", sources=""):
        for path, called in needs.items():
            name = os.path.basename(path).removesuffix(".c")
            calls = "".join(f"void {other}(void); " for other in called)
            body = " ".join(f"{other}();" for other in called)
            self.write(os.path.join(sources, path), f"{calls}\nvoid {name}(void) {{ {body} }}\n")
            made = self.path(f"build/{objects}/{path}.o")
            os.makedirs(os.path.dirname(made), exist_ok=True)
            subprocess.run(["gcc", "-c", "-fno-builtin", "-w", "-o", made,
                            self.path(os.path.join(sources, path))], check=True)

    def circles(self):
        """The folders that have one, with what was said of it."""
        return {name: found for name, found in layers.check_folders(self.top, self.path("build"))
                if found and name != "guest has objects"}

    def test_a_tree_without_a_circle_passes(self):
        self.build({"hv/main.c": ["vm", "a"], "hv/mem/vm.c": ["page"], "hv/mem/page.c": ["frame"],
                    "hv/base/a.c": [], "mm/frame.c": ["memset"], "hv/base/memset.c": []})
        self.assertEqual(self.circles(), {})
        names = [name for name, _ in layers.check_folders(self.top, self.path("build"))]
        self.assertEqual(names[:5], ["no circle in the folders at the top", "no circle in hv",
                                     "no circle in hv/base", "no circle in hv/mem",
                                     "no circle in mm"])

    def test_a_circle_of_files_is_reported_with_its_arrows(self):
        self.build({"hv/mem/x.c": ["y"], "hv/mem/y.c": ["z"], "hv/mem/z.c": ["x", "w"],
                    "hv/mem/w.c": [], "hv/main.c": ["x"]})
        self.assertEqual(self.circles(), {"no circle in hv/mem": [
            "a circle of 3: hv/mem/x.c, hv/mem/y.c, hv/mem/z.c", "hv/mem/x.c -> hv/mem/y.c: y",
            "hv/mem/y.c -> hv/mem/z.c: z", "hv/mem/z.c -> hv/mem/x.c: x"]})

    def test_a_circle_of_folders_without_one_of_files_is_found(self):
        self.build({"hv/a/one.c": ["two"], "hv/b/two.c": [], "hv/b/three.c": ["four"],
                    "hv/a/four.c": []})
        self.assertEqual(self.circles(), {"no circle in hv": [
            "a circle of 2: hv/a, hv/b", "hv/a -> hv/b: two (hv/a/one.c, hv/b/two.c)",
            "hv/b -> hv/a: four (hv/b/three.c, hv/a/four.c)"]})

    def test_a_circle_of_the_folders_at_the_top_is_found(self):
        self.build({"hv/vm/vm.c": ["frame"], "mm/frame.c": ["vm"]})
        self.assertEqual(list(self.circles()), ["no circle in the folders at the top"])

    def test_two_circles_in_one_folder_are_two(self):
        self.build({f"hv/{a}.c": [b] for a, b in ("pq", "qp", "rs", "sr")})
        self.assertEqual([line for line in self.circles()["no circle in hv"] if ":" in line
                          and line.startswith("a circle")],
                         ["a circle of 2: hv/p.c, hv/q.c", "a circle of 2: hv/r.c, hv/s.c"])

    def test_what_is_not_of_the_image_does_not_count(self):
        circle = {"hv/x.c": ["y"], "hv/y.c": ["x"]}
        self.build({**circle, "tests/tool/y.c": []})  # defines y, too
        self.assertEqual(list(self.circles()), ["no circle in hv"])

    def test_an_object_whose_source_is_gone_does_not_count(self):
        self.build({"hv/x.c": ["y"], "hv/y.c": ["x"]})
        os.rename(self.path("hv/y.c"), self.path("hv/moved.c"))
        self.assertEqual(self.circles(), {})

    def test_payloads_may_define_what_the_library_calls_but_the_library_has_no_circle(self):
        self.build({"hv/x.c": []})
        self.build({"lib/start.c": ["payload", "line"], "lib/line.c": []}, "guest", "guest")
        self.assertEqual(self.circles(), {})
        for name in ("seq", "pair"):
            made = self.path(f"build/guest/demo/{name}.c.o")
            source = self.write(f"guest/demo/{name}.c",
                                "void line(void); void payload(void) { line(); }\n")
            os.makedirs(os.path.dirname(made), exist_ok=True)
            subprocess.run(["gcc", "-c", "-o", made, source], check=True)
        self.assertEqual(self.circles(), {})
        self.build({"lib/line.c": ["start"]}, "guest", "guest")
        self.assertEqual(list(self.circles()), ["no circle in guest/lib"])

    def test_no_objects_are_not_taken_for_no_circle(self):
        self.write("hv/x.c", "")
        self.assertEqual([bool(found) for _, found in
                          layers.check_folders(self.top, self.path("build"))], [True, True])
        self.assertEqual(self.run_tool("tools/check-layers", "--root", self.top).returncode, 1)


class Reach(tap.Sandbox):
    """A made-up image: its entry calls what a file defines, or does not."""

    def setUp(self):
        super().setUp()
        self.objects = []
        self.add("hv/start.c", "void good(void);\nvoid _start(void) { good(); }\n")
        self.add("ept/good.c", "void good(void) {}\n")

    def add(self, path, text, *flags):
        made = self.path(f"obj/{path}.o")
        os.makedirs(os.path.dirname(made), exist_ok=True)
        compiler = ["nasm", "-f", "elf64"] if path.endswith(".asm") else \
            ["gcc", "-c", "-O1", "-ffreestanding", "-ffunction-sections", "-w", *flags]
        subprocess.run([*compiler, "-o", made, self.write(path, text)], check=True)
        self.objects.append(made)

    def check(self, *more):
        return self.run_tool("tools/check-reach", "--root", self.top, "--objects",
                             self.path("obj"), "--", "ld", *self.objects, *more)

    def refused(self, *names):
        done = self.check()
        self.assertEqual((done.returncode, done.stdout.splitlines()),
                         (1, [f"not ok the image reaches every function - out of reach: "
                              f"{len(names)}", *(f"# {name}" for name in names)]))

    def test_an_image_that_reaches_all_of_it_passes(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stdout),
                         (0, "ok the image reaches every function\n"))

    def test_a_planted_function_is_named_with_its_file(self):
        self.add("ept/track.c", "static __attribute__((noinline)) void low(int *p) { *p = 1; }\n"
                 "void used(void) {}\nvoid track(int *p) { low(p); used(); low(p); }\n")
        self.add("mm/cold.c", "void bad(void) __attribute__((cold));\nvoid bad(void) {}\n")
        self.refused("ept/track.c: low", "ept/track.c: track", "ept/track.c: used",
                     "mm/cold.c: bad")

    def test_a_planted_function_in_assembly_is_named(self):
        self.add("hv/enter.asm", "section .text\nglobal enter\nenter:\n\tret\n")
        self.refused("hv/enter.asm: enter")

    def test_what_the_compiler_may_call_and_libraries_need_not_be_reached(self):
        self.add("hv/base/string.c", "void memmove(void) {}\n", "-fno-builtin")
        self.add("lib.c", "void idle(void) {}\n")
        os.rename(self.objects[-1], self.path("libother.o"))
        self.objects[-1] = self.path("libother.o")
        self.assertEqual(self.check().returncode, 0)

    def test_an_image_that_does_not_link_or_has_none_of_ours_is_a_failure(self):
        done = self.check(self.path("gone.o"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not link", done.stdout)
        self.objects = [os.path.relpath(o, self.path("obj")) for o in self.objects]
        done = self.run_tool("tools/check-reach", "--root", self.top, "--objects",
                             self.path("elsewhere"), "--", "true", *self.objects)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no object of ours", done.stdout)


class Rules(tap.Sandbox):
    LICENCE = "/* SPDX-License-Identifier: MIT */\n"

    def setUp(self):
        super().setUp()
        for name in (".clang-format", check.SUPPRESSIONS):
            self.write(name, "")
            shutil.copy(os.path.join(tap.ROOT, name), self.path(name))
        self.write("mm/a.c", self.LICENCE + "int a(void);\n\nint a(void)\n{\n\treturn 1;\n}\n")

    def failing(self):
        lines = self.run_tool("tools/check", "--root", self.top).stdout.splitlines()
        self.assertEqual(len([line for line in lines if not line.startswith("#")]),
                         len(check.CHECKS))
        return [line.removeprefix("not ok ") for line in lines if line.startswith("not ok")]

    def test_a_clean_tree_passes_every_check(self):
        self.assertEqual(self.failing(), [])

    def test_each_breach_of_the_rules_is_found(self):
        code = "int a(int *p)\n{\n\tint *q = 0;\n\n\treturn *p + *q;\n}\n"
        for path, text, claim in (
                ("mm/b.c", self.LICENCE + "int  b;\n", "C files are formatted"),
                ("mm/b.c", self.LICENCE + code, "cppcheck"),
                ("mm/b.c", self.LICENCE + "int b;\n" * 451, "no file has more"),
                ("mm/b.c", self.LICENCE + "#ifdef X\nint b;\n#endif\n", "no conditional"),
                ("mm/b.c", self.LICENCE + "/* TO" "DO: more */\n", "nothing is left"),
                ("mm/b.c", "int b;\n", "each file names its licence"),
                ("tools/b", "#!/usr/bin/env python3\n# SPDX-License-Identifier: MIT\nx = (\n",
                 "Python scripts parse"),
                ("tools/b", "#!/bin/sh\n# SPDX-License-Identifier: MIT\nif\n",
                 "shell scripts parse")):
            target = self.write(path, text)
            failing = self.failing()
            self.assertEqual(len(failing), 1, failing)
            self.assertTrue(failing[0].startswith(claim) and path in failing[0], failing)
            os.unlink(target)


class Breaks(tap.Sandbox):
    """What breaks the sources on purpose finds what it breaks: else a slow test notices, days later."""

    def test_each_break_still_has_its_text(self):
        mutations, link, sabotages, plant = (tap.load(path) for path in (
            "tests/host/mutations", "tests/host/link/mutations", "tests/machine/sabotages", "tests/fuzz/plant"))
        breaks = list(mutations.MUTATIONS.values())
        breaks += [(f"hv/link/{file}", edits) for file, edits in link.MUTATIONS.values()]
        breaks += [where for _, where in sabotages.SABOTAGES.values()]
        breaks += [(file, [(old, new)]) for _, file, old, new in plant.BUGS.values()]
        self.assertGreater(len(breaks), 200)
        for file, edits in breaks:
            self.assertNotEqual(broken(file, edits), broken(file, []))

    def test_each_hint_to_the_compiler_can_be_taken_out(self):
        tool = tap.load("tests/machine/hints")
        names = set()
        for name, path, text in tool.hints():
            self.assertNotIn(name, names)
            self.assertNotIn("?", name)
            names.add(name)
            with open(os.path.join(tap.ROOT, path), encoding="utf-8") as file:
                whole = file.read()
            count = [sum(len(pattern.findall(t)) for pattern in tool.HINTS.values()) for t in (whole, text)]
            self.assertEqual(count[0] - count[1], 1, name)
            self.assertEqual(*(t.count("(") - t.count(")") for t in (whole, text)), name)
        self.assertGreater(len(names), 3)

    def test_what_a_hint_brings_is_the_most_of_all_figures(self):
        brought = tap.load("tests/machine/hints").brought
        hinted = {"npt_arrival": 100, "npt_demand_1": 100, "npt_other": 1}
        self.assertEqual(brought({"npt_arrival": 104, "npt_demand_1": 100, "npt_other": 9}, hinted),
                         (brought({"npt_arrival": 104}, hinted)[0], "npt_arrival"))
        per_cent, figure = brought({"npt_arrival": 100, "npt_demand_1": 80}, hinted)
        self.assertEqual((round(per_cent), figure), (25, "npt_demand_1"))

    def test_a_text_that_is_not_there_is_named(self):
        for text in ("no such text", "text"):
            with self.assertRaisesRegex(RuntimeError, "times in tests/broken.py: '" + text):
                broken("tests/broken.py", [(text, "")])


if __name__ == "__main__":
    tap.main(__name__)
