"""What is measured, and with which settings. How a load is made is in load.py."""

from dataclasses import dataclass

EVERY = ("homing", "haproxy", "nginx")


@dataclass(frozen=True)
class Workload:
    """One kind of traffic, the same for every proxy."""

    name: str
    what: str
    client: str = "wrk"  # or "h2load", "handshakes", "websockets", "idle", "idle-websockets"
    subjects: tuple = EVERY
    balance: str = "hash"  # of the cookie "sid"; or "turns": round robin
    mode: str = "hash"  # how Homing remembers: "hash", "table", "cookie"
    backends: int = 4
    sessions: int = 16  # each has the same number of connections
    connections: int = 64
    body: int = 100  # octets of a response
    post: int = 0  # octets of a request
    close: bool = False  # a new connection for each request
    tls: bool = False

    def with_other(self, other):
        """Who takes part, with one more where Homing is compared with others."""
        return (*self.subjects, other) if other and self.subjects == EVERY else self.subjects


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "keep-alive GET, 100 octets, by cookie"),
        Workload("W1t", "as W1, Homing with mode = \"table\"", mode="table", subjects=("homing", "homing-hash")),
        Workload("W1c", "as W1, Homing with mode = \"cookie\"", mode="cookie", subjects=("homing", "homing-hash")),
        Workload("W2", "keep-alive GET, 100 octets, round robin", balance="turns"),
        Workload("W3a", "responses of 64 KiB", body=65536, connections=32),
        Workload("W4", "POST of 16 KiB", post=16384),
        Workload("W5", "a new connection for each request", close=True),
        Workload("W6", "TLS 1.3, keep-alive GET, 100 octets", tls=True),
        Workload("W6hs", "full TLS 1.3 handshakes, ECDSA P-256", tls=True, client="handshakes", connections=4),
        Workload("W7", "HTTP/2 to HTTP/1.1, 4 connections of 100 streams", client="h2load", connections=4),
        Workload("W8", "WebSocket messages of 128 octets, echoed", client="websockets"),
        Workload("W9", "as W1, 1,000 backends, 64 sessions", backends=1000, sessions=64),
        Workload("M", "an idle keep-alive connection", client="idle", connections=2000),
        Workload("Mws", "an idle WebSocket", client="idle-websockets", connections=2000),
        Workload("Mtls", "an idle WebSocket over TLS", client="idle-websockets", connections=2000, tls=True),
    )
}
