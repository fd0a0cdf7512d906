# SPDX-License-Identifier: MIT
"""An experiment's file, which says what to compare, becomes a plan: the runs, each with its knobs.

docs/experiments.md describes the file. Each run is one boot, so that no run sees what another left.
"""
import itertools
import os
import re
from typing import NamedTuple

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(ROOT, "docs", "experiments")
FILE = "experiment.yaml"
MACHINE = {"emulator": "qemu", "icount": 7, "cpus": 1, "memory": 1024, "timeout": 900}
# key: its type, and whether it must be there
KEYS = {"question": (str, True), "guest": ((str, list), True), "sizes": (dict, False),
        "knobs": ((dict, list), True), "repetitions": (int, False), "seed": (int, False),
        "machine": (dict, False), "figures": (list, True), "tolerance": (int, False)}
OURS = {"seed": "seed: and repetitions:", "verbose": "the engine: to 0"}
NAME_UNSAFE = re.compile(r"[^\w.+-]")


class Problem(Exception):
    """What is wrong with an experiment, and the remedy."""


class Run(NamedTuple):
    name: str  # a file's name, too
    knobs: dict  # key: value, both text

    def options(self):
        return " ".join(["verbose=0"] + [f"{key}={value}" for key, value in self.knobs.items()])


class Plan(NamedTuple):
    name: str
    folder: str  # where its file is, and what was measured
    question: str
    machine: dict
    figures: list
    tolerance: int  # percent by which a figure may differ and still be the same finding
    runs: list


def find(name):
    """The file of an experiment, by its name or its path."""
    if os.sep in name or name.endswith(".yaml"):
        return name
    path = os.path.join(HOME, name, FILE)
    if not os.path.exists(path):
        raise Problem(f"{name}: there is no such experiment; there are: {', '.join(shipped())}; "
                      "or name a file that ends in .yaml")
    return path


def shipped():
    return sorted(entry.name for entry in os.scandir(HOME)
                  if os.path.exists(os.path.join(entry.path, FILE)))


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            what = yaml.safe_load(file)
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Problem(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    check(path, what)
    return what


def check(path, what):
    if not isinstance(what, dict):
        raise Problem(f"{path}: lines `key: value` are needed; known: {', '.join(KEYS)}")
    for key, value in what.items():
        if key not in KEYS:
            raise Problem(f"{path}: {key}: no such key; known: {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key][0]) or isinstance(value, bool):
            kinds = KEYS[key][0] if isinstance(KEYS[key][0], tuple) else (KEYS[key][0],)
            raise Problem(f"{path}: {key}: must be {' or '.join(kind.__name__ for kind in kinds)}")
    for key, (_, needed) in KEYS.items():
        if needed and not what.get(key):
            raise Problem(f"{path}: {key}: is missing")
    if what.get("repetitions", 1) < 1:
        raise Problem(f"{path}: repetitions: must be at least 1")
    for key in what.get("machine", {}):
        if key not in MACHINE:
            raise Problem(f"{path}: machine: {key}: no such key; known: {', '.join(MACHINE)}")


def text_of(path, key, value):
    """A knob's value as the configuration has it. YAML takes on and off for truth."""
    if isinstance(value, bool):
        raise Problem(f"{path}: {key}: YAML takes {value} for a truth value; put it in quotes")
    if isinstance(value, (str, int)):
        return str(value)
    raise Problem(f"{path}: {key}: {value!r}: a word or a number is needed, or a list of them")


def products(path, knobs):
    """Each combination of the values."""
    if not isinstance(knobs, dict):
        raise Problem(f"{path}: knobs: {knobs!r}: each must be lines `key: value`")
    for key in knobs:
        if key in OURS:
            raise Problem(f"{path}: knobs: {key}: is set by {OURS[key]}")
    lists = [[text_of(path, key, one) for one in (value if isinstance(value, list) else [value])]
             for key, value in knobs.items()]
    return [dict(zip(knobs, values)) for values in itertools.product(*lists)]


def name_of(knobs, constant):
    words = [f"{key}={value}" for key, value in knobs.items() if key not in constant]
    return NAME_UNSAFE.sub("-", ",".join(words).replace("=", "-").replace(",", "_")) or "run"


def runs_of(path, what):
    """The union of the products. A counted run that is repeated is the same run, so each
    repetition has a seed of its own."""
    first = what.get("seed", 1)
    seeds = [str(seed) for seed in range(first, first + what.get("repetitions", 1))]
    sets = what["knobs"] if isinstance(what["knobs"], list) else [what["knobs"]]
    guests = what["guest"] if isinstance(what["guest"], list) else [what["guest"]]
    common = products(path, what.get("sizes", {}))
    all_knobs = [{"guest": guest, **sizes, **knobs, "seed": seed}
                 for guest in guests for sizes in common for one in sets
                 for knobs in products(path, one) for seed in seeds]
    constant = {key for key in all_knobs[0]
                if len({knobs.get(key) for knobs in all_knobs}) == 1}
    runs = [Run(name_of(knobs, constant), knobs) for knobs in all_knobs]
    if len({run.name for run in runs}) < len(runs):
        raise Problem(f"{path}: knobs: two runs have the same knobs")
    return runs


def make(name):
    path = find(name)
    what = read(path)
    folder = os.path.dirname(os.path.abspath(path))
    stem = os.path.basename(folder) if os.path.basename(path) == FILE else \
        os.path.splitext(os.path.basename(path))[0]
    return Plan(stem, folder, " ".join(what["question"].split()), {**MACHINE, **what.get("machine", {})},
                what["figures"], what.get("tolerance", 5), runs_of(path, what))
