# SPDX-License-Identifier: MIT
"""The monitor's port, shared: the machine has one, and any number of clients have a socket in the
run's folder each. One command is under way at a time; each client gets the answers to its own, in
lines of text or of JSON as it wants them. A client that goes away takes nothing along.

docs/monitor.md has the protocol.
"""
import collections
import json
import os
import socket

from console import NoConsole

SOCKET = "monitor.sock"     # the clients'
PORT = "monitor-port.sock"  # the machine's
FILES = (SOCKET, PORT)
START = b"cleave: monitor\r\n"
CHUNK = 65536
LINE_MAX = 4096          # bytes of a command; the machine takes 200
UNREAD_MAX = 1 << 20     # bytes of answers that a client leaves unread


def is_last(line, as_json):
    """Does this line end an answer?"""
    if as_json:
        return line.startswith("{")
    return line == "ok" or line.startswith("error: ")


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.connection.setblocking(False)
        self.json = False
        self.rest = b""
        self.unread = b""
        self.open = True

    def fileno(self):
        return self.connection.fileno()

    def answer(self, lines):
        self.unread += "".join(f"{line}\n" for line in lines).encode()
        self.flush()

    def flush(self):
        """Sends what goes. Who reads nothing for long is given up."""
        try:
            while self.open and self.unread:
                self.unread = self.unread[self.connection.send(self.unread):]
        except BlockingIOError:
            if len(self.unread) > UNREAD_MAX:
                self.close()
        except OSError:
            self.close()

    def commands(self):
        """The whole lines that came. Closes itself at the end."""
        try:
            data = self.connection.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data or len(self.rest) > LINE_MAX:
            self.close()
            return []
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [text for line in whole if (text := tidy(line))]

    def close(self):
        if self.open:
            self.open = False
            self.connection.close()


class Own:
    """The launcher's own commands: calls `heard` with the answer, a dictionary."""
    json, open = True, True

    def __init__(self, heard):
        self.heard = heard

    def answer(self, lines):
        try:
            self.heard(json.loads(lines[-1]))
        except ValueError:
            self.heard({"ok": False, "error": lines[-1]})


def tidy(line):
    """A command as the machine may see it: no control characters, for it edits its line by them."""
    text = line.decode("ascii", "replace").strip()
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def listen(folder, name):
    """A socket at a path that may be too long for one."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    where = os.open(folder, os.O_PATH)
    try:
        listener.bind(f"/proc/self/fd/{where}/{name}")
    finally:
        os.close(where)
    listener.listen(8)
    listener.setblocking(False)
    return listener


class Hub(NoConsole):
    def __init__(self, line, folder):
        """@line: console.Socket or console.Terminal"""
        self.line = line
        self.name = line.name
        self.path = os.path.join(folder, SOCKET)
        self.listener = listen(folder, SOCKET)
        self.clients = []
        self.waiting = collections.deque()  # (client, command)
        self.client = None  # whose command is under way
        self.lines = []     # of its answer
        self.json = False   # how the machine answers
        self.turning = False  # it was told to answer otherwise
        self.begun = False
        self.rest = b""

    def __exit__(self, *_):
        for client in [self.client, *(client for client, _ in self.waiting)]:
            if client and client.open:
                client.answer(self.refusal(client, "the machine has ended"))
        for client in self.clients:
            client.close()
        self.listener.close()
        if self.line:
            self.line.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass

    @staticmethod
    def refusal(client, why):
        return [json.dumps({"answer": {}, "ok": False, "error": why})] if client.json else \
            [f"error: {why}"]

    def sources(self):
        return ([self.line] if self.line else []) + [self.listener, *self.clients]

    def serve(self, source):
        if source is self.line:
            self.take()
        elif source is self.listener:
            self.clients.append(Client(self.listener.accept()[0]))
        elif source.open:
            for command in source.commands():
                self.ask(source, command)
        self.clients = [client for client in self.clients if client.open]

    def tick(self):
        for client in self.clients:
            client.flush()

    # --- commands

    def ask(self, client, command):
        words = command.split()
        if words[0] == "json" and words[1:] in (["on"], ["off"]):
            client.json = words[1] == "on"  # the client's affair, not the machine's
            client.answer(['{"answer":{},"ok":true}' if client.json else "ok"])
            return
        self.waiting.append((client, command))
        self.next()

    def own(self, command, heard):
        """A command of the launcher's. @heard: gets the answer as a dictionary"""
        self.ask(Own(heard), command)

    def next(self):
        if not self.begun or self.client or self.turning:
            return
        while self.waiting and not self.waiting[0][0].open:
            self.waiting.popleft()
        if not self.waiting:
            return
        if self.waiting[0][0].json != self.json:
            self.json = self.waiting[0][0].json
            self.turning = True
            self.send("json on" if self.json else "json off")
            return
        self.client, command = self.waiting.popleft()
        self.lines = []
        self.send(command)

    def send(self, command):
        if not self.line:
            return
        try:
            self.line.write(command.encode("ascii", "replace") + b"\n")
        except OSError:  # it has ended, or takes nothing
            self.end()

    # --- answers

    def end(self):
        self.line.close()
        self.line = None

    def take(self):
        data = self.line.read()
        if data is None:
            self.end()
            return
        data = self.rest + data
        if not self.begun:
            noise, start, data = data.partition(START)
            self.begun = bool(start)
            if not start:
                data = noise[-len(START):]
        *whole, self.rest = data.split(b"\n") if self.begun else (data,)
        for raw in whole:
            self.hear(raw.decode("utf-8", "replace").rstrip("\r"))
        self.next()

    def hear(self, line):
        if self.turning:
            self.turning = not is_last(line, self.json)
            return
        self.lines.append(line)
        if not is_last(line, self.json) or not self.client:
            return
        client, self.client = self.client, None
        if client.open:
            client.answer(self.lines)
        self.next()


def make(line, folder):
    return Hub(line(folder, PORT), folder)
