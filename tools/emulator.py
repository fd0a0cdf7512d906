# SPDX-License-Identifier: MIT
"""An emulator's process, which is gone when the launcher is: it is killed on the way out, and the
kernel kills it if the launcher itself is killed.
"""
import contextlib
import ctypes
import os
import signal
import subprocess

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Stopped(BaseException):
    """A signal asks to end. Not an Exception: nothing may take it for a failure of its own."""

    def __init__(self, signum, _frame=None):
        super().__init__(signum)
        self.signum = signum

    def __str__(self):
        name = signal.Signals(self.signum).name
        return "interrupted" if self.signum == signal.SIGINT else f"stopped by {name}"


def stop_on_signals():
    def handler(signum, frame):
        raise Stopped(signum, frame)
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
            signal.signal(signum, handler)


@contextlib.contextmanager
def emulator(argv, folder):
    """A machine's process in a session of its own; the with-block never leaves it behind. Signals
    wait until the process is known: one that came in between would leave its children alive."""
    process = None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    libc = ctypes.CDLL(None)
    launcher = os.getpid()

    def in_child():
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != launcher:  # it was killed before the line above
            os._exit(1)

    try:
        with open(os.path.join(folder, "emulator.log"), "wb") as output:
            process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       preexec_fn=in_child)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield process
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
