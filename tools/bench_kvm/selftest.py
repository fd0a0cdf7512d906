# SPDX-License-Identifier: MIT
"""Builds what runs in the machine, and puts it into one archive: KVM's demand_paging_test from
Linux's source, the proof of the unit, busybox, and the modules."""
import glob
import os

from bench_kvm import initramfs
from debian import empty, run
from machines import Problem

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("bin", "dev", "modules", "proc", "sys", "tmp")
# Linux's own flags, and what makes the program independent of libraries and of this machine.
FLAGS = ("-std=gnu99", "-O2", "-w", "-static", "-pthread", "-no-pie", "-fno-PIE",
         "-fno-stack-protector", "-U_FORTIFY_SOURCE")
BUILD_SECONDS = 300


def compile_with(log, *argv, cwd=None):
    status, text = run("gcc", *argv, cwd=cwd, timeout=BUILD_SECONDS)
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"gcc {' '.join(argv)}\n{text}")
    if status:
        errors = [line for line in text.splitlines() if "error" in line] or ["no reason given"]
        raise Problem(f"gcc failed: {errors[0]}; all of it is in {log}")


def build(tree, folder):
    """Compiles from the unpacked packages in `tree` into `folder`."""
    empty(folder)
    tools = os.path.join(tree, "linux", "tools")
    kvm = os.path.join(tools, "testing", "selftests", "kvm")
    log = os.path.join(folder, "gcc.log")
    include = os.path.join(tree, "usr", "include")
    flags = [*FLAGS, *(f"-I{path}" for path in (
        os.path.join(tools, "include"), os.path.join(tools, "arch", "x86", "include"), include,
        os.path.join(include, "x86_64-linux-gnu"), "include", "include/x86_64", "lib", "../rseq",
        ".."))]
    # Linux builds this one so, lest its memcmp() be compiled to a call of itself.
    override = os.path.join(kvm, "lib", "string_override.c")
    strings = os.path.join(folder, "string_override.o")
    compile_with(log, *flags, "-ffreestanding", "-c", override, "-o", strings, cwd=kvm)
    sources = sorted(path for pattern in ("lib/*.c", "lib/x86_64/*.c", "lib/x86_64/*.S")
                     for path in glob.glob(os.path.join(glob.escape(kvm), pattern)))
    sources.remove(override)
    compile_with(log, *flags, "demand_paging_test.c", *sources, strings,
                 "-o", os.path.join(folder, "demand_paging_test"), cwd=kvm)
    compile_with(log, "-O2", "-static", os.path.join(HERE, "unit.c"),
                 "-o", os.path.join(folder, "unit"))


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def plan(modes, sizes, repeats):
    """What init shall do. The first run in a mode finds the kernel's caches cold: not counted."""
    lines = []
    for mode in modes:
        lines.append(f"warm {mode} {sizes[0]}")
        lines += [f"ran {mode} {size}" for size in sizes for _ in range(repeats)]
    return lines


def pack(tree, folder, lines):
    """Writes folder/initramfs; `lines` are the plan."""
    files = {
        "init": (0o755, read(HERE, "init")),
        "plan": (0o644, "".join(f"{line}\n" for line in lines).encode()),
        "bin/busybox": (0o755, read(tree, "bin", "busybox")),
        "bin/demand_paging_test": (0o755, read(folder, "demand_paging_test")),
        "bin/unit": (0o755, read(folder, "unit")),
    }
    for number, path in enumerate(initramfs.load_order(os.path.join(tree, "lib", "modules"),
                                                       "kvm-amd")):
        files[f"modules/{number}-{os.path.basename(path)}"] = (0o644, read(path))
    with open(os.path.join(folder, "initramfs"), "wb") as file:
        file.write(initramfs.archive(FOLDERS, files))
