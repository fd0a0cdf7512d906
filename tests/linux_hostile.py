# SPDX-License-Identifier: MIT
"""Guests that are no Linux, or none that boots: each is one clear line that names the thing and what
helps. Most are made here, of a header and a few bytes of code; they share two boots."""
import os
import struct
import tempfile
from typing import NamedTuple

from linux_boot import MIB, Plan, boot, launch

HEADER, CODE_AT, ENTRY, BYTES = 0x1f1, 0x400, 0x200, 0x1000
BOOT_PARAMS_END = 0x290


def kernel(code=b"\xf4", version=0x20f, loadflags=1, init_size=MIB, cut=0, longest=2047):
    """A bzImage that executes `code` in 64-bit mode. `cut`: bytes that its end lacks."""
    image = bytearray(CODE_AT + BYTES)
    image[0x1f1] = CODE_AT // 512 - 1
    struct.pack_into("<I", image, 0x1f4, BYTES // 16)
    image[0x1fe:0x202] = bytes((0x55, 0xaa, 0xeb, BOOT_PARAMS_END - 0x202))
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, version)
    struct.pack_into("<IIBBHI", image, 0x22c, 0x7fffffff, 2 * MIB, 1, 21, loadflags, longest)
    struct.pack_into("<QI", image, 0x258, 16 * MIB, init_size)
    image[CODE_AT + ENTRY:CODE_AT + ENTRY + len(code)] = code
    return bytes(image[:len(image) - cut])


def out(port, value):
    """mov dx, port; mov al, value; out dx, al"""
    return b"\x66\xba" + struct.pack("<H", port) + bytes((0xb0, value, 0xee))


STOP = b"\xfa\xf4\xeb\xfc"  # cli; hlt; again
OFF, RESET = out(0x510, 0x34), out(0x512, 1)
SAYS, FULL = 0x5c0, 64 * MIB
TRIPLE = b"\x0f\x01\x1d\x05\x00\x00\x00\x0f\x0b\x90\x90\x90" + bytes(16)  # lidt of zeros; ud2
OUTSIDE = b"\x48\xa1" + struct.pack("<Q", FULL + 4096)  # mov rax, [...]


class Hostile(NamedTuple):
    name: str  # of the guest, and of its run
    claim: str
    words: str  # what is said of it
    kernel: bytes
    initrd: bytes = b""
    command_line: bytes = b""


# What is seen before anything runs: by the launcher, and by the machine where that did not look.
UNFIT = (
    Hostile("cut", "a kernel that is cut off", "the kernel is cut off: its file is shorter than setup_sects "
            "and syssize say: copy it once more", kernel(cut=1)),
    Hostile("stub", "a kernel of which only the header is left", "the kernel is cut off in its header: copy it "
            "once more", kernel()[:0x230]),
    Hostile("none", "what is not a kernel", "it is not a Linux kernel (no HdrS in it): take a bzImage, as "
            "/boot/vmlinuz", b"\x7fELF" + bytes(8000),
            command_line=b"console=ttyS0"),
    Hostile("old", "a kernel that is too old", "the kernel is too old (boot protocol below 2.12): take Linux "
            "3.8 or later", kernel(version=0x20a)),
    Hostile("bits32", "a kernel of 32 bits", "no 64-bit entry (XLF_KERNEL_64): take one for x86-64",
            kernel(loadflags=2)),
    Hostile("large", "a kernel that is larger than the memory", "the kernel does not fit into the guest's memory "
            "(pref_address, init_size): make region= larger", kernel(init_size=FULL)),
    Hostile("initrd", "an initrd that does not fit", "the initrd does not fit into the guest's memory behind the "
            "kernel: make region= larger", kernel(init_size=47 * MIB), initrd=bytes(2 * MIB)),
    Hostile("words", "a command line that is too long", "the command line is longer than the kernel takes "
            "(cmdline_size), with tsc_early_khz= before it: make it shorter", kernel(longest=255),
            command_line=b"x" * 240),
)
CONSOLE = "; its last words are on its console"
# What runs, and what its run ends with; None: it passes.
WILD = (
    Hostile("triple", "a kernel that takes a triple fault", "a vCPU was stopped by a fault", kernel(TRIPLE)),
    Hostile("outside", "a kernel that reads outside of its memory", "a vCPU was stopped by a fault",
            kernel(OUTSIDE)),
    Hostile("off", "a kernel that powers off at once", "the guest powered off without a verdict: its user space "
            "must write P to port 0x5c0 before", kernel(OFF + STOP)),
    Hostile("reset", "a kernel that resets at once", "the guest reset its machine" + CONSOLE,
            kernel(RESET + STOP)),
    Hostile("halts", "a kernel that halts with interrupts off",
            "all vCPUs halted with interrupts off" + CONSOLE, kernel(STOP)),
    Hostile("fails", "a guest that says that it failed", "the guest's own checks failed" + CONSOLE,
            kernel(out(SAYS, ord("F")) + OFF + STOP)),
    Hostile("hangs", "a kernel that does nothing for ever", "the guest did not finish in time",
            kernel(b"\xeb\xfe")),
    Hostile("good", "a guest that says that it passed", None, kernel(out(SAYS, ord("P")) + OFF + STOP)),
)


