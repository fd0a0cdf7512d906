# SPDX-License-Identifier: MIT
"""What carries datagrams: a UDP socket, or the Ethernet cable of a machine in an emulator, which is a
pair of Unix sockets in the machine's folder (tools/machines.py).

A transport has send(datagram, to), which says whether it went, receive() -> (datagram, whose) or
None, and fileno(). `whose` is what send() takes.
"""
import errno
import os
import socket

from link import ether

BUFFER = 4 << 20
FRAME_MAX = 65536
BUSY = (errno.EAGAIN, errno.ENOBUFS)


class Problem(Exception):
    """Something the user can put right; the text names the thing and the remedy."""


class Udp:
    """A socket at HOST:PORT; `peer`: where the asker sends to, or None."""

    def __init__(self, host, port, peer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer = peer
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        try:
            self.socket.bind((host, port))
        except OSError as error:
            self.socket.close()
            raise Problem(f"cannot listen at {host}:{port}: {error.strerror}; name another port with "
                          "--udp HOST:PORT, or end the program that has this one") from error
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def fileno(self):
        return self.socket.fileno()

    def send(self, datagram, to=None):
        try:
            self.socket.sendto(datagram, to or self.peer)
        except OSError as error:
            # Nobody there, for now, is as if it were lost on the way.
            return error.errno not in BUSY
        return True

    def receive(self):
        while True:
            try:
                return self.socket.recvfrom(FRAME_MAX)
            except BlockingIOError:
                return None
            except ConnectionError:
                continue  # nobody took an earlier datagram

    def close(self):
        self.socket.close()


class Cable:
    """The far end of a machine's cable. Takes the place of tools/wire, or is at the wire's end."""

    def __init__(self, folder, number, wired=False):
        """@folder: the machine's, or, if there is a wire between, one of our own. @number: of this
        side: 1 is the source, 2 the destination."""
        here, there = ("link.sock", "link.wire") if wired else ("link.wire", "link.sock")
        try:
            self.folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Problem(f"{folder}: {error.strerror}; name the folder of a machine with a link") from error
        # Short, whatever the folder is called: a socket's name has 107 bytes.
        self.here, self.there = (f"/proc/self/fd/{self.folder}/{name}" for name in (here, there))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = os.path.join(folder, here)
        self._bind()
        self.socket.setblocking(False)
        self.ether = ether.Ether(number, 3 - number)

    def _bind(self):
        try:
            if os.path.lexists(self.here):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                    probe.connect(self.here)
                raise Problem(f"{self.name} is in use: another program is at this end of the cable; end it first")
        except ConnectionError:
            os.unlink(self.here)  # of one that is gone
        try:
            self.socket.bind(self.here)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        except OSError as error:
            raise Problem(f"cannot make {self.name}: {error.strerror}") from error

    def fileno(self):
        return self.socket.fileno()

    def _put(self, frame):
        try:
            self.socket.sendto(frame, self.there)
        except OSError as error:
            return error.errno not in BUSY
        return True

    def send(self, datagram, _to=None):
        # Where the peer is nobody has said yet: it is asked, and the datagram is lost.
        return self._put(self.ether.wrap(datagram) or self.ether.ask())

    def receive(self):
        while True:
            try:
                frame = self.socket.recv(FRAME_MAX)
            except OSError:
                return None
            datagram, answer = self.ether.read(frame)
            if answer:
                self._put(answer)  # if it is lost, we are asked again
            if datagram is not None:
                return datagram, None

    def close(self):
        self.socket.close()
        if os.path.lexists(self.here):
            os.unlink(self.here)
        os.close(self.folder)
