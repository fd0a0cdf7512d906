# SPDX-License-Identifier: MIT
"""The machines that Cleave can be booted on, and how one of them is chosen.

Each is a row of MACHINES: what it needs to be installed, how Cleave is told to end it, and a
function that prepares a run's folder and returns the command line. Emulators run inside that
folder and are given relative names only, so a path with spaces or commas cannot hurt.
"""
import os
import re
import shutil
import subprocess
import sys
from typing import Callable, NamedTuple, Optional

import console
import firmware

HEADS, SECTORS = 16, 63
CARD_PORT = 40000  # Bochs' card receives there, and sends to the next one
CYLINDER_BYTES = HEADS * SECTORS * 512

BOCHS_HOST_MEMORY_MAX = 2048
QEMU = "qemu-system-x86_64"
# Where QEMU counts instructions: the TSC counts their nanoseconds.
COUNTED = "tsc_khz=1000000"
TRACE = "trace.bin"  # in the run's folder
LINK = "link.sock"  # where the machine takes frames; it sends them to
WIRE = "link.wire"  # this one, which tools/wire makes
SHARED = "../link.shm"  # memory that two machines share, if their link is no card
GDB_SOCKET = "gdb.sock"  # in the run's folder: nobody else's, and no port to be found for it


class Problem(Exception):
    """Something the user can put right; the text names the thing and the remedy."""


def cannot(what, path, error):
    return Problem(f"cannot {what} {path}: {error.strerror or error}; "
                   "make that place writable, or name another")


class Run(NamedTuple):
    """What a machine is made from."""
    folder: str
    cpus: int
    memory: int  # MiB
    cpu_model: Optional[str]  # instead of the machine's own choice
    icount: Optional[int] = None  # an instruction takes 2^icount ns; None: time is the host's
    gdb: bool = False  # QEMU's stub listens at GDB_SOCKET
    console: Optional[str] = None  # where this serial port leads to, in the machine's words
    monitor: Optional[str] = None  # likewise
    trace: bool = False  # this one leads to the file TRACE
    link: Optional[str] = None  # the address of a network card whose cable leads to LINK and WIRE; or
    # "ivshmem": memory that is shared


PORTS = {"console": 2, "trace": 3, "monitor": 4}  # serial ports beside COM1, by the member of Run: COMn


def ports(run):
    return [(name, number, getattr(run, name)) for name, number in PORTS.items()
            if getattr(run, name)]


class Machine(NamedTuple):
    title: str
    offers: str  # what of virtualization, if that does not depend on the host
    exit_way: str  # the value of exit=
    missing: Callable  # -> what it needs and is not there, in words
    command: Callable  # Run -> argv
    statuses: Optional[dict]  # exit status -> verdict; None: the status says nothing
    debugging: str
    version: Callable  # the run's folder -> the emulator with its version
    clock: Callable  # Run -> what the machine's time follows
    console: Callable  # what a serial port leads to: console.Socket or console.Terminal
    defaults: str = ""  # load options, where the user's configuration says nothing of them


class Facts(NamedTuple):
    """What decides where to boot."""
    qemu: bool  # it is installed
    kvm_error: str  # why /dev/kvm cannot be used; empty: it can
    extension: str  # what the CPU offers to us: "vmx", "svm" or ""
    nested: bool  # and KVM passes it on to guests


KVM_MODULES = {"vmx": "kvm_intel", "svm": "kvm_amd"}


def gather(device="/dev/kvm", cpuinfo="/proc/cpuinfo", modules="/sys/module", qemu=QEMU):
    flags = _cpu_flags(cpuinfo)
    extension = next((name for name in KVM_MODULES if name in flags), "")
    nested = os.path.join(modules, KVM_MODULES.get(extension, ""), "parameters", "nested")
    return Facts(shutil.which(qemu) is not None, _open_error(device), extension,
                 _read(nested).strip() in ("Y", "y", "1"))


