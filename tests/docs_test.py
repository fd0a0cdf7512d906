#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the documents say of the tree: functions, files, targets, and the figures of experiments."""
import csv
import glob
import os
import re

import tap

DOCS = sorted(glob.glob(os.path.join(tap.ROOT, "docs", "*.md")))
FUNCTION = re.compile(r"`(\w+)\(\)`\s+in\s+([\w./]+\.[ch])")
SOURCE = re.compile(r"\b(?:boot|mm|ept|hv|guest|tools|tests|docs)/[\w./-]*\w\.(?:[ch]|md|py|yaml|cfg)\b")
TARGET = re.compile(r"(?:^\s*|`)make ([a-z][\w-]+)", re.M)
FOUND = re.compile(r"^## Found\n(.*?)(?=^## )", re.M | re.S)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*\w)(?!\s[KMG]iB)")  # but no sizes
SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
README_LINES = 150


def read(path):
    with open(os.path.join(tap.ROOT, path), encoding="utf-8") as file:
        return file.read()


def defines(path, name):
    """A definition begins in the first column and goes on with a body."""
    return re.search(rf"^[a-z_][^;\n]*\b{name}\([^;{{]*\)\s*\n\{{", read(path), re.M)


class Figures(tap.Sandbox):
    def test_the_table_of_the_figures_says_what_the_file_says(self):
        with open(os.path.join(tap.ROOT, "tests", "machine", "figures.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        lines = read("docs/figures.md").splitlines()
        wanted = ["| " + " | ".join([row["what"], *(f"{int(row[key]):,}" if row[key] else "" for key in ("npt", "ept", "goal")),
                                     row["floor"].replace("/", " / ")]) + " |" for row in rows]
        first = lines.index(wanted[0])
        self.assertEqual(lines[first:first + len(wanted)], wanted)


class Sources(tap.Sandbox):
    def test_each_part_of_the_start_is_explained_in_its_order(self):
        parts = re.findall(r"\tX\([A-Z]+, (\w+)\)", read("hv/base/startup.h"))
        table = read("docs/debugging.md").partition("| part | time for |")[2].partition("\n\n")[0]
        self.assertTrue(parts)
        self.assertEqual(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE), parts)

    def test_each_function_of_the_tour_is_where_the_tour_says(self):
        found = FUNCTION.findall(read("docs/tour.md"))
        self.assertGreater(len(found), 30)
        bad = [f"{name} in {path}" for name, path in found
               if not os.path.exists(os.path.join(tap.ROOT, path)) or not defines(path, name)]
        self.assertEqual(bad, [])

    def test_a_function_that_is_only_called_or_declared_is_not_there(self):
        self.assertTrue(defines("hv/mem/pager.c", "pager_fault"))
        self.assertFalse(defines("hv/mem/pager.h", "pager_fault"))
        self.assertFalse(defines("hv/cpu/vcpu.c", "pager_fault"))

    def test_every_file_that_a_document_names_is_there(self):
        examples = set(re.findall(r"^```(?:c|diff) (\S+)", read("docs/extending.md"), re.M))
        bad = [f"{os.path.basename(doc)}: {path}" for doc in [*DOCS, os.path.join(tap.ROOT, "README")]
               for path in SOURCE.findall(read(doc))
               if path not in examples and "NAME" not in path
               and not os.path.exists(os.path.join(tap.ROOT, path))]
        self.assertEqual(bad, [])

    def test_every_target_that_a_document_names_is_in_the_makefile(self):
        rules = " ".join(read(path) for path in ("Makefile", "tests/host/host.mk", "tests/spin/spin.mk",
                                                 "tests/machine/machine.mk", "tests/fuzz/fuzz.mk"))
        known = set(re.findall(r"^([a-z][\w -]*):", rules, re.M))
        known = {word for line in known for word in line.split()}
        bad = sorted({f"{os.path.basename(doc)}: make {name}" for doc in
                      [*DOCS, os.path.join(tap.ROOT, "README"), os.path.join(tap.ROOT, "ARTIFACT.md")]
                      for name in TARGET.findall(read(doc))
                      if name not in known and not name.startswith("host-test-")})
        self.assertEqual(bad, [])

    def test_the_README_is_short_and_names_each_document(self):
        text = read("README")
        self.assertLessEqual(len(text.splitlines()), README_LINES)
        self.assertEqual([name for name in map(os.path.basename, DOCS)
                          if f"docs/{name}" not in text], [])


class Experiments(tap.Sandbox):
    FOLDERS = sorted(map(os.path.dirname,
                         glob.glob(os.path.join(tap.ROOT, "docs", "experiments", "*", "experiment.yaml"))))

    def each(self):
        for folder in self.FOLDERS:
            yield os.path.basename(folder), folder, read(os.path.join(folder, "README.md"))

    def test_each_says_question_command_findings_and_limits(self):
        self.assertGreaterEqual(len(self.FOLDERS), 7)
        for name, folder, text in self.each():
            question = re.search(r"^question: (.*)", read(os.path.join(folder, "experiment.yaml")), re.M)[1]
            self.assertIn(question, " ".join(text.split()))
            self.assertIn(f"(experiments/{name}/README.md) | {question} |",
                          read("docs/experiments.md"))
            self.assertIn(f"make experiment NAME={name}", text)
            self.assertIn(f"tools/experiment draw {name}", text)
            self.assertIn("![", text)
            self.assertRegex(text, r"(?s)## Limits\n.*not\s+cycles")
            for file in ("figure.svg", "figure.gp", "result.csv", "origin.json"):
                self.assertTrue(os.path.exists(os.path.join(folder, file)), file)
            self.assertLess(os.path.getsize(os.path.join(folder, "figure.svg")), 100_000)

    def test_the_findings_are_three_sentences_whose_numbers_are_in_the_table(self):
        for name, folder, text in self.each():
            found = FOUND.search(text)[1].strip()
            self.assertEqual(len(SENTENCE_END.findall(found)), 3, name)
            cells = set(re.split(r"[,\n]", read(os.path.join(folder, "result.csv"))))
            numbers = [n.replace(",", "") for n in NUMBER.findall(found)]
            self.assertGreater(len(numbers), 2, name)
            self.assertEqual([n for n in numbers if n not in cells], [], name)

    def test_the_artifact_names_each_experiment(self):
        text = read("ARTIFACT.md")
        self.assertEqual([name for name, _, _ in self.each()
                          if f"make reproduce NAME={name}" not in text], [])


if __name__ == "__main__":
    tap.main(__name__)
