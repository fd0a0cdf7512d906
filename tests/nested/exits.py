# SPDX-License-Identifier: MIT
"""What L1's KVM counted while Cleave ran: exits by reason, and its own counters.

An exit is counted once by kvm_exit; if it came from Cleave's guest (L3) also by kvm_nested_vmexit,
and if KVM hands it on to Cleave by kvm_nested_vmexit_inject, too.
"""
import re

HIST = re.compile(r"nested: hist (\S+) \{ \S+\s*(?:0x)?([0-9a-f]+)\s*(?:,[^}]*)?\} hitcount:\s*(\d+)")
EXITS, FROM_GUEST, HANDED_ON = "kvm_exit", "kvm_nested_vmexit", "kvm_nested_vmexit_inject"
ENTRIES = ("kvm_nested_vmenter", "kvm_nested_vmrun")
HEAD = "exits of L1's KVM"
COUNTERS = ("exits", "io_exits", "mmio_exits", "nested_run", "tlb_flush")

# AMD's manual 2, appendix C; Intel's manual 3, appendix C.
SVM = {0x40: "exception 0", 0x41: "#DB", 0x43: "#BP", 0x46: "#UD", 0x4d: "#GP", 0x4e: "#PF", 0x51: "#AC",
       0x52: "#MC", 0x60: "interrupt", 0x61: "NMI", 0x62: "SMI", 0x63: "INIT",
       0x64: "virtual interrupt", 0x65: "CR0 selective", 0x6e: "RDTSC", 0x6f: "RDPMC", 0x70: "PUSHF",
       0x72: "CPUID", 0x73: "RSM", 0x76: "INVD", 0x77: "PAUSE", 0x78: "HLT", 0x79: "INVLPG", 0x7a: "INVLPGA",
       0x7b: "port", 0x7c: "MSR", 0x7d: "task switch", 0x7f: "shutdown", 0x80: "VMRUN",
       0x81: "VMMCALL", 0x82: "VMLOAD", 0x83: "VMSAVE", 0x84: "STGI", 0x85: "CLGI",
       0x86: "SKINIT", 0x87: "RDTSCP", 0x89: "WBINVD", 0x8a: "MONITOR", 0x8b: "MWAIT",
       0x8d: "XSETBV", 0x8f: "EFER after write", 0x400: "nested page fault"}
VMX = {0: "exception or NMI", 1: "interrupt", 2: "triple fault", 3: "INIT", 4: "SIPI",
       7: "interrupt window", 8: "NMI window", 9: "task switch", 10: "CPUID", 12: "HLT",
       13: "INVD", 14: "INVLPG", 15: "RDPMC", 16: "RDTSC", 18: "VMCALL", 19: "VMCLEAR",
       20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST", 23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE",
       26: "VMXOFF", 27: "VMXON", 28: "control register", 29: "debug register", 30: "port",
       31: "RDMSR", 32: "WRMSR", 36: "MWAIT", 37: "monitor trap", 39: "MONITOR", 40: "PAUSE",
       44: "APIC access", 45: "EOI", 46: "GDTR or IDTR", 47: "LDTR or TR", 48: "EPT violation",
       49: "EPT misconfiguration", 50: "INVEPT", 51: "RDTSCP", 52: "preemption timer",
       53: "INVVPID", 54: "WBINVD", 55: "XSETBV", 56: "APIC write", 58: "INVPCID",
       62: "page-modification log full"}
VMX_REASON = 0xffff  # above are flags, such as that of a failed entry


def svm_name(code):
    if code < 0x40:
        return f"{'DR' if code & 0x20 else 'CR'}{code & 0xf} {'write' if code & 0x10 else 'read'}"
    return SVM.get(code, f"code {code:#x}")


def vmx_name(reason):
    reason &= VMX_REASON
    return VMX.get(reason, f"reason {reason}")


class Counts:
    """Fed with L1's lines."""

    def __init__(self):
        self.events = {}  # event -> {reason: number}
        self.counters = {}

    def hear(self, line):
        if match := HIST.match(line):
            event, reason, hits = match.groups()
            self.events.setdefault(event, {})[int(reason, 16)] = int(hits)
        elif line.startswith("nested: ") and " counters " in line:
            self.counters = {name: int(value) for name, _, value in
                             (word.partition("=") for word in line.split(" counters ")[1].split())
                             if value.isdigit()}

    def by_name(self, event, name_of):
        named = {}
        for reason, hits in self.events.get(event, {}).items():
            name = name_of(reason)
            named[name] = named.get(name, 0) + hits
        return named

    def result(self, name_of):
        """What goes into the JSON file. `name_of`: svm_name or vmx_name."""
        entries = sum(sum(self.events.get(name, {}).values()) for name in ENTRIES)
        return {"exits": self.by_name(EXITS, name_of),
                "exits_of_the_guest": self.by_name(FROM_GUEST, name_of),
                "handed_on": self.by_name(HANDED_ON, name_of),
                "nested_entries": entries, "counters": self.counters}


def table(result):
    """Lines: most frequent first."""
    exits, guest, on = (result[key] for key in ("exits", "exits_of_the_guest", "handed_on"))
    lines = [f"{HEAD:<24}{'all':>12}{'of L3':>12}{'handed on':>12}"]
    for name, hits in sorted(exits.items(), key=lambda item: -item[1]):
        lines.append(f"{name:<24}{hits:>12,}{guest.get(name, 0):>12,}{on.get(name, 0):>12,}")
    sums = (sum(column.values()) for column in (exits, guest, on))
    lines.append(f"{'sum':<24}" + "".join(f"{number:>12,}" for number in sums))
    counters = ", ".join(f"{name} {result['counters'][name]:,}" for name in COUNTERS
                         if name in result["counters"])
    lines.append(f"nested entries {result['nested_entries']:,}" + (
        f"; at the last look, at most a few seconds before the end: {counters}" if counters else ""))
    return lines
