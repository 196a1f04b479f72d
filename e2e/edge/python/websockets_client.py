"""Python's websockets against the servers of topics/websockets.mjs.

    python websockets_client.py URL [CA-FILE]
"""

import asyncio
import os
import ssl
import sys

from checks import check, same
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PATIENCE = 20
LARGE = 8 * 1024 * 1024


def open_to(url, ca, **options):
    """A connection, with TLS trusted by the authority's file where the URL wants it."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    return connect(url, ssl=context, max_size=2 * LARGE, proxy=None, open_timeout=PATIENCE, **options)


async def messages(url, ca, options):
    async with open_to(f"{url}/echo", ca, **options) as socket:
        for message in ["", "short", "Grüße, 世界 🎲", b"", b"\x00\xff", os.urandom(125), os.urandom(126), os.urandom(65_536)]:
            await socket.send(message)
            same(await asyncio.wait_for(socket.recv(), PATIENCE), message, "the echo")


async def large(url, ca):
    async with open_to(f"{url}/echo", ca) as socket:
        message = os.urandom(LARGE)
        await socket.send(message)
        same(await asyncio.wait_for(socket.recv(), PATIENCE) == message, True, "8 MiB come back as they were")


async def fragmented(url, ca):
    async with open_to(f"{url}/echo", ca) as socket:
        parts = [os.urandom(size) for size in (1, 70_000, 0, 5)]
        await socket.send(iter(parts))
        same(await asyncio.wait_for(socket.recv(), PATIENCE), b"".join(parts), "the echo of what came in parts")
    async with open_to(f"{url}/fragments", ca) as socket:
        parts = [part async for part in socket.recv_streaming()]
        same(parts, ["one ", "two ", "three"], "the fragments of the backend, each by itself")


async def pings(url, ca):
    async with open_to(f"{url}/ping", ca) as socket:
        for payload in (b"", b"hello", b"x" * 125):
            await asyncio.wait_for(await socket.ping(payload), PATIENCE)
        # The backend pings when it is connected, and says so when the pong is back.
        same(await asyncio.wait_for(socket.recv(), PATIENCE), "pong from-backend", "the answer to the backend's ping")


async def closes(url, ca):
    async with open_to(f"{url}/last", ca) as socket:
        before = socket.id.hex
        await socket.send(before)
        await asyncio.wait_for(socket.recv(), PATIENCE)
        await socket.close(4001, "had enough")
    async with open_to(f"{url}/last", ca) as socket:
        await socket.send("")
        same(await asyncio.wait_for(socket.recv(), PATIENCE), f"{before} 4001 had enough", "what the backend was told")
    for code, reason in [(1000, ""), (1001, "going"), (4002, "über"), (1011, "x" * 120)]:
        async with open_to(f"{url}/close?{code}", ca) as socket:
            await socket.send(reason)
            try:
                await asyncio.wait_for(socket.recv(), PATIENCE)
                raise AssertionError("a message instead of a close")
            except ConnectionClosed as closed:
                same((closed.rcvd.code, closed.rcvd.reason), (code, reason), "what the client was told")


async def subprotocol(url, ca):
    async with open_to(f"{url}/echo", ca, subprotocols=["chat.v2", "chat.v1"]) as socket:
        same(socket.subprotocol, "chat.v1", "the backend's choice")


async def many(url, ca):
    async def one(number):
        async with open_to(f"{url}/echo", ca) as socket:
            for turn in range(20):
                await socket.send(f"{number}:{turn}")
                same(await asyncio.wait_for(socket.recv(), PATIENCE), f"{number}:{turn}", "its own echo")

    await asyncio.gather(*(one(number) for number in range(50)))


async def main(url, ca=None):
    scheme = url.split("://")[0]
    with check(f"{scheme}, messages of all sizes, compressed"):
        await messages(url, ca, {})
    with check(f"{scheme}, messages of all sizes, as they are"):
        await messages(url, ca, {"compression": None})
    for title, run in [("8 MiB in one message", large), ("messages in fragments, both ways", fragmented),
                       ("ping and pong, both ways", pings), ("close codes and reasons, both ways", closes),
                       ("a subprotocol is agreed on", subprotocol), ("50 at one time, nobody gets another's", many)]:
        with check(f"{scheme}, {title}"):
            await run(url, ca)


asyncio.run(main(*sys.argv[1:]))
