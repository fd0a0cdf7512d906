# SPDX-License-Identifier: MIT
"""GDB commands that know Cleave: cleave-walk, cleave-vcpus, cleave-trace. tools/gdb loads them.

Lines look as a panic prints them. All is read from memory through a CPU that is in the hypervisor,
whichever is selected; in a guest the same addresses mean something else.
"""
import contextlib
import struct

import gdb

# entry.h in ept/: entries that the hardware does not see.
KIND_SHIFT, PERMS_SHIFT = 3, 6
FRAME_MASK = 0x000ffffffffff000
REQUESTED, TRACKED = 1 << 52, 1 << 53
# enum in ept/format.h; ept/entry/format_amd.c
R, W, X = 1, 2, 4
AMD_WRITE, AMD_NX = 1 << 1, 1 << 63
PAGE_SHIFT = 12


def names(enum, prefix):
    """Value -> name in lower case, as the symbols say."""
    return {field.enumval: field.name.removeprefix(prefix).lower()
            for field in gdb.lookup_type(f"enum {enum}").fields()}


def value(expression):
    return gdb.parse_and_eval(expression)


def asked(expression):
    """What the user wrote; if it means nothing, a line says so."""
    try:
        return value(expression)
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from error


def in_root():
    """Is the selected CPU in the hypervisor? Guests have page tables of their own."""
    try:
        return int(value("$cr3")) == int(value("kmap.root.v"))
    except gdb.error:
        return False


@contextlib.contextmanager
def root_cpu():
    """Selects a CPU that is in the hypervisor, if this one is not, and goes back."""
    selected = gdb.selected_thread()
    if not selected:
        raise gdb.GdbError("no machine is attached")
    try:
        if not in_root() and not any(thread.switch() or in_root()
                                     for thread in gdb.selected_inferior().threads()):
            raise gdb.GdbError("every CPU is in a guest: break in the hypervisor first, say at "
                               "vcpu_run")
        yield
    finally:
        if gdb.selected_thread() != selected:
            selected.switch()


# --- which VMs there are -----------------------------------------------------------------------

def of_frames():
    """The VM that the selected frame, or one that called it, is about."""
    selected = frame = gdb.selected_frame() if in_root() else None
    try:
        while frame:
            frame.select()
            for path in ("vcpu->vm", "vm"):
                with contextlib.suppress(gdb.error):  # no such variable, or optimized out
                    if vm := gdb.parse_and_eval(path):
                        return vm
            frame = frame.older()
    finally:
        if selected:
            selected.select()
    return None


def the_vm(expression):
    if expression:
        return asked(expression)
    if vm := of_frames():
        return vm
    raise gdb.GdbError("no frame here is about a VM: cleave-walk GPA VM, say migrate_job::m.to")


def all_vms():
    """Those that CPUs hold vCPUs of, and the migration's two."""
    holders = value("'hv/cpu/vcpu_switch.c'::current")
    pointers = [holders[i]["vm"] for i in range(int(value("ncpus"))) if holders[i]]
    with contextlib.suppress(gdb.error):  # the image has no such job
        pointers += [value("migrate_job::m.from"), value("migrate_job::m.to")]
    unique = {int(pointer): pointer for pointer in pointers if pointer}
    return sorted(unique.values(), key=lambda vm: int(vm["id"]))


# --- the second stage ----------------------------------------------------------------------------

class Format:
    """What struct ept_format says, and the rights, which it has functions for."""

    def __init__(self, fmt):
        self.name = fmt["name"].string()
        self.top, self.index_bits = int(fmt["top"]), int(fmt["index_bits"])
        self.seen, self.large, self.addr = (int(fmt[key]) for key in ("seen", "large", "addr"))
        self.accessed, self.dirty = int(fmt["accessed"]), int(fmt["dirty"])
        self.kinds = names("ept_kind", "EPT_")

    def index(self, gfn, level):
        return gfn >> self.index_bits * (level - 1) & (1 << self.index_bits) - 1

    def kind(self, entry, level):
        if not entry & self.seen:
            return self.kinds[entry >> KIND_SHIFT & 7]
        return "present" if level == 1 or entry & self.large else "table"

    def _perms(self, entry):
        if self.name == "NPT":
            perms = R | (W if entry & AMD_WRITE else 0) | (0 if entry & AMD_NX else X)
        else:
            perms = entry & (R | W | X)
        return perms | (W if entry & TRACKED else 0)

    def describe(self, entry, level):
        kind, flags = self.kind(entry, level), ""
        frame, perms = entry & self.addr, 0
        if kind == "present":
            frame &= -1 << PAGE_SHIFT + self.index_bits * (level - 1)
            perms = self._perms(entry)
            flags = (" accessed" if entry & self.accessed else "") + \
                (" dirty" if entry & self.dirty else "")
        elif kind == "none":
            frame = 0
        elif kind != "table":
            frame, perms = ~entry & FRAME_MASK, entry >> PERMS_SHIFT & 7
            flags = " requested" if entry & REQUESTED else ""
        return f"level {level}: {entry:016x} {kind} frame 0x{frame:x} perms {perms}{flags}"


