# SPDX-License-Identifier: MIT
"""The hardware's exit reasons, by the names that KVM prints, and how long each took.

Of the exits that the hardware numbers, the ones that Cleave has a use for.
"""
VMX, SVM = 1, 2  # as KVM's events call them

NAMES = {
    VMX: {0: "EXCEPTION_NMI", 1: "EXTERNAL_INTERRUPT", 2: "TRIPLE_FAULT", 3: "INIT_SIGNAL",
          4: "SIPI_SIGNAL", 7: "INTERRUPT_WINDOW", 8: "NMI_WINDOW", 9: "TASK_SWITCH", 10: "CPUID",
          12: "HLT", 13: "INVD", 14: "INVLPG", 15: "RDPMC", 16: "RDTSC", 18: "VMCALL",
          28: "CR_ACCESS", 29: "DR_ACCESS", 30: "IO_INSTRUCTION", 31: "MSR_READ", 32: "MSR_WRITE",
          33: "INVALID_STATE", 36: "MWAIT_INSTRUCTION", 39: "MONITOR_INSTRUCTION",
          40: "PAUSE_INSTRUCTION", 48: "EPT_VIOLATION", 49: "EPT_MISCONFIG",
          52: "PREEMPTION_TIMER", 54: "WBINVD", 55: "XSETBV", 62: "PML_FULL"},
    SVM: {0x40 + 1: "DB excp", 0x40 + 6: "UD excp", 0x40 + 13: "GP excp", 0x40 + 14: "PF excp",
          0x40 + 17: "AC excp", 0x40 + 18: "MC excp", 0x60: "interrupt", 0x61: "nmi", 0x62: "smi",
          0x64: "vintr", 0x6f: "rdpmc", 0x72: "cpuid", 0x76: "invd", 0x77: "pause", 0x78: "hlt",
          0x79: "invlpg", 0x7b: "io", 0x7c: "msr", 0x7f: "shutdown", 0x80: "vmrun",
          0x81: "hypercall", 0x88: "icebp", 0x89: "wbinvd", 0x8a: "monitor", 0x8b: "mwait",
          0x8d: "xsetbv", 0x400: "npf"},
}
STAGE2 = {VMX: 48, SVM: 0x400}


def isa(trace):
    return VMX if trace.head.get("second_stage") == "EPT" else SVM


def name(which, reason):
    return NAMES[which].get(reason, f"reason 0x{reason:x}")


def spans(trace):
    """(reason, event of the exit, tsc when the guest was left, tsc when it went on; None: it did
    not go on by itself) for every exit, in the order in which they ended."""
    stage2 = STAGE2[isa(trace)]
    open_exits = {}  # CPU -> the exit
    for event in trace.events:
        if event.name == "SERVED":
            yield stage2, event, event.tsc - event.b, event.tsc
        elif event.name in ("EXIT", "FAULT"):
            # A hypercall that lacks a page: it is the call's exit that goes on.
            if event.cpu not in open_exits:
                open_exits[event.cpu] = event
        elif event.name in ("RESUME", "FOUND", "STALE", "WAIT", "ENTER", "LEAVE"):
            begun = open_exits.pop(event.cpu, None)
            if begun:
                reason = begun.a if begun.name == "EXIT" else stage2
                ended = event.tsc if event.name in ("RESUME", "FOUND", "STALE") else None
                yield reason, begun, begun.tsc, ended
