"""Connections of our own, where no program that Debian has can make them: WebSockets, idle ones, and waves of requests
for counting instructions. Python is slow; what is measured is the proxy's memory, or its own CPU time."""

import asyncio
import base64
import hashlib
import re
import socket
import threading
import time

import load
from load import Wrong, path

UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
)
# 128 octets of a client: final, binary, masked with zeros. Whoever relays it looks at none of that.
MESSAGE = b"\x82\xfe\x00\x80" + b"\0\0\0\0" + b"x" * 128


# === A backend ===


def accepted(head):
    """The answer to the request head of a WebSocket, or to any other request."""
    key = re.search(rb"sec-websocket-key: *(\S+)", head, re.IGNORECASE)
    if not key:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"


class Echo(asyncio.Protocol):
    """One connection of a backend that accepts every WebSocket and then sends back what it gets."""

    def connection_made(self, transport):
        self.transport, self.head, self.open = transport, b"", False

    def data_received(self, data):
        if self.open:
            self.transport.write(data)
            return
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            self.transport.write(accepted(self.head))
            self.open, self.head = b"upgrade" in self.head.lower(), b""


def websockets(count):
    """Starts backends in a thread; returns their addresses. Debian's nginx cannot be one."""
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=4096) for _ in range(count)]

    async def serve():
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Echo, sock=listener, backlog=4096) for listener in listeners]
        await asyncio.gather(*(server.serve_forever() for server in servers))

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    return ["127.0.0.1:%d" % listener.getsockname()[1] for listener in listeners]


def backends(workload, stage, cpus):
    """The backends that a workload needs; returns their addresses."""
    return websockets(workload.backends) if "websockets" in workload.client else stage.backend(workload, cpus)


# === Clients ===


class Connection:
    """A client connection that sends one kind of request with one cookie."""

    def __init__(self, workload, proxy, cookie):
        port = proxy.tls_port if workload.tls else proxy.port
        self.socket, self.proxy, self.websocket = socket.create_connection(("127.0.0.1", port), 30), proxy, "websocket" in workload.client
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if workload.tls:
            self.socket = load.TRUSTING.wrap_socket(self.socket)
        more = UPGRADE if self.websocket else "Connection: close\r\n" if workload.close else ""
        if workload.post:
            more += f"Content-Length: {workload.post}\r\n"
        method = "POST" if workload.post else "GET"
        head = f"{method} {path(workload)} HTTP/1.1\r\nHost: compare.test\r\n{BROWSER}Cookie: {cookie}\r\n{more}\r\n"
        self.request = head.encode() + b"x" * workload.post

    def ask(self):
        """Sends the request."""
        self.socket.sendall(self.request)

    def answer(self):
        """Reads the response, to the end of its body."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._read(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")[self.websocket :]):
            raise Wrong(f"{self.proxy.name}: {head[:80]!r}")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        left = int(length[1]) - len(body) if length else 0
        while left > 0:
            left -= len(self._read(left))

    def echo(self):
        """Reads a message that was sent back."""
        left = len(MESSAGE)
        while left:
            left -= len(self._read(left))

    def _read(self, most):
        data = self.socket.recv(most)
        if not data:
            raise Wrong(f"{self.proxy.name}: closed in the middle of an answer")
        return data

    def close(self):
        """Closes it."""
        self.socket.close()


def opened(workload, proxy, cookies, count):
    """So many connections, each with one request answered, or each a WebSocket."""
    connections = [Connection(workload, proxy, cookies[number % len(cookies)]) for number in range(count)]
    for connection in connections:
        connection.ask()
        connection.answer()
    return connections


class Waves:
    """One request, message or handshake on each connection of a workload, then the next on each."""

    def __init__(self, workload, proxy, cookies):
        self.workload, self.proxy, self.cookies = workload, proxy, cookies
        anew = workload.close or workload.client == "handshakes"
        self.held = [] if anew else opened(workload, proxy, cookies, workload.connections)

    def wave(self):
        """Makes one; returns how many requests that were."""
        if self.workload.client == "handshakes":
            Connection(self.workload, self.proxy, self.cookies[0]).close()
            return 1
        if self.workload.close:
            for connection in opened(self.workload, self.proxy, self.cookies, self.workload.connections):
                connection.close()
            return self.workload.connections
        for connection in self.held:
            connection.socket.sendall(MESSAGE) if connection.websocket else connection.ask()
        for connection in self.held:
            connection.echo() if connection.websocket else connection.answer()
        return len(self.held)

    def last(self, seconds):
        """Waves for so long; the same figures as of a program's load."""
        begun, requests = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            requests += self.wave()
        return {"requests": requests, "seconds": time.monotonic() - begun, "errors": 0}

    def close(self):
        """Closes the connections that it holds."""
        for connection in self.held:
            connection.close()


def idle(workload, proxy, cookies):
    """Resident memory before and after so many connections were opened, used once and left alone for two seconds."""
    held = opened(workload, proxy, cookies, 1)
    time.sleep(1)
    before = proxy.resident()
    for number in range(workload.connections):  # one after the other, as clients come that then stay idle
        held += opened(workload, proxy, [cookies[number % len(cookies)]], 1)
    time.sleep(2)
    after = proxy.resident()
    for connection in held:
        connection.close()
    return {"connections": workload.connections, "before": before, "after": after, "per_connection": (after - before) / workload.connections}