def walk(ept, gpa):
    """The entries from the root to what maps gpa, a line each."""
    fmt = Format(ept["fmt"].dereference())
    table, offset = int(ept["root"]["v"]), int(ept["pool"]["virt_offset"])
    for level in range(fmt.top, 0, -1):
        at = offset + table + 8 * fmt.index(gpa >> PAGE_SHIFT, level)
        entry, = struct.unpack("<Q", gdb.selected_inferior().read_memory(at, 8))
        yield fmt.describe(entry, level)
        if fmt.kind(entry, level) != "table":
            return
        table = entry & fmt.addr


class Walk(gdb.Command):
    """cleave-walk GPA [VM]: the second-stage entries from the root to what maps GPA.
GPA and VM are expressions, without blanks; VM is a struct vm *. Without it: the VM that the
selected frame or one of its callers is about."""

    def __init__(self):
        super().__init__("cleave-walk", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) not in (1, 2):
            raise gdb.GdbError("cleave-walk GPA [VM]")
        gpa = int(asked(words[0]))
        vm = the_vm(words[1] if len(words) == 2 else None)
        with root_cpu():
            print(f"vm {vm['name'].string()}, gpa 0x{gpa:x}, {vm['mem']['ept']['fmt']['name'].string()}:")
            for line in walk(vm["mem"]["ept"], gpa):
                print(f"  {line}")


class Vcpus(gdb.Command):
    """cleave-vcpus: what each vCPU of each VM does.
VMs are found through the CPUs that hold their vCPUs, and through the job "migrate"; between two
runs what is shown of the last one's is stale."""

    def __init__(self):
        super().__init__("cleave-vcpus", gdb.COMMAND_DATA)

    @staticmethod
    def describe(vcpu, states):
        state = states[int(vcpu["run"])]
        waits = f" for gpa 0x{int(vcpu['wait_gfn']) << PAGE_SHIFT:x}" if state == "waiting" else ""
        rip = "loaded" if vcpu["loaded"] else f"rip 0x{int(vcpu['state']['rip']):x}"
        stats = vcpu["stats"]
        return (f"vcpu {int(vcpu['index'])} on cpu{int(vcpu['cpu'])}: {state}{waits}, {rip}, "
                f"{sum(int(stats['by'][r]) for r in range(stats['by'].type.range()[1] + 1))} exits, {int(stats['wait']['faults'])} faults")

    def invoke(self, argument, from_tty):
        with root_cpu():
            states = names("vcpu_run_state", "VCPU_")
            for vm in all_vms():
                for i in range(int(vm["nvcpus"])):
                    print(f"vm {vm['name'].string()} {self.describe(vm['vcpu'][i], states)}")


class Trace(gdb.Command):
    """cleave-trace [N]: the last N events (20) of all CPUs' traces, oldest first.
Columns: CPU, TSC, event, its two values; trace_abi.h says what these are."""

    def __init__(self):
        super().__init__("cleave-trace", gdb.COMMAND_DATA)

    @staticmethod
    def records(cpu):
        """Read in one piece: a value at a time takes the stub seconds."""
        begin, end = (int(value("trace_places")[cpu][side]) for side in ("begin", "end"))
        one = gdb.lookup_type("struct trace_record").sizeof
        size = (end - begin) // one
        data = gdb.selected_inferior().read_memory(begin, size * one)
        records = [struct.unpack_from("<QIIQQ", data, i * one) for i in range(size)]
        return [record for record in records if record[0]]

    def invoke(self, argument, from_tty):
        last = int(asked(argument)) if argument else 20
        with root_cpu():
            events = names("trace_event", "TRACE_")
            cpus = range(int(value("ncpus")))
            found = sorted(record for cpu in cpus for record in self.records(cpu))
            for tsc, event, cpu, a, b in found[-last:] if last > 0 else []:
                print(f"cpu{cpu} {tsc:16} {events.get(event, '?').upper():9} {a:x} {b:x}")


for command in (Walk, Vcpus, Trace):
    command()
