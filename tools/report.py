# SPDX-License-Identifier: MIT
"""report.json: one document for each boot, with what was run, where, and every run's figures.

The figures are the image's own, from its lines `cleave-json: {...}`; they are in `runs`, in the
order in which they came.
"""
import datetime
import json
import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def commit():
    """Of the sources around this tool, "unknown" without a repository of their own."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--tags"], cwd=ROOT,
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=10,
                              env={**os.environ, "GIT_CEILING_DIRECTORIES": os.path.dirname(ROOT)})
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "unknown"


def read(line):
    """A line of the image's own, as it is if it got garbled."""
    try:
        return json.loads(line)
    except ValueError:
        return {"unreadable": line}


class Report:
    def __init__(self, paths, **what):
        """@what: the document's first members"""
        self.paths = paths
        self.document = {"commit": commit(),
                         "started": datetime.datetime.now().astimezone().isoformat(), **what,
                         "verdict": None, "outcome": "", "seconds": None, "runs": []}

    def add(self, **what):
        self.document.update(what)

    def add_run(self, line):
        self.document["runs"].append(read(line))

    def add_boot(self, line):
        self.add(boot=read(line))

    def migrations(self):
        """The runs that came so far that a trace has something of them."""
        return [run for run in self.document["runs"] if "at_switch" in run]

    def write(self):
        """Raises OSError. A reader never sees half of one."""
        self.document["runs"] = self.document.pop("runs")  # last
        for path in self.paths:
            if os.path.exists(path) and not os.path.isfile(path):  # /dev/null, a pipe
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(self.document, file, indent=1)
                continue
            fd, temp = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".report-")
            try:
                with open(fd, "w", encoding="utf-8") as file:
                    json.dump(self.document, file, indent=1)
                    file.write("\n")
                os.chmod(temp, 0o644)
                os.replace(temp, path)
            except BaseException:
                os.unlink(temp)
                raise
