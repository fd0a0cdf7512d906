# SPDX-License-Identifier: MIT
"""What the command lines of the link's tools have in common."""
import argparse
import os
import signal
import sys

from link import wire
from link.transport import Cable, Problem, Udp

DONE, FAILED, SETUP = 0, 1, 2  # exit statuses
SOURCE, DESTINATION = 1, 2  # the numbers of the two ends of a cable


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(SETUP)


def parser(prog, text):
    return Parser(prog=prog, description=text, formatter_class=argparse.RawDescriptionHelpFormatter,
                  allow_abbrev=False)


def add_link(p):
    p.add_argument("--link", metavar="FOLDER", help="the folder of a machine with a link: takes its cable")
    p.add_argument("--wired", action="store_true", help="--link is a folder of our own, at the end of a tools/wire")
    p.add_argument("--udp", metavar="HOST:PORT", help="over UDP instead")
    p.add_argument("--key", metavar="FILE", help=f"{wire.KEY_MIN} to {wire.KEY_MAX} bytes that both sides have")
    p.add_argument("--insecure", action="store_true", help="without a key: nothing is sealed")


def read_key(args, say):
    """The bytes; none: insecure. Raises Problem."""
    if args.insecure:
        if args.key:
            raise Problem("--key and --insecure: take one of them")
        say("--insecure: NOTHING IS SEALED: whoever reaches this link can read and change the guest")
        return b""
    if not args.key:
        raise Problem("no key: name a file of 16 to 64 bytes that both sides have with --key, or say --insecure")
    try:
        with open(args.key, "rb") as file:
            key = file.read(wire.KEY_MAX + 1)
    except OSError as error:
        raise Problem(f"{args.key}: {error.strerror}; name the key's file with --key") from error
    if not wire.KEY_MIN <= len(key) <= wire.KEY_MAX:
        raise Problem(f"{args.key}: a key has {wire.KEY_MIN} to {wire.KEY_MAX} bytes")
    return key


def open_transport(args, number):
    """Raises Problem. @number: which end of a cable this is."""
    if bool(args.link) == bool(args.udp):
        raise Problem("name either the machine's folder with --link, or an address with --udp")
    if args.link:
        return Cable(args.link, number, args.wired)
    host, _, port = args.udp.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Problem(f"--udp {args.udp}: HOST:PORT, as 127.0.0.1:7411")
    if number == SOURCE:
        return Udp(host, int(port))
    return Udp("127.0.0.1" if host.startswith("127.") else "", 0, (host, int(port)))


def say(prog):
    return lambda text: print(f"{prog}: {text}", flush=True)


class Ended(Exception):
    """By a signal."""


def main(prog, run):
    """run() within this process: returns its exit status, with one line for what a user can mend."""
    def end(signum, _frame):
        raise Ended(signum)

    signal.signal(signal.SIGTERM, end)
    try:
        return run()
    except Problem as problem:
        print(f"{prog}: {problem}", file=sys.stderr, flush=True)
        return SETUP
    except (Ended, KeyboardInterrupt) as ended:
        print(f"{prog}: ended by a signal", file=sys.stderr, flush=True)
        return 128 + (ended.args[0] if isinstance(ended, Ended) else signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
