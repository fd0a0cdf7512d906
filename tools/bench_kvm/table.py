# SPDX-License-Identifier: MIT
"""The tables: KVM's figures, of each kernel that was measured, beside Cleave's."""
import json

from bench_kvm import log
from bench_kvm.units import UNIT
from machines import Problem

# What is measured, and which of Cleave's figures does the same work.
DEMAND_ROWS = (
    ("none", "no userfaultfd: the kernel clears a page", "npt_arrival_copy"),
    ("minor", "userfaultfd MINOR: the page is in memory", "npt_arrival"),
    ("missing", "userfaultfd MISSING: the page is copied", "npt_arrival_copy"),
)
CLEAVE_ROWS = (
    ("npt_arrival", "nested paging: the page is in memory"),
    ("npt_arrival_copy", "nested paging: the page is copied"),
    ("ept_arrival", "EPT (Bochs): the page is in memory"),
    ("ept_arrival_copy", "EPT (Bochs): the page is copied"),
)
# Rows of log.rows(), and Cleave's figure without npt_ or ept_; a number: that it is by design.
LOG_ROWS = (
    ("on", "on: split ahead to 4 KiB, and marked", "track_split_1g"),
    ("first_write", "the guest's first write to a page", 0),
    ("later_write", "its first behind a collection", 0),
    ("collect_0", "collect, nothing written", "track_collect_none_1g"),
    ("collect_1", "collect, 1 % written", "track_collect_1pct_1g"),
    ("collect_10", "collect, 10 % written", "track_collect_10pct_1g"),
    ("collect_100", "collect, all written", "track_collect_all_1g"),
    ("round_1", "pre-copy round, 1 %: writes, collect", "track_collect_1pct_1g"),
    ("round_10", "pre-copy round, 10 %", "track_collect_10pct_1g"),
    ("round_100", "pre-copy round, all", "track_collect_all_1g"),
    ("off", "off, and all in large pages again", "track_recover_1g"),
    ("off_guest", "  of it by the guest's faults", 0),
)
# Figures of access.py's; the guest's accesses: beyond the same to pages that are not idle.
ACCESS_ROWS = (
    ("later_look", "the test's look: each page, all accessed", "access_scan_all_1g"),
    ("at_once", "a look at all at once, all accessed", "access_scan_all_1g"),
    ("guest", "the guest's accesses behind it, more", 0),
    ("", "an interval of the monitor, 32 regions", "access_sample_32"),
)
STAGES = (("npt", "Cleave, NPT"), ("ept", "Cleave, EPT"))
COLUMN = 15


def names():
    """Cleave's figures that are of use here."""
    wanted = [figure for _, _, figure in LOG_ROWS + ACCESS_ROWS if figure]
    return {name for name, _ in CLEAVE_ROWS} | {f"{stage}_{figure}" for stage, _ in STAGES
                                                for figure in wanted}


def read_cleave(path):
    """Cleave's own figures that are of use here; none if there is no such file yet."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Problem(f"cannot read {path}: {error}; make bench writes it anew") from error
    return {name: value for name, value in data.items()
            if name in names() and isinstance(value, (int, float)) and value > 0}


def row(title, number, last=""):
    return f"  {title:<44}{number:>12}{last:>12}".rstrip()


def wide_row(title, cells):
    return f"  {title:<38}{''.join(f'{cell:>{COLUMN}}' for cell in cells)}".rstrip()


def short(kernel):
    """6.12.95+deb12-amd64 is 6.12."""
    return ".".join(kernel.split(".")[:2])


def kernel_lines(data):
    more = f", {data['append']}" if data.get("append") else ""
    return f"Linux KVM {data['kernel']}, tdp_mmu={data['tdp_mmu']}, mitigations=off{more}"


def demand_table(kernels, cleave):
    """Lines. The ratio is to the figure of Cleave that does the same work."""
    lines = [f"An arriving 4 KiB page, one vCPU ({UNIT})",
             row("", "per page", "to Cleave" if cleave else "")]
    for data in kernels:
        if "demand" not in data:
            continue
        lines.append(kernel_lines(data))
        for mode, title, same in DEMAND_ROWS:
            number = data["demand"][mode]["instructions_per_page"]
            ratio = f"{number / cleave[same]:.1f} : 1" if same in cleave else ""
            lines.append(row(title, f"{number:,}", ratio))
    lines.append("Cleave")
    lines += [row(title, f"{round(cleave[name]):,}") for name, title in CLEAVE_ROWS
              if name in cleave]
    if not cleave:
        lines.append("  not measured yet: make bench")
    return lines


def beside(key, title, figure, columns, cleave):
    """A row: KVM's figures out of `columns`, and Cleave's."""
    cells = [f"{column[key]:,}" if key else "-" for column in columns]
    cells += [f"{round(cleave[name]):,}" if (name := f"{stage}_{figure}") in cleave else
              "-" if figure else "0" for stage, _ in STAGES]
    return wide_row(title, cells)


def log_table(kernels, cleave):
    """Lines: both of KVM's protocols, of each kernel, beside Cleave's two formats."""
    columns = [(f"{short(data['kernel'])}{' apart' if protocol == 'apart' else ''}", rows)
               for data in kernels if "log" in data
               for protocol, rows in log.rows(data["log"]).items()]
    if not columns:
        return []
    lines = ["", f"A dirty log of 1 GiB that was in 2 MiB pages, one vCPU ({UNIT}; writes: each)",
             wide_row("", [name for name, _ in columns] + [name for _, name in STAGES])]
    lines += [beside(*item, [rows for _, rows in columns], cleave) for item in LOG_ROWS]
    return [*lines, "  apart: KVM_CLEAR_DIRTY_LOG clears, and the log begins with all pages dirty; "
            "else", "  KVM_GET_DIRTY_LOG clears, and all pages are marked when the log goes on"]


def access_table(kernels, cleave):
    columns = [data["access"] for data in kernels if "access" in data]
    if not columns:
        return []
    lines = ["", f"Accessed bits of 1 GiB in 4 KiB pages, one vCPU ({UNIT})",
             wide_row("", [short(data["kernel"]) for data in columns] +
                      [name for _, name in STAGES])]
    rows = [{**data, "guest": max(0, data["idle_write"] - data["write"]),
             "at_once": data["read_all"] + data["mark_all"]} for data in columns]
    return lines + [beside(*item, rows, cleave) for item in ACCESS_ROWS]


def tables(result, cleave):
    kernels = list(result["kernels"].values())
    return demand_table(kernels, cleave) + log_table(kernels, cleave) + \
        access_table(kernels, cleave)
