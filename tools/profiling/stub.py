# SPDX-License-Identifier: MIT
"""What a profile needs of QEMU's GDB stub: a word of memory, breakpoints, and commands of QEMU's monitor."""
import socket

SECONDS = 60
STOP = b"\x03"


class Broken(Exception):
    """The machine has ended, or its stub does not answer as it should."""


class Stub:
    """A connection; it stops the machine. GDB's remote protocol: `$data#sum`, acknowledged by `+`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.settimeout(SECONDS)
        self.heard = b""
        self._packet()  # that it has stopped

    def close(self):
        self.socket.close()

    def _byte(self):
        if not self.heard:
            try:
                self.heard = self.socket.recv(4096)
            except OSError as error:
                raise Broken(f"the machine does not answer: {error}") from error
            if not self.heard:
                raise Broken("the machine has ended")
        byte, self.heard = self.heard[:1], self.heard[1:]
        return byte

    def _packet(self):
        while self._byte() != b"$":
            pass
        data = b""
        while (byte := self._byte()) != b"#":
            data += byte
        self._byte(), self._byte()
        self.socket.sendall(b"+")
        return data

    def _send(self, data):
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xff))

    def ask(self, data):
        self._send(data)
        answer = self._packet()
        if answer.startswith(b"E"):
            raise Broken(f"QEMU refuses {data.decode()}: {answer.decode()}")
        return answer

    def command(self, text):
        """One of QEMU's monitor. What it prints comes in packets before the last one."""
        self._send(b"qRcmd," + text.encode().hex().encode())
        while (answer := self._packet()) != b"OK":
            if answer[:1] != b"O":
                raise Broken(f"QEMU refuses `{text}`: {answer.decode()}")

    def clear_word(self, address):
        self.ask(b"M%x,4:00000000" % address)

    def go(self):
        self._send(b"c")

    def run_to(self, address, passed=0):
        """Until that instruction is due, for the time after `passed`. It must come within SECONDS, each time."""
        for _ in range(passed + 1):
            self.ask(b"Z0,%x,1" % address)
            self.go()
            self._packet()
            self.ask(b"z0,%x,1" % address)
            if passed:
                self._step()

    def _step(self):
        self._send(b"s")
        self._packet()

    def stop(self):
        self.socket.sendall(STOP)
        self._packet()
