# SPDX-License-Identifier: MIT
"""unittest with TAP output, scripts without .py as modules, and a folder to play in."""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load(path):
    """The script at `path`, named from the root, as a module."""
    path = os.path.join(ROOT, path)
    if os.path.dirname(path) not in sys.path:
        sys.path.insert(0, os.path.dirname(path))
    name = os.path.basename(path).replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(f"script_{name}", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def documented_keys():
    """{key: default} of docs/configuration.md: `make docs` writes it from the table of the keys."""
    with open(os.path.join(ROOT, "docs", "configuration.md"), encoding="utf-8") as file:
        return dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", file.read(), re.MULTILINE))


class Sandbox(unittest.TestCase):
    """A folder of its own for each test, and our tools."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="test-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_tool(self, tool, *args, **env):
        return subprocess.run([os.path.join(ROOT, tool), *args], text=True, timeout=60,
                              env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class TapResult(unittest.TestResult):
    """A test's name is its claim: test_two_runs_at_once becomes "two runs at once"."""

    @staticmethod
    def _name(test):
        return test.id().rpartition(".")[2].removeprefix("test_").replace("_", " ")

    def _fail(self, test, error):
        lines = self._exc_info_to_string(error, test).splitlines()
        print(f"not ok {self._name(test)} - {lines[-1] if lines else error[1]}")
        for line in lines:
            print(f"# {line}")
        sys.stdout.flush()

    def addSuccess(self, test):
        print(f"ok {self._name(test)}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addSkip(self, test, reason):
        print(f"ok {self._name(test)} # SKIP {reason}", flush=True)


def main(module_name):
    """Runs the module's tests, or those whose names contain one of the arguments."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]] or None
    result = TapResult()
    loader.loadTestsFromModule(sys.modules[module_name]).run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
