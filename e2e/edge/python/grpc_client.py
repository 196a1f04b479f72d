"""grpcio against the servers of topics/grpc.mjs.

    python grpc_client.py calls ADDRESS [CA-FILE]     every kind of call and error
    python grpc_client.py stick ADDRESS BACKENDS      sessions by a metadata field, on one channel
    python grpc_client.py gone ADDRESS                nobody serves any more
    python grpc_client.py homes ADDRESS               prints the backends that answer
"""

import os
import queue
import sys
from concurrent import futures

import grpc
from checks import check, same

PATIENCE = 20
LARGE = 16 * 1024 * 1024
LONGEST = 2 * LARGE
SERVICE = "/homing.Check/"
OPTIONS = [("grpc.max_receive_message_length", LONGEST), ("grpc.max_send_message_length", LONGEST),
           ("grpc.enable_http_proxy", 0)]

code = grpc.StatusCode


def channel_to(address, ca=None):
    if ca is None:
        return grpc.insecure_channel(address, OPTIONS)
    with open(ca, "rb") as file:
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()), OPTIONS)


def failure(call):
    """The error that a call ends with."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"answered with {answer!r} instead of an error")


class Calls:
    """What there is to call, on one channel."""

    def __init__(self, channel):
        self.echo = channel.unary_unary(SERVICE + "Echo")
        self.count = channel.unary_stream(SERVICE + "Count")
        self.total = channel.stream_unary(SERVICE + "Total")
        self.talk = channel.stream_stream(SERVICE + "Talk")
        self.hang = channel.unary_unary(SERVICE + "Hang")
        self.hang_on = channel.unary_stream(SERVICE + "HangOn")
        self.fail = channel.unary_unary(SERVICE + "Fail")
        self.fail_late = channel.unary_stream(SERVICE + "FailLate")
        self.nothing = channel.unary_unary(SERVICE + "Nothing")
        self.elsewhere = channel.unary_unary("/else.Where/Call")


def unary(calls):
    for message in (b"", b"hello", os.urandom(70_000)):
        same(calls.echo(message, timeout=PATIENCE) == message, True, "the echo")


def server_stream(calls):
    got = list(calls.count(b"1000", timeout=PATIENCE))
    same(got, [b"%d" % number for number in range(1000)], "the stream")
    same(list(calls.count(b"0", timeout=PATIENCE)), [], "an empty stream")


def client_stream(calls):
    sizes = [0, 1, 70_000] * 50
    same(calls.total((os.urandom(size) for size in sizes), timeout=PATIENCE), b"%d %d" % (len(sizes), sum(sizes)), "the sum")
    same(calls.total(iter(()), timeout=PATIENCE), b"0 0", "the sum of nothing")


def interleaved(calls):
    """Each message is sent only when the former has been answered."""
    outgoing = queue.SimpleQueue()
    answers = calls.talk(iter(outgoing.get, None), timeout=PATIENCE)
    for number in range(50):
        outgoing.put(b"%d" % number)
        same(next(answers).split(b": ")[1], b"%d" % number, "the answer")
    outgoing.put(None)
    same(list(answers), [], "the rest")


def metadata(calls):
    sent = (("x-say", "a, b"), ("x-say-bin", b"\x00\xff\x80"))
    _, call = calls.echo.with_call(b"", metadata=sent, timeout=PATIENCE)
    same("x-backend" in dict(call.initial_metadata()), True, "the backend's name comes first")
    back = dict(call.trailing_metadata())
    same((back["x-saw"], back["x-saw-bin"]), ("a, b", b"\x00\xff\x80"), "what comes back behind the message")


def large(calls):
    message = os.urandom(LARGE)
    same(calls.echo(message, timeout=2 * PATIENCE) == message, True, "16 MiB come back as they were")


def together(calls):
    messages = [b"%d" % number for number in range(300)]
    under_way = [calls.echo.future(message, timeout=PATIENCE) for message in messages]
    same([call.result() for call in under_way], messages, "each call's own answer")


def deadline(calls):
    error = failure(lambda: calls.hang(b"deadline", timeout=0.5))
    same(error.code(), code.DEADLINE_EXCEEDED, "the status")


def cancel(calls):
    stream = calls.hang_on(b"cancel", timeout=PATIENCE)
    same(next(stream), b"first", "the first message")
    stream.cancel()


def status(calls):
    for request in (b"at once", b"with head"):
        error = failure(lambda: calls.fail(request, timeout=PATIENCE))
        same((error.code(), error.details()), (code.FAILED_PRECONDITION, "not now: 100 % Grüße"), "the status")
        back = dict(error.trailing_metadata())
        same((back["grpc-status-details-bin"], back["x-hint"]), (b"\x00\x01details", "try later"), "its trailers")


def late(calls):
    stream = calls.fail_late(b"", timeout=PATIENCE)
    same([next(stream), next(stream)], [b"one", b"two"], "the messages before")
    error = failure(lambda: next(stream))
    same((error.code(), error.details()), (code.DATA_LOSS, "the rest is lost"), "the status")


def unknown(calls):
    error = failure(lambda: calls.nothing(b"", timeout=PATIENCE))
    same((error.code(), error.details()), (code.UNIMPLEMENTED, "Method not found!"), "the backend's own status")


def no_route(calls):
    error = failure(lambda: calls.elsewhere(b"", timeout=PATIENCE))
    same(error.code(), code.UNIMPLEMENTED, "the proxy's status")
    same("Method not found" in error.details(), False, "an answer of the proxy, not of a backend")


def make_calls(address, ca=None):
    way = "with TLS" if ca else "h2c"
    with channel_to(address, ca) as channel:
        calls = Calls(channel)
        for title, run in [
            ("a unary call", unary), ("a stream of the server", server_stream), ("a stream of the client", client_stream),
            ("both stream, in turns", interleaved), ("metadata both ways", metadata), ("16 MiB both ways", large),
            ("300 calls at one time", together), ("a deadline", deadline), ("a stream that is cancelled", cancel),
            ("an error with details, with trailers only and behind a head", status), ("an error behind messages", late),
            ("a method that the backend does not have", unknown), ("a service without a route is UNIMPLEMENTED", no_route),
        ]:
            with check(f"{way}, {title}"):
                run(calls)


def home(calls, session):
    _, call = calls.echo.with_call(b"", metadata=(("x-session", session),), timeout=PATIENCE)
    return dict(call.initial_metadata())["x-backend"]


def stick(address, backends):
    with channel_to(address) as channel, check("sessions by metadata keep their backend on one channel"):
        calls = Calls(channel)
        sessions = [f"session-{number}" for number in range(40)]
        homes = {session: home(calls, session) for session in sessions}
        same(sorted(set(homes.values())), sorted(backends.split(",")), "the backends that have sessions")
        with futures.ThreadPoolExecutor(20) as pool:
            for _ in range(5):
                again = dict(zip(sessions, pool.map(lambda session: home(calls, session), sessions)))
                same(again, homes, "the homes")
        answers = [list(calls.talk(iter([b"x"] * 3), metadata=(("x-session", session),), timeout=PATIENCE)) for session in sessions]
        same(answers, [[homes[session].encode() + b": x"] * 3 for session in sessions], "the homes of streams")


def gone(address):
    with channel_to(address) as channel, check("where nobody serves, the proxy says UNAVAILABLE"):
        error = failure(lambda: Calls(channel).echo(b"", timeout=PATIENCE))
        same(error.code(), code.UNAVAILABLE, "the status")
        # What grpcio makes up itself where it has no connection, or lost it, names sockets.
        back = dict(error.trailing_metadata() or ()) | dict(error.initial_metadata() or ())
        same("proxy-status" in back, True, f"the proxy's own field beside {error.details()}")


def homes(address):
    with channel_to(address) as channel:
        calls = Calls(channel)
        print(*sorted({home(calls, f"fresh-{os.urandom(4).hex()}") for _ in range(30)}))


{"calls": make_calls, "stick": stick, "gone": gone, "homes": homes}[sys.argv[1]](*sys.argv[2:])
