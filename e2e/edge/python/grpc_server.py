"""A gRPC server for topics/grpc.mjs, without generated code: messages are octets.

    python grpc_server.py NAME [ADDRESS]

Says its address, then takes orders on standard input and answers each with a line: `serving`, `not serving`,
`cancelled` (the names of the calls that were cancelled).
"""

import sys
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "homing.Check"
LONGEST = 32 * 1024 * 1024
PATIENCE = 30

name = sys.argv[1]
cancelled = []


def announce(context):
    context.send_initial_metadata((("x-backend", name),))


def echo(request, context):
    """Sends back the message and the metadata that came with it."""
    got = dict(context.invocation_metadata())
    announce(context)
    context.set_trailing_metadata((("x-saw", got.get("x-say", "")), ("x-saw-bin", got.get("x-say-bin", b""))))
    return request


def count(request, context):
    """A stream of as many messages as were asked for."""
    announce(context)
    for number in range(int(request)):
        yield b"%d" % number


def total(requests, context):
    """How many messages and octets came."""
    announce(context)
    sizes = [len(request) for request in requests]
    return b"%d %d" % (len(sizes), sum(sizes))


def talk(requests, context):
    """Answers each message as it comes."""
    announce(context)
    for request in requests:
        yield b"%s: %s" % (name.encode(), request)


def hang(request, context):
    """Never answers; notes that the caller has given up."""
    gone = threading.Event()
    context.add_callback(lambda: (cancelled.append(request.decode()), gone.set()))
    gone.wait(PATIENCE)
    return b""


def hang_on(request, context):
    """The same, after a first message."""
    gone = threading.Event()
    context.add_callback(lambda: (cancelled.append(request.decode()), gone.set()))
    yield b"first"
    gone.wait(PATIENCE)


def fail(request, context):
    """Ends with an error before any message; `with head` sends initial metadata first."""
    if request == b"with head":
        announce(context)
    context.set_trailing_metadata((("grpc-status-details-bin", b"\x00\x01details"), ("x-hint", "try later")))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % Grüße")


def fail_late(request, context):
    """Ends with an error behind some messages."""
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
    "HangOn": grpc.unary_stream_rpc_method_handler(hang_on),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
}


def main():
    options = [("grpc.max_receive_message_length", LONGEST), ("grpc.max_send_message_length", LONGEST), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=40), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, METHODS),))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    status = health_pb2.HealthCheckResponse
    servicer.set("", status.SERVING)
    port = server.add_insecure_port(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    for order in sys.stdin:
        order = order.strip()
        if order == "cancelled":
            print(" ".join(cancelled), flush=True)
            continue
        servicer.set("", {"serving": status.SERVING, "not serving": status.NOT_SERVING}[order])
        print(order, flush=True)
    server.stop(None)


main()
