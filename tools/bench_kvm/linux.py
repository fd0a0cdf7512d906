# SPDX-License-Identifier: MIT
"""A kernel built from Debian's source: Debian's own has no idle page tracking, which one of KVM's
tests needs. Its configuration is Debian's without modules, and without what the machine does not
have or need, so that it builds in some minutes.
"""
import os
import re
import shutil

from debian import run
from machines import Problem

ON = ("IDLE_PAGE_TRACKING", "KVM", "KVM_AMD", "DEVTMPFS", "DEBUG_FS")
OFF = ("MODULES", "NET", "BLOCK", "SECURITY", "INTEGRITY", "KEYS", "MODULE_SIG",
       "SYSTEM_TRUSTED_KEYRING", "SECONDARY_TRUSTED_KEYRING", "DEBUG_INFO_BTF", "FTRACE",
       "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "DEBUG_INFO_DWARF4", "DEBUG_INFO_DWARF5",
       "BPF_SYSCALL", "CRYPTO", "XEN", "HYPERV", "HYPERVISOR_GUEST", "EFI", "SUSPEND",
       "HIBERNATION", "MEMORY_FAILURE", "QUOTA", "NLS", "UNICODE", "USB_SUPPORT", "SOUND", "DRM",
       "FB", "INPUT", "HID", "VT", "MEDIA_SUPPORT", "STAGING", "PCI_HOTPLUG", "I2C", "SPI",
       "GPIOLIB", "HWMON", "THERMAL", "REGULATOR", "IOMMU_SUPPORT", "AGP", "PCMCIA", "RAPIDIO",
       "X86_PLATFORM_DEVICES", "SURFACE_PLATFORMS", "CHROME_PLATFORMS", "NVMEM", "TPM",
       "HW_RANDOM", "IPMI_HANDLER", "RTC_CLASS", "DMADEVICES", "VIRTIO_MENU", "VHOST_MENU",
       "WATCHDOG", "POWER_SUPPLY", "PWM", "CXL_BUS", "FUSE_FS")
PLAIN = ("DEBUG_INFO_NONE",)
# Of these parts of the source only what the others look for: it is half of it.
UNUSED = ("drivers/gpu/drm/", "drivers/net/ethernet/", "drivers/net/wireless/", "drivers/media/",
          "drivers/staging/", "sound/", "Documentation/", "tools/testing/")
BULK = (".c", ".h", ".rst", ".txt", ".yaml", ".dts", ".dtsi")
BUILD_SECONDS = 7200
# Or its tests of ciphers, which Debian has in modules, would run beside what is measured.
CMDLINE = "cryptomgr.notests"
PROGRAMS = {"make": "make", "flex": "flex", "bison": "bison", "bc": "bc"}
HEADERS = {"/usr/include/gelf.h": "libelf-dev"}


def missing():
    """Packages that a build needs and that are not installed."""
    return [package for program, package in PROGRAMS.items() if not shutil.which(program)] + \
        [package for path, package in HEADERS.items() if not os.path.exists(path)]


def wanted(name):
    """Is this file of the source unpacked?"""
    return not (name.startswith(UNUSED) and name.endswith(BULK))


def configuration(text):
    """Out of Debian's."""
    named = re.compile(r"^(?:# )?CONFIG_(\w+)(?:=| is not set)")
    decided = {*ON, *OFF, *PLAIN}
    lines = [line for line in text.splitlines() if not line.endswith("=m") and not
             ((found := named.match(line)) and found.group(1) in decided)]
    lines = [re.sub(r"^(CONFIG_SYSTEM_(?:TRUSTED|REVOCATION)_KEYS)=.*", r'\1=""', line)
             for line in lines]
    lines += [f"CONFIG_{name}=y" for name in (*ON, *PLAIN)]
    lines += [f"# CONFIG_{name} is not set" for name in OFF]
    return "\n".join(lines) + "\n"


def make(source, log, *what):
    status, text = run("make", "-C", source, *what, timeout=BUILD_SECONDS)
    with open(log, "a", encoding="utf-8") as file:
        file.write(text)
    if status:
        errors = [line for line in text.splitlines() if "rror" in line] or ["no reason given"]
        raise Problem(f"make {what[-1]} failed: {errors[0]}; all of it is in {log}")


def build(source, config, folder):
    """Builds `source`, configured out of the text of Debian's `config`, unless that was done.
    Leaves folder/boot/vmlinuz-own, and build.log."""
    image = os.path.join(folder, "boot", "vmlinuz-own")
    if os.path.exists(image):
        return
    os.makedirs(os.path.dirname(image), exist_ok=True)
    path, log = os.path.join(source, ".config"), os.path.join(folder, "build.log")
    with open(path, "w", encoding="utf-8") as file:
        file.write(configuration(config))
    make(source, log, "olddefconfig")
    with open(path, encoding="utf-8") as file:
        made = file.read().splitlines()
    for name in ON:
        if f"CONFIG_{name}=y" not in made:
            raise Problem(f"this Linux cannot be built with CONFIG_{name}; see {path}")
    make(source, log, f"-j{os.cpu_count()}", "bzImage")
    shutil.copyfile(os.path.join(source, "arch", "x86", "boot", "bzImage"), image + ".new")
    os.rename(image + ".new", image)
