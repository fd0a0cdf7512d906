# SPDX-License-Identifier: MIT
"""L1: Debian's Linux with KVM, and in its initramfs all that the launcher needs to boot Cleave there:
this machine's Python, mtools, QEMU and firmware, with the libraries that they load, and the part of
this tree that the launcher reads. They keep the places that they have here.
"""
import glob
import importlib.util
import os
import py_compile
import re
import shlex
import shutil
import subprocess
import sys

import backports
import cost
import firmware
import debian
from bench_kvm import initramfs, packages
from machines import QEMU, Problem

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGES = ("busybox-static", "systemd-boot-efi")
KERNELS = ("stable", "backports")
TREE = "/cleave"
PYTHON = os.path.realpath(sys.executable)
PROGRAMS = (PYTHON, QEMU, "mformat", "mmd", "mcopy")
ROMS = ("kvmvapic.bin", "linuxboot_dma.bin")
# Of a run of Cleave's, in ms: an exit takes a thousand times as long as elsewhere.
PATIENCE = "timeout=600000"
FOLDERS = ("bin", "dev", "modules", "proc", "sys", "tmp", "usr/bin")
LIBRARY = re.compile(r"(/\S+) \(0x")
# Lists the files of the modules that the launcher imports.
MODULES = """\
import os, runpy, sys
path = sys.argv[1]
sys.path.insert(0, os.path.dirname(path))
sys.argv = ["launch", "--help"]
try:
    runpy.run_path(path, run_name="__main__")
except SystemExit:
    pass
import encodings.ascii, encodings.latin_1
for module in list(sys.modules.values()):
    if getattr(module, "__file__", None):
        print("module:", module.__file__)
"""


def fetch(top, say):
    """L1's packages, unpacked; returns the folder."""
    debs, tree = os.path.join(top, "packages"), os.path.join(top, "tree")
    packages.fetch(debs, say, PACKAGES, "busybox and systemd's boot stub from Debian: about 70 MB")
    packages.unpack(debs, tree, say)
    return tree


def forget(top):
    """So that all is fetched again."""
    for name in ("packages", "tree", backports.FOLDER):
        shutil.rmtree(os.path.join(top, name), ignore_errors=True)


def fetch_kernel(top, kernel, say):
    """The same with a kernel from elsewhere. `kernel`: of KERNELS."""
    usual = fetch(top, say)
    return usual if kernel == KERNELS[0] else \
        backports.fetch(top, os.path.join(top, "packages"), say)


def kernel(tree):
    return debian.find_kernel(tree)


def output(*argv):
    status, text = debian.run(*argv, timeout=60)
    if status:
        raise Problem(f"{argv[0]} failed: {debian.last_line(text)}")
    return text


def libraries(program):
    return LIBRARY.findall(output("ldd", program))


def python_files():
    """Sources and compiled files of the standard library, as far as the launcher needs it. The
    compiled ones are made to be taken as they are, since no file has a time in L1."""
    text = output(PYTHON, "-B", "-c", MODULES, os.path.join(ROOT, "tools", "launch"))
    files = {}
    for path in re.findall(r"(?m)^module: (.*)$", text):
        if path.startswith(ROOT + os.sep):
            continue
        files[path] = path
        if path.endswith(".so"):
            files |= {name: name for name in libraries(path)}
    return files


def compiled(path, folder):
    """(its name, where it is now)."""
    name = importlib.util.cache_from_source(path)
    made = os.path.join(folder, name.lstrip("/"))
    py_compile.compile(path, cfile=made, doraise=True,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return name, made


def program_files():
    files = {}
    for name in PROGRAMS:
        path = shutil.which(name)
        if not path:
            raise Problem(f"{name} is not installed: run tools/setup run")
        files |= {path: path, **{library: library for library in libraries(path)}}
    return files


def data_files():
    """QEMU's own, and the firmware that the launcher will choose."""
    found = firmware.for_qemu()
    if not found:
        raise Problem("there is no UEFI firmware for QEMU: run tools/setup run")
    wanted = [path for path in (found.code, found.variables) if path]
    wanted += [path for folder in firmware.descriptor_folders() if os.path.isdir(folder)
               for path in glob.glob(os.path.join(folder, "*.json"))]
    wanted += [path for name in ROMS if os.path.exists(path := f"/usr/share/qemu/{name}")]
    wanted += [path for name in ("gconv-modules.cache", "IBM850.so")  # mtools' names of files
               for path in glob.glob(f"/usr/lib/*/gconv/{name}")]
    return {path: path for path in wanted}


def cleave_files(build, case):
    """The launcher with what it reads, and what it boots."""
    tools = ["hv/trace_abi.h", *(os.path.join("tools", name) for name in ("launch", "mkimage", "places"))]
    tools += [os.path.relpath(path, ROOT) for pattern in ("*.py", "tracing/*.py")
              for path in glob.glob(os.path.join(ROOT, "tools", pattern))]
    files = {f"{TREE}/{name}": os.path.join(ROOT, name) for name in tools}
    checker = os.path.join(build, "check-config")
    files |= {at(path): path for part in parts(case)
              for path in (part.image, part.config, checker, *part.payloads)}
    return files | {library: library for library in libraries(checker)}


def at(path):
    """Where a file of cleave_files() is in L1."""
    return f"{TREE}/{os.path.basename(path)}"


def parts(case):
    """What runs in L1, one after the other."""
    return [case.before, case] if case.before else [case]


def command(case, memory, timeout):
    """What starts the launcher in L1: it chooses the machine itself."""
    lines = [shlex.join([PYTHON, f"{TREE}/tools/launch", "--efi", at(part.image), "--config",
                         at(part.config), "--cpus", str(part.cpus), "--memory", str(memory),
                         "--timeout", str(timeout), "--out", f"/tmp/{part.name}", "--set", PATIENCE,
                         *map(at, part.payloads)]) for part in parts(case)]
    return " &&\n".join(lines) + "\n"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def pack(tree, folder, build, case, module, memory, timeout):
    """The initramfs' bytes."""
    python = python_files()
    sources = {**python, **program_files(), **data_files(), **cleave_files(build, case)}
    sources |= dict(compiled(path, folder) for path in python if path.endswith(".py"))
    files = {name.lstrip("/"): (0o755, read(path)) for name, path in sources.items()}
    files["init"] = (0o755, read(os.path.join(HERE, "init")))
    files["command"] = (0o644, command(case, memory, timeout).encode())
    if case.before:
        files["windows"] = (0o644, cost.request().encode())
    files["bin/busybox"] = (0o755, read(os.path.join(tree, "bin", "busybox")))
    order = initramfs.load_order(os.path.join(tree, "lib", "modules"), module)
    for number, path in enumerate(order):
        files[f"modules/{number}-{os.path.basename(path)}"] = (0o644, read(path))
    folders = set(FOLDERS)
    for name in files:
        while name := os.path.dirname(name):
            folders.add(name)
    return initramfs.archive(sorted(folders), files)
