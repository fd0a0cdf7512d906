# SPDX-License-Identifier: MIT
"""APT with lists and caches of its own below the build folder: nothing of the machine's changes."""
import os

from bench_kvm.packages import empty, run
from machines import Problem

TARGETS = ("apt-get", "indextargets", "Created-By: Packages")


def targets(fields, what):
    """`fields`, such as "$(SITE) $(SUITE)", of each list of packages of Debian's own that this
    machine has. `what` is wanted of them, for the message if there are none."""
    status, text = run(*TARGETS, "Origin: Debian", "--format", fields)
    lines = sorted(set(text.splitlines()))
    if status or not lines:
        raise Problem(f"APT knows no package lists of Debian's, so {what} cannot be fetched: "
                      "run apt-get update as root, on a Debian")
    return lines


def options(folder, lists):
    """For apt-get and apt-cache. `lists`: the folder of what is otherwise in sources.list.d."""
    return ["-q", "-o", "Dir::Etc::sourcelist=-", "-o", f"Dir::Etc::sourceparts={lists}",
            "-o", f"Dir::State={empty(os.path.join(folder, 'state'))}",
            "-o", f"Dir::Cache={empty(os.path.join(folder, 'cache'))}",
            "-o", "APT::Sandbox::User=root"]