def _open_error(device):
    """Opens it, since a device node may be there without its driver."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        return ""
    except OSError as error:
        return f"{device}: {error.strerror}"


def _cpu_flags(cpuinfo):
    for line in _read(cpuinfo).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return value.split()
    return []


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def no_kvm(facts):
    """Why KVM will not do, or "". It needs all three facts: the device alone opens on hosts whose
    CPU has nothing to give to a guest."""
    if facts.kvm_error:
        return facts.kvm_error
    if not facts.extension:
        return "this CPU offers neither vmx nor svm to guests"
    if not facts.nested:
        return f"nesting is off, see {KVM_MODULES[facts.extension]}'s parameter nested"
    return ""


def choose(wanted, facts, option=""):
    """Returns (key of MACHINES, why): QEMU with KVM, QEMU without, Bochs. `option`: the name of one
    that only QEMU without KVM has."""
    if wanted == "kvm" and facts.kvm_error:
        raise Problem(f"KVM was asked for but cannot be used: {facts.kvm_error}; "
                      "join the group kvm, load kvm_intel or kvm_amd, or use MACHINE=qemu")
    if option and wanted not in ("auto", "qemu"):
        raise Problem(f"{option} is QEMU's own, without KVM: not to be had with MACHINE={wanted}")
    if wanted != "auto":
        return wanted, "asked for"
    if option:
        return "qemu", f"for {option}"
    if not facts.qemu:
        return "bochs", f"{QEMU} is not installed"
    if why := no_kvm(facts):
        return "qemu", f"no KVM: {why}"
    return "kvm", f"this host passes {facts.extension} on to guests"


def private_network():
    """A prefix that runs a command in a network of its own, or [] if that is not allowed here.
    Bochs' rfb display listens on every interface, without a password, and cannot be told not to."""
    for prefix in (["unshare", "-n", "--"], ["unshare", "-c", "-n", "--"]):
        try:
            done = subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError:
            break
        if done.returncode == 0:
            return prefix
    return []


# ips only sets the pace of devices: at 10 million a character takes the UART 900 instructions.
# With sync=none time is counted in instructions alone, so the same run gives the same figures.
BOCHSRC = """\
plugin_ctrl: speaker=0
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=rom.bin
vgaromimage: file=vga.bin
memory: guest={memory}, host={host_memory}
cpu: model={model}, count={cpus}, ips=10000000, reset_on_triple_fault=0
clock: sync=none
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=disk.img, mode=flat, cylinders={cylinders}, heads={heads}, spt={spt}
boot: disk
com1: enabled=1, mode=file, dev=serial.log
{ports}{link}sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
port_e9_hack: enabled=0
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
log: bochs.log
"""


def bochs_missing():
    if not shutil.which("bochs"):
        yield "bochs"
    if not firmware.for_bochs():
        yield f"a UEFI firmware (looked for {firmware.looked_for('rom', 'flash')})"
    if not firmware.vga_bios():
        yield f"a VGA BIOS (looked for {firmware.looked_for('vga-bios')})"


def bochs_version(folder):
    """It says so itself, on its standard output."""
    match = re.search(r"Bochs x86 Emulator \d[\w.]*\w", _read(os.path.join(folder, "emulator.log")))
    return match.group(0) if match else "Bochs, of a version that it does not tell"


def join(parts, path):
    with open(path, "wb") as to:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, to)


def bochs_ports(run):
    return "".join(f"com{number}: enabled=1, mode=file, dev={TRACE}\n" if name == "trace" else
                   f"com{number}: enabled=1, mode=term, dev={where}\n"
                   for name, number, where in ports(run))


def bochs_link(run):
    return f"e1000: enabled=1, mac={run.link}, ethmod=socket, ethdev={CARD_PORT}\n" if run.link else ""


def bochs_command(run, model):
    join(firmware.for_bochs(), os.path.join(run.folder, "rom.bin"))
    join([firmware.vga_bios()], os.path.join(run.folder, "vga.bin"))
    cylinders = os.path.getsize(os.path.join(run.folder, "disk.img")) // CYLINDER_BYTES
    text = BOCHSRC.format(memory=run.memory, host_memory=min(run.memory, BOCHS_HOST_MEMORY_MAX),
                          model=run.cpu_model or model, cpus=run.cpus,
                          cylinders=cylinders, heads=HEADS, spt=SECTORS, ports=bochs_ports(run),
                          link=bochs_link(run))
    with open(os.path.join(run.folder, "bochsrc"), "w", encoding="ascii") as file:
        file.write(text)
    # Debian's Bochs stops at its debugger's prompt unless told to continue.
    with open(os.path.join(run.folder, "debugger.rc"), "w", encoding="ascii") as file:
        file.write("c\n")
    argv = ["bochs", "-q", "-f", "bochsrc", "-rc", "debugger.rc"]
    if run.link == "ivshmem":
        raise Problem("Bochs has no ivshmem: use MACHINE=qemu, or LINK=e1000")
    if not run.link:
        return [*private_network(), *argv]
    # Its card speaks to two ports. Only in a network of its own are they sure to be free.
    if not (alone := private_network()):
        raise Problem("Bochs needs a network of its own for a link: run as root, or use MACHINE=qemu")
    return [*alone, sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "patch-cable"),
            str(CARD_PORT), *argv]


