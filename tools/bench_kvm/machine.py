# SPDX-License-Identifier: MIT
"""The machine in which Linux KVM is measured: QEMU without KVM, with SVM and nested paging, and
with a clock that counts one nanosecond per instruction. It is gone when boot() is left, however
that happens; if this process is killed, the kernel ends it.
"""
import os
import selectors
import subprocess
import time

from bench_kvm import figures
from machines import Problem

PROGRAM = "qemu-system-x86_64"
# Without a random number instruction runs repeat. Without erms Linux clears and copies pages by
# `rep stosq` and `rep movsq`, 512 iterations of 8 bytes; each counts as one instruction.
CPU = "EPYC,+svm,+npt,+pdpe1gb,-rdrand,-rdseed,-erms"
CMDLINE = "console=ttyS0 quiet nokaslr mitigations=off panic=-1"
MEMORY = "2G"
TAIL = 15


def command(kernel, initramfs, extra):
    return ["setpriv", "--pdeathsig", "KILL", PROGRAM, "-machine", "q35",
            "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
            "-rtc", "base=2024-01-01,clock=vm", "-cpu", CPU, "-smp", "1", "-m", MEMORY,
            "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-kernel", kernel, "-initrd", initramfs, "-append", f"{CMDLINE} {extra}".strip()]


def lines_of(process, timeout, log):
    """Yields the machine's lines until it ends; a Problem if that takes too long."""
    end, rest = time.monotonic() + timeout, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            wait = end - time.monotonic()
            if wait <= 0 or not selector.select(wait):
                raise Problem(f"the machine did not end within {timeout} s, and was stopped; "
                              "give it more by --timeout, or less to do by --sizes")
            data = os.read(process.stdout.fileno(), 65536)
            log.write(data)
            log.flush()
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace").rstrip() for line in whole)
            if not data:
                yield rest.decode("utf-8", "replace").rstrip()
                return


def boot(kernel, folder, extra, timeout, say):
    """Runs the plan; returns what the machine said. Leaves serial.log and qemu.log in `folder`."""
    argv = command(kernel, os.path.join(folder, "initramfs"), extra)
    serial, errors = (os.path.join(folder, name) for name in ("serial.log", "qemu.log"))
    output = figures.Output()
    with open(serial, "wb") as log, open(errors, "wb") as err:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=err) as process:
            try:
                for line in lines_of(process, timeout, log):
                    if news := figures.hear(output, line):
                        say(news)
                status = process.wait(30)
            except subprocess.TimeoutExpired:
                raise Problem("QEMU said all it had to say, and did not end") from None
            finally:
                process.kill()
    if output.failure:
        raise Problem(f"the machine failed: {output.failure}; its last words: {tail(serial)}")
    if not output.done:
        raise Problem(f"the machine ended with status {status} before it was done; its last "
                      f"words: {tail(serial) or tail(errors)}; all of them are in {serial}")
    return output


def tail(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip() for line in file if line.strip()]
    return "".join(f"\n    {line}" for line in lines[-TAIL:])
