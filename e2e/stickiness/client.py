"""A socket.io client without cookies, in Python: talks over long-polling alone, then with an upgrade to WebSocket.

    python client.py URL

Exits with 0 if nothing broke, with 3 and the reason on standard output if the session was lost.
"""

import os
import sys

import socketio

PATIENCE = 5
MESSAGES = 4
SESSIONS = 3


class Broken(Exception):
    """The session is not where it was."""


def intact(condition, how):
    if not condition:
        raise Broken(how)


def talk(url, transports):
    """One session: connects, and each message must be counted by the one backend that has the session."""
    client = socketio.Client(reconnection=False)
    wanted = transports[-1]
    try:
        client.connect(url, transports=transports, wait_timeout=PATIENCE)
        intact(client.transport() == wanted, f"over {client.transport()} instead of {wanted}")
        answers = [client.call("say", "hello", timeout=PATIENCE) for _ in range(MESSAGES)]
    except socketio.exceptions.SocketIOError as error:
        raise Broken(f"{wanted}: {type(error).__name__} {error}") from error
    client.disconnect()
    intact([answer["messages"] for answer in answers] == list(range(1, MESSAGES + 1)), f"counted as {answers}")
    intact(len({answer["at"] for answer in answers}) == 1, f"on several backends: {answers}")


def main():
    for _ in range(SESSIONS):
        talk(sys.argv[1], ["polling"])
        talk(sys.argv[1], ["polling", "websocket"])


if __name__ == "__main__":
    try:
        main()
    except Broken as error:
        print(error, flush=True)
        # Not sys.exit: that waits for the client's threads, and they for the end of a long poll that went astray.
        os._exit(3)