def bochs_vmx_command(run):
    return bochs_command(run, "corei7_skylake_x")


def bochs_svm_command(run):
    return bochs_command(run, "ryzen")


def qemu_missing():
    if not shutil.which(QEMU):
        yield QEMU
    if not firmware.for_qemu():
        yield (f"a UEFI firmware (looked for descriptors in "
               f"{', '.join(firmware.descriptor_folders())}, and for "
               f"{firmware.looked_for('flash')})")


def qemu_version(_folder):
    try:
        done = subprocess.run([QEMU, "--version"], text=True, stdin=subprocess.DEVNULL, timeout=10,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "QEMU, of a version that it does not tell"
    return done.stdout.partition("\n")[0].strip()


def drive(what, file_format, path):
    """A comma in a value is written twice."""
    return ["-drive", f"if=pflash,format={file_format},{what}file={path.replace(',', ',,')}"]


def firmware_options(run, found):
    if not found.flash:
        return ["-bios", found.code]
    options = drive("readonly=on,", found.code_format, found.code) if found.code else []
    if found.variables:
        shutil.copyfile(found.variables, os.path.join(run.folder, "vars.fd"))
        options += drive("", found.variables_format, "vars.fd")
    return options


def qemu_ports(run):
    return [part for name, number, where in ports(run)
            for part in ("-chardev", f"file,id={name},path={TRACE}" if name == "trace" else
                         f"socket,id={name},path={where}",
                         "-device", f"isa-serial,chardev={name},index={number - 1}")]


def qemu_link(run):
    """A card without a ROM, from which the firmware would try to boot."""
    if run.link == "ivshmem":
        return ["-object", f"memory-backend-file,id=link,size=1M,mem-path={SHARED},share=on",
                "-device", "ivshmem-plain,memdev=link"]
    return ["-netdev", f"dgram,id=link,local.type=unix,local.path={LINK},remote.type=unix,remote.path={WIRE}",
            "-device", f"e1000,netdev=link,mac={run.link},romfile="] if run.link else []


def qemu_command(run, accel, model):
    return [QEMU, "-machine", "q35", *accel, "-cpu", model,
            "-smp", str(run.cpus), "-m", f"{run.memory}M",
            "-nodefaults", "-no-reboot", "-display", "none",
            *firmware_options(run, firmware.for_qemu()),
            "-drive", "file=disk.img,format=raw",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-serial", "file:serial.log", *qemu_ports(run), *qemu_link(run)]


def kvm_command(run):
    return qemu_command(run, ["-enable-kvm"], run.cpu_model or "host")


def tcg_command(run):
    accel, model = ["-accel", "tcg,thread=multi"], run.cpu_model or "EPYC,+svm,+npt,+pdpe1gb"
    if run.icount is not None:
        # Nothing that differs from run to run can be read. (With several CPUs the order of their
        # turns still does differ.)
        accel = ["-accel", "tcg,thread=single", "-icount", f"shift={run.icount},sleep=off",
                 "-rtc", "base=2024-01-01,clock=vm"]
        model += ",-rdrand"
    stub = ["-chardev", f"socket,id=gdb,path={GDB_SOCKET},server=on,wait=off",
            "-gdb", "chardev:gdb"] if run.gdb else []
    return qemu_command(run, accel, model) + stub


def qemu_clock(run):
    return "the host's time" if run.icount is None else \
        f"instructions, {1 << run.icount} ns each: as many cycles of the TSC"


def bochs_clock(_run):
    return "instructions: one cycle of the TSC each"


def qemu(title, offers, command):
    return Machine(title, offers, "qemu", qemu_missing, command, {33: "PASS", 35: "FAIL"},
                   "make gdb does it all; see docs/debugging.md", qemu_version, qemu_clock, console.Socket)


def bochs(offers, command):
    # It ends with status 1 whatever happened. The CPUs that it emulates have no erratum.
    return Machine("Bochs", offers, "bochs", bochs_missing, command, None,
                   "leave out -rc debugger.rc to get Bochs' own debugger at the first byte",
                   bochs_version, bochs_clock, console.Terminal, "nx=off")


MACHINES = {
    "kvm": qemu("QEMU with KVM", "", kvm_command),
    "qemu": qemu("QEMU without KVM", "SVM in software", tcg_command),
    "bochs": bochs("VMX in software", bochs_vmx_command),
    "bochs-svm": bochs("SVM in software, AMD's Ryzen", bochs_svm_command),
}
