# SPDX-License-Identifier: MIT
"""Builds what runs in the machine, and puts it into one archive: KVM's own tests from Linux's
source, the proof of the unit, busybox, and the modules."""
import glob
import os

from bench_kvm import initramfs, log
from bench_kvm.packages import MODULE
from debian import empty, run
from machines import Problem

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("bin", "dev", "modules", "proc", "sys", "tmp")
TESTS = {"demand": "demand_paging_test", "log": "dirty_log_perf_test",
         "access": "access_tracking_perf_test"}
# Linux's own flags, and what makes the program independent of libraries and of this machine.
FLAGS = ("-std=gnu99", "-O2", "-w", "-D_GNU_SOURCE=", "-DCONFIG_64BIT", "-fno-strict-aliasing",
         "-static", "-pthread", "-no-pie", "-fno-PIE", "-fno-stack-protector", "-U_FORTIFY_SOURCE")
WRAPPED = ("ioctl", "open", "close", "new_guest_random_state")  # by the probe
BUILD_SECONDS = 300


def compile_with(log_file, *argv, cwd=None):
    status, text = run("gcc", *argv, cwd=cwd, timeout=BUILD_SECONDS)
    with open(log_file, "a", encoding="utf-8") as file:
        file.write(f"gcc {' '.join(argv)}\n{text}")
    if status:
        errors = [line for line in text.splitlines() if "error" in line] or ["no reason given"]
        raise Problem(f"gcc failed: {errors[0]}; all of it is in {log_file}")


def build(tree, folder, tests):
    """Compiles from the unpacked packages in `tree` into `folder`. `tests`: of TESTS."""
    empty(folder)
    tools = os.path.join(tree, "linux", "tools")
    kvm = os.path.join(tools, "testing", "selftests", "kvm")
    errors = os.path.join(folder, "gcc.log")
    include = os.path.join(tree, "usr", "include")
    flags = [*FLAGS, *(f"-I{path}" for path in (
        os.path.join(tools, "include"), os.path.join(tools, "arch", "x86", "include"), include,
        os.path.join(include, "x86_64-linux-gnu"), "include", "include/x86_64", "lib", "../rseq",
        ".."))]
    # Linux builds this one so, lest its memcmp() be compiled to a call of itself.
    override = os.path.join(kvm, "lib", "string_override.c")
    strings = os.path.join(folder, "string_override.o")
    compile_with(errors, *flags, "-ffreestanding", "-c", override, "-o", strings, cwd=kvm)
    sources = sorted(path for pattern in ("lib/*.c", "lib/x86_64/*.c", "lib/x86_64/*.S")
                     for path in glob.glob(os.path.join(glob.escape(kvm), pattern)))
    sources.remove(override)
    probe = os.path.join(folder, "probe.o")
    compile_with(errors, *flags, "-c", os.path.join(HERE, "probe.c"), "-o", probe, cwd=kvm)
    for test in tests:
        probed = [] if test == "demand" else [probe, *(f"-Wl,--wrap={name}" for name in WRAPPED)]
        compile_with(errors, *flags, f"{TESTS[test]}.c", *sources, strings, *probed,
                     "-o", os.path.join(folder, TESTS[test]), cwd=kvm)
    compile_with(errors, "-O2", "-static", os.path.join(HERE, "unit.c"),
                 "-o", os.path.join(folder, "unit"))


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def demand_plan(modes, sizes, repeats):
    """Lines for init. The first run in a mode finds the kernel's caches cold: not counted."""
    lines = []
    for mode in modes:
        lines.append(f"warm {mode} {sizes[0]}")
        lines += [f"ran {mode} {size}" for size in sizes for _ in range(repeats)]
    return lines


def log_options(tree):
    """The options that make the unpacked dirty_log_perf_test write as much as log.PERCENTS say."""
    path = os.path.join(tree, "linux", "tools", "testing", "selftests", "kvm")
    return log.options_of(read(path, "dirty_log_perf_test.c").decode())


def pack(tree, folder, lines, module=MODULE):
    """Writes folder/initramfs; `lines` are the plan. `module`: to load, with what it needs; None:
    all is in the kernel."""
    programs = [name for name in (*TESTS.values(), "unit")
                if os.path.exists(os.path.join(folder, name))]
    files = {
        "init": (0o755, read(HERE, "init")),
        "plan": (0o644, "".join(f"{line}\n" for line in lines).encode()),
        "bin/busybox": (0o755, read(tree, "bin", "busybox")),
        **{f"bin/{name}": (0o755, read(folder, name)) for name in programs},
    }
    modules = initramfs.load_order(os.path.join(tree, "lib", "modules"), module) if module else []
    for number, path in enumerate(modules):
        files[f"modules/{number}-{os.path.basename(path)}"] = (0o644, read(path))
    with open(os.path.join(folder, "initramfs"), "wb") as file:
        file.write(initramfs.archive(FOLDERS, files))
