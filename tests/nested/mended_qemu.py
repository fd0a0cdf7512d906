# SPDX-License-Identifier: MIT
"""The emulator below nested SVM: Debian's QEMU with three faults mended, built from its source package.

QEMU's software CPU raises an interrupt without the lock that this needs, when a guest writes CR8
while a virtual interrupt waits (helper_write_crN), and aborts. OVMF in a nested guest does that
within a minute. It also notes a virtual interrupt at VMRUN without that lock (helper_vmrun): a timer's
interrupt that another thread notes at that moment is lost, and L1 sleeps for good. And XSETBV of a
guest has no exit in QEMU 7.2, so L1's KVM knows nothing of what L2 has written, and puts the reset
value of XCR0 back at its next entry: an XRSTOR that comes then takes #GP. Nothing of QEMU is kept in
this tree: APT fetches the source of the version that is installed, through lists of its own below
the build folder, and the edit is made here.
"""
import glob
import os
import re
import shutil
import subprocess

from debian import empty, fetch_source, run, unpack_source
from machines import QEMU, Problem

PACKAGE = "qemu-system-x86"
REASON = "building the mended emulator takes 10 minutes; make test-nested does it"
CONFIGURE = ("--target-list=x86_64-softmmu", "--without-default-features", "--enable-system",
             "--enable-tcg", "--enable-fdt=system", "--disable-docs", "--disable-tools",
             "--disable-install-blobs", "--disable-werror")
CONFIGURE_SECONDS, BUILD_SECONDS = 600, 5400

FOLDER = "qemu-mended-3"  # counts what is mended: what was built with less is not used

LOCK = re.compile(r" *(?:qemu_mutex_(?:un)?lock_iothread|bql_(?:un)?lock)\(\);\n")
NOTE = re.compile(r"(?m)^( *)cs->interrupt_request \|= CPU_INTERRUPT_VIRQ;\n")
FIRST_INCLUDE = '#include "qemu/osdep.h"\n'
# What XSETBV begins with where it asks for no intercept.
XSETBV = re.compile(r"case 0xd1: /\* xsetbv \*/\n(?: .*\n)*?( +)if \(!check_cpl0\(s\)\)")
EXIT_XSETBV = "0x8d"  # APM vol. 2, "SVM Intercept Exit Codes"
WRITE_CR = re.compile(r"(void helper_write_crN\(.*?\n    case 8:\n)(.*?)(        break;\n)", re.DOTALL)


def path(top):
    return os.path.join(top, FOLDER, QEMU)


def is_built(top):
    return os.path.exists(path(top))


def mend(text):
    """Case 8 of helper_write_crN, all of it under the lock that a part of it has."""
    found = WRITE_CR.search(text)
    locks = LOCK.findall(found.group(2)) if found else []
    if len(locks) != 2 or "cpu_interrupt(" not in found.group(2):
        raise Problem("QEMU's helper_write_crN is not the one that is to be mended: if it takes its "
                      "lock for all of case 8, the installed QEMU will do; else mended_qemu.py "
                      "must learn this version")
    lock, unlock = ("        " + line.strip() + "\n" for line in locks)
    return (text[:found.start(2)] + lock + LOCK.sub("", found.group(2)) + unlock +
            text[found.end(2):])


def mend_vmrun(text, locks):
    """The one place of svm_helper.c that notes a virtual interrupt outside of the lock. `locks`: how
    this version takes and gives it."""
    found = NOTE.findall(text)
    if len(found) != 1 or FIRST_INCLUDE not in text:
        raise Problem("QEMU's helper_vmrun is not the one that is to be mended: mended_qemu.py must "
                      "learn this version")
    lock, unlock = (f"{found[0]}{name}();\n" for name in locks)
    text = NOTE.sub(lambda match: lock + match.group(0) + unlock, text)
    return text.replace(FIRST_INCLUDE, FIRST_INCLUDE + '#include "qemu/main-loop.h"\n', 1)


def mend_xsetbv(text):
    """translate.c: XSETBV asks whether it is intercepted. Later versions do."""
    found = XSETBV.search(text)
    if not found:
        raise Problem("QEMU's XSETBV is not the one that is to be mended: mended_qemu.py must learn "
                      "this version")
    if "gen_svm_check_intercept" in found.group(0):
        return text
    return (text[:found.start(1)] + f"{found.group(1)}gen_svm_check_intercept(s, {EXIT_XSETBV});\n" +
            text[found.start(1):])


def lock_names(text):
    """Of misc_helper.c: one of the two pairs."""
    return ("bql_lock", "bql_unlock") if "bql_lock()" in text else \
        ("qemu_mutex_lock_iothread", "qemu_mutex_unlock_iothread")


def edit(tree, pattern, change):
    names = glob.glob(os.path.join(glob.escape(tree), pattern))
    if len(names) != 1:
        raise Problem(f"expected one {pattern} in QEMU's source, found {len(names)}")
    with open(names[0], encoding="utf-8") as file:
        text = change(file.read())
    with open(names[0], "w", encoding="utf-8") as file:
        file.write(text)
    return text


def without_blobs(text):
    """Debian's source has none of the firmware that this would unpack."""
    return text.replace("if unpack_edk2_blobs\n", "if false\n")


def fetch(folder, say):
    """The three files of the source package; returns the one that describes them."""
    status, version = run("dpkg-query", "-W", "-f", "${source:Version}", PACKAGE)
    if status:
        raise Problem(f"{PACKAGE} is not installed: run tools/setup run")
    say(f"fetching QEMU's source {version} from Debian: 24 MB, and 10 MB of lists")
    return fetch_source(folder, "qemu", version)  # that very one may be gone


def build(top, launch, say):
    """Fills top/qemu-mended, unless it is there. `launch`: tools/launch, whose emulator() leaves no
    compiler behind."""
    if is_built(top):
        return
    work = empty(os.path.join(top, "qemu.new"))
    description, tree = fetch(work, say), os.path.join(work, "source")
    unpack_source(description, tree)
    mended = edit(tree, "target/i386/tcg/*/misc_helper.c", mend)
    edit(tree, "target/i386/tcg/*/svm_helper.c",
         lambda text: mend_vmrun(text, lock_names(mended)))
    edit(tree, "target/i386/tcg/translate.c", mend_xsetbv)
    edit(tree, "pc-bios/meson.build", without_blobs)
    made = os.path.join(tree, "made")
    os.mkdir(made)
    say("building the mended QEMU: about 10 minutes on 2 CPUs")
    step(launch, made, CONFIGURE_SECONDS, "../configure", *CONFIGURE)
    step(launch, made, BUILD_SECONDS, "ninja", QEMU)
    os.makedirs(os.path.dirname(path(top)), exist_ok=True)
    os.rename(os.path.join(made, QEMU), path(top))
    shutil.rmtree(work)


def step(launch, folder, seconds, *argv):
    log = os.path.join(folder, "emulator.log")
    with launch.emulator(argv, folder) as process:
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Problem(f"{argv[0]} took more than {seconds} s; its output is in {log}") from None
    if status:
        raise Problem(f"{argv[0]} failed: its output is in {log}; if it misses something, "
                      "run tools/setup nested")