def write_guest(folder, hostile):
    """Its files' paths."""
    parts = {"": hostile.kernel, "-initrd": hostile.initrd, "-cmdline": hostile.command_line}
    paths = []
    for suffix, data in parts.items():
        if data:
            paths.append(os.path.join(folder, f"{hostile.name}{suffix}.bin"))
            with open(paths[-1], "wb") as file:
                file.write(data)
    return paths


def config_of(folder, some):
    path = os.path.join(folder, "hostile.cfg")
    with open(path, "w", encoding="ascii") as file:
        file.write("job=linux\nregion=64M\nverbose=0\ntimeout=2000\n")
        file.writelines(f"[{h.name}]\nguest={h.name}\n" for h in some)
    return path


def say(claim, why):
    print(f"not ok {claim} - {why}" if why else f"ok {claim}", flush=True)
    return not why


def refused_before(args, folder, hostile):
    """By the launcher, in one line, before a machine is made."""
    status, lines = launch(args, Plan("hostile"), write_guest(folder, hostile), os.path.join(folder, "none"),
                           config=config_of(folder, [hostile]))
    said = [line for line in lines if line.startswith("launch: ")]
    good = status == 2 and len(said) == 1 and f"[{hostile.name}]: guest={hostile.name}: " in said[0] and \
        said[0].endswith(hostile.words)
    return say(f"hostile/{hostile.claim} is refused before a machine is started",
               "" if good else f"status {status}: {said}")


def why_wrong(lines, hostile, unfit):
    cases = [line for line in lines if line.startswith(f"cleave: case {hostile.name}: ")]
    ended = "FAIL Linux could not be loaded" if unfit else f"FAIL {hostile.words}" if hostile.words else "pass"
    if cases != [f"cleave: case {hostile.name}: {ended}"]:
        return f"expected '{ended}', the machine says {cases}"
    kernel_lines = [line for line in lines if line.startswith(f"cleave: kernel {hostile.name}.bin: ")]
    if unfit and (len(kernel_lines) != 1 or not kernel_lines[0].endswith(hostile.words)):
        return f"the machine says {kernel_lines}"
    return ""


def all_in_one_boot(args, folder, some):
    """Each is a run of its own, and harms no other: the last one passes."""
    files = [path for hostile in some for path in write_guest(folder, hostile)]
    status, lines = launch(args, Plan("hostile", cpus=2, memory=512, seconds=240), files,
                           os.path.join(folder, "run"), "--unchecked", config=config_of(folder, some))
    good = [say(f"hostile/{h.claim} {'is refused by the machine' if h in UNFIT else 'ends as it should'}",
                why_wrong(lines, h, h in UNFIT)) for h in some]
    return all(good) & say("hostile/the machine's verdict is FAIL, and the launcher's status is 1", "" if status == 1
                           and "cleave: verdict FAIL" in lines else f"status {status}")


def panics(args):
    """Debian's kernel, which finds no first process: it panics, and resets."""
    b = boot(args, Plan("panic", settings={"region": "256M"}, append="rdinit=/none root=/dev/none", memory=768,
                        seconds=240))
    claim = "hostile/a kernel that panics ends the run with FAIL, and the last line says why"
    if isinstance(b, str):
        return say(f"{claim} # SKIP {b.splitlines()[-1]}", "")
    good = b.status == 1 and "; its guest: Kernel panic - not syncing: " in b.lines[-1] and \
        any(f"FAIL the guest reset its machine{CONSOLE}" in line for line in b.lines)
    return say(claim, "" if good else f"status {b.status}: {b.lines[-1]}")


def hostile_boots(args):
    """Return: is all good?"""
    where = os.path.join(args.build, "linux", "test")
    os.makedirs(where, exist_ok=True)
    good = True
    with tempfile.TemporaryDirectory(prefix="hostile-", dir=where) as folder:
        for hostile in UNFIT:
            good &= refused_before(args, folder, hostile)
        for some in (UNFIT, WILD):  # a boot disk has no room for the files of all
            good &= all_in_one_boot(args, folder, some)
    return good & panics(args)
