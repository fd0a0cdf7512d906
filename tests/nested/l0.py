# SPDX-License-Identifier: MIT
"""L0: the emulators whose CPU has what KVM in L1 needs, and how each starts L1.

QEMU emulates SVM and starts a kernel by itself. Bochs emulates VMX and starts what its firmware
finds on the disk, so there L1 is one file: systemd's boot stub with kernel, command line, initramfs.
"""
import gzip
import os
import re
import subprocess
import sys
from typing import Callable, NamedTuple

import debian
import exits
import l1
import machines
import mended_qemu
from machines import Problem

CMDLINE = "console=ttyS0,115200 quiet loglevel=4 panic=-1 mitigations=off nokaslr"
MIB = 1 << 20


class L0(NamedTuple):
    module: str  # KVM's in L1
    extension: str  # as the launcher names it
    l2_memory: int  # MiB
    name_of: Callable  # exit reason -> name
    build: Callable  # (top, launch, say), before the first use
    command: Callable  # (top, tree, folder, initramfs, case) -> argv


# A little more than the 3 GiB of the launcher's machine, and L1's own.
QEMU_MEMORY = 5120
QEMU_CPU = "EPYC,+svm,+npt,+pdpe1gb"


def qemu_command(top, tree, folder, archive, case):
    """With instructions counted an instruction takes 1 ns, and an idle CPU's time is skipped."""
    with open(os.path.join(folder, "initramfs"), "wb") as file:
        file.write(archive)
    threads = "multi" if case.cpus_of_l1 > 1 and not case.before else "single"
    count = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm"]
    return [mended_qemu.path(top), "-L", "/usr/share/qemu", "-L", "/usr/share/seabios",
            "-machine", "q35", "-accel", f"tcg,thread={threads}", *(count if case.before else []),
            "-cpu", QEMU_CPU, "-smp", str(case.cpus_of_l1), "-m", f"{QEMU_MEMORY}M",
            "-nodefaults", "-no-reboot", "-display", "none",
            "-kernel", l1.kernel(tree), "-initrd", "initramfs", "-append", CMDLINE,
            "-serial", "file:serial.log"]


# At 20 MHz a nested entry takes longer than a time slice of Cleave's; the clock only sets the pace
# of what waits for time. Bochs' firmware has no table that tells the TSC's frequency.
BOCHS_MHZ = 200
BOCHS_MEMORY = 4096
BOCHS_MODEL = "corei7_skylake_x"
BOCHS_CMDLINE = (f"{CMDLINE} tsc_early_khz={BOCHS_MHZ * 1000} tsc=reliable no_timer_check nowatchdog "
                 "audit=0 clearcpuid=erms,fsrm")
STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
RELEASE = "ID=debian\nVERSION_ID=12\n"


def bochs_build(_top, _launch, _say):
    if missing := list(machines.bochs_missing()):
        raise Problem(f"Bochs needs {', and '.join(missing)}: run tools/setup run")


def unified_image(tree, folder, archive):
    """systemd-stub(7): each section where nothing else is."""
    parts = (("osrel", RELEASE.encode(), 0x20000), ("cmdline", BOCHS_CMDLINE.encode(), 0x30000),
             ("linux", l1.read(l1.kernel(tree)), 0x2000000),
             ("initrd", gzip.compress(archive, 6), 0x3000000))
    argv = ["objcopy"]
    for name, data, address in parts:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        argv += ["--add-section", f".{name}={name}",
                 "--change-section-vma", f".{name}={address:#x}"]
    status, text = debian.run(*argv, os.path.join(tree, STUB), "l1.efi", cwd=folder)
    if status:
        raise Problem(f"objcopy failed: {debian.last_line(text)}")


def bochs_command(_top, tree, folder, archive, case):
    if case.cpus_of_l1 != 1:
        raise Problem("L1 has one CPU with VMX: under OVMF Bochs gives it no ACPI tables; "
                      "leave out --l1-cpus, or name cases with SVM")
    unified_image(tree, folder, archive)
    mkimage = os.path.join(l1.ROOT, "tools", "mkimage")
    subprocess.run([sys.executable, mkimage, "disk.img", "l1.efi", "osrel"], cwd=folder, check=True,
                   stdin=subprocess.DEVNULL)
    argv = machines.bochs_command(
        machines.Run(folder, 1, BOCHS_MEMORY, BOCHS_MODEL), BOCHS_MODEL)
    path = os.path.join(folder, "bochsrc")
    with open(path, encoding="ascii") as file:
        text, count = re.subn(r"\bips=\d+", f"ips={BOCHS_MHZ * 1000000}", file.read())
    if count != 1:
        raise Problem(f"{path} does not say ips= once")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return argv


MACHINES = {
    "svm": L0("kvm-amd", "svm", 3072, exits.svm_name, mended_qemu.build, qemu_command),
    "vmx": L0("kvm-intel", "vmx", 3072, exits.vmx_name, bochs_build, bochs_command),
}
