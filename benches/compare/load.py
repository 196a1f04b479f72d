"""Loads that others make: wrk, h2load and openssl; and the look whether the answers are right before they begin."""

import hashlib
import http.client
import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without session tickets of before: each handshake is a full one
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE


class Wrong(Exception):
    """A proxy does not do what is measured; its figures would mean nothing."""


def session(number):
    """The cookies of a session; `sid` is 32 hexadecimal digits, as of a usual session store."""
    sid = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return f"theme=dark; _ga=GA1.2.1033501218.1368477899; sid={sid}; lang=en"


def sessions(workload):
    """The cookies of all sessions of a workload."""
    return [session(number) for number in range(workload.sessions)]


def path(workload):
    """What is asked for."""
    return "/large" if workload.body > 1024 else "/"


# === Whether the answers are right ===


class Client:
    """One HTTP/1.1 connection to a proxy. Where its plain port has only HTTP/2 it is the one with TLS."""

    def __init__(self, workload, proxy):
        self.tls = workload.tls or workload.client == "h2load"
        if self.tls:
            self.connection = http.client.HTTPSConnection("127.0.0.1", proxy.tls_port, timeout=30, context=TRUSTING)
        else:
            self.connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)

    def ask(self, method, target, cookie, body=None):
        """Sends a request; returns status, headers and body."""
        self.connection.request(method, target, body=body, headers={"Cookie": cookie, "Host": "compare.test"})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()


def verify(workload, proxy):
    """Looks whether a proxy answers rightly and is sticky. Returns the Cookie header of each session."""
    client, cookies, homes = Client(workload, proxy), [], set()
    method, body = ("POST", b"x" * workload.post) if workload.post else ("GET", None)
    for number in range(workload.sessions):
        cookie = session(number)
        seen = []
        for _ in range(3):
            status, headers, answer = client.ask(method, path(workload), cookie, body)
            if status != 200 or len(answer) != workload.body:
                raise Wrong(f"{proxy.name}: status {status}, {len(answer)} octets instead of {workload.body}")
            if headers["set-cookie"]:
                cookie += "; " + headers["set-cookie"].split(";")[0]
            seen.append(headers["x-backend"])
        if workload.balance != "turns" and len(set(seen)) != 1:
            raise Wrong(f"{proxy.name}: session {number} was at {', '.join(seen)}")
        homes.update(seen)
        cookies.append(cookie)
    if len(homes) < 2:
        raise Wrong(f"{proxy.name}: all sessions are at {homes}")
    if client.ask("GET", "/seen", cookies[0])[2] != b"127.0.0.1":
        print(f"  {proxy.name} adds no X-Forwarded-For, and is let off that work", file=sys.stderr)
    return cookies


# === Loads ===


def wrk(workload, proxy, seconds, cookies):
    """Each thread of wrk is a session, so that its requests are made once and a connection keeps its cookie."""
    scheme, port = ("https", proxy.tls_port) if workload.tls else ("http", proxy.port)
    threads = min(workload.sessions, workload.connections)
    return [
        "wrk", f"-t{threads}", f"-c{workload.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", os.path.join(HERE, "session.lua"),
        f"{scheme}://127.0.0.1:{port}{path(workload)}", "--",
        "POST" if workload.post else "GET", str(workload.post), "close" if workload.close else "keep", *cookies,
    ]


def h2load(workload, proxy, seconds, cookies):
    """All streams carry one cookie: h2load knows only headers that all requests have."""
    return [
        "h2load", "-D", f"{seconds}s", "-c", str(workload.connections), "-m", "100", "-H", f"cookie: {cookies[0]}",
        f"http://127.0.0.1:{proxy.port}{path(workload)}",
    ]


def handshakes(workload, proxy, seconds, _cookies):
    """Each connection of openssl is a new session: wrk's are resumed."""
    one = f"openssl s_time -connect 127.0.0.1:{proxy.tls_port} -new -tls1_3 -time {seconds}"
    return ["sh", "-c", f"for i in $(seq {workload.connections}); do {one} & done; wait"]


def read_wrk(text):
    """What session.lua printed last."""
    return json.loads(text.strip().split("\n")[-1])


def read_h2load(text):
    """Its summary. Latencies are of 400 streams that wait for each other: not shown."""
    done = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    took = re.search(r"finished in ([\d.]+)(ms|s)", text)
    good = re.search(r"status codes: (\d+) 2xx", text)
    seconds = float(took[1]) / (1000 if took[2] == "ms" else 1)
    return {"requests": int(good[1]), "seconds": seconds, "errors": sum(map(int, done.groups()[2:]))}


def read_handshakes(text):
    """The sum over its processes."""
    found = re.findall(r"^(\d+) connections in (\d+) real seconds", text, re.MULTILINE)
    return {"requests": sum(int(count) for count, _ in found), "seconds": max(int(took) for _, took in found), "errors": 0}


CLIENTS = {"wrk": (wrk, read_wrk), "h2load": (h2load, read_h2load), "handshakes": (handshakes, read_handshakes)}


def counts_instructions():
    """Whether this machine lets perf count instructions: most virtual ones do not."""
    try:
        tried = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return tried.stderr[:1].isdigit()


def measure(workload, proxy, seconds, cookies):
    """One round: a load for so many seconds, and what it cost the proxy. CPU time is that of the proxy alone."""
    make, read = CLIENTS[workload.client]
    command = make(workload, proxy, seconds, cookies)
    with tempfile.NamedTemporaryFile("r") as counted:
        whole = command
        if counts_instructions():
            pids = ",".join(map(str, proxy.pids()))
            whole = ["perf", "stat", "-x,", "-o", counted.name, "-e", "instructions:u", "-p", pids, *command]
        before = proxy.cpu_seconds()
        done = subprocess.run(whole, capture_output=True, text=True, timeout=60 + 10 * seconds, check=False)
        cpu = proxy.cpu_seconds() - before
        instructions = re.search(r"^(\d+),,instructions:u", counted.read(), re.MULTILINE)
    try:
        result = read(done.stdout)
    except (ValueError, TypeError):
        result = {"requests": 0, "seconds": 0, "errors": 1, "said": (done.stdout + done.stderr)[-500:]}
    if instructions and result["requests"]:
        result["user_instructions"] = int(instructions[1]) / result["requests"]
    return {**costs(result, cpu), "command": shlex.join(command)}


def costs(result, cpu):
    """What a round cost, and whether it counts."""
    requests = result["requests"]
    each = {"cpu_us": cpu * 1e6 / requests} if requests else {}
    return {**result, **each, "cpu_seconds": cpu, "void": bool(result["errors"] or not requests)}
