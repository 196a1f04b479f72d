"""The proxies and the backend: how each is configured, started, looked at and stopped.

Every proxy has the same settings: one worker on one processor, the cookie `sid` decides on the backend by consistent
hashing, connections to backends are kept, X-Forwarded-For is added, nothing is logged, nothing is buffered on disk.
"""

import os
import re
import signal
import socket
import subprocess
import time

HOMING = """
[server]
workers = 1
[log]
level = "error"
access = false
[limits]
connections = 10000
keep_alive = "10m"
[[listener]]
address = "127.0.0.1:{port}"
[[listener]]
address = "127.0.0.1:{tls_port}"
tls = [{{ cert = "{cert}", key = "{key}" }}]
[[route]]
pool = "app"
[[pool]]
name = "app"
balance = "{homing_balance}"
backend = [
{homing_backends}
]
{homing_sticky}
[pool.timeouts]
keep_alive = "1m"
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  timeout tunnel 10m
  option http-keep-alive
  option forwardfor
  http-reuse always
frontend web
  bind 127.0.0.1:{port} backlog 4096
  bind 127.0.0.1:{tls_port} ssl crt {pem} alpn h2,http/1.1 backlog 4096
  default_backend app
backend app
{haproxy_balance}
{haproxy_backends}
"""

NGINX = """
{user} worker_processes 1; {nginx_master} daemon off; pid {dir}/pid; error_log {dir}/error crit;
worker_rlimit_nofile 20000; events {{ worker_connections 19000; }}
http {{
  access_log off; server_tokens off; keepalive_timeout 10m; keepalive_requests 1000000000;
  client_body_buffer_size 64k; proxy_max_temp_file_size 0; proxy_read_timeout 10m; proxy_send_timeout 10m;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;
  http2_max_concurrent_streams 256; http2_max_requests 1000000000;
  map $http_upgrade $up {{ default upgrade; '' ''; }}
  upstream app {{
    {nginx_balance}
{nginx_backends}
    keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1m;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096 {nginx_http2}; listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Connection $up; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""

# The backend says in x-backend which of the addresses it was asked at. It is one process with one worker.
BACKEND = """
{user} worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error crit; worker_rlimit_nofile 60000;
events {{ worker_connections 50000; }}
http {{
  access_log off; server_tokens off; keepalive_timeout 1h; keepalive_requests 1000000000; default_type text/plain;
  sendfile on; open_file_cache max=10;
  client_body_buffer_size 64k; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
{listen}
    add_header x-backend $server_addr:$server_port;
    location / {{ return 200 "{body}"; }}
    location /seen {{ return 200 $http_x_forwarded_for; }}
    location /large {{ alias {dir}/large; }}
  }}
}}
"""

COMMANDS = {
    "haproxy": "haproxy -db -f {config}",
    "nginx": "nginx -p {dir} -c {config} ",
    "homing": "{binary} run -c {config}",
}


def other(text):
    """Takes in one more proxy, NAME=COMMAND, with {port}, {tls_port}, {mode} (hash or turns), {backends} (with commas
    between them), {cert} and {key} in the command."""
    name, _, COMMANDS[name] = text.partition("=")
    return name


def version(name, binary):
    """A program's name and the version it says it has."""
    command = {"haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"], "wrk": ["wrk", "-v"]}.get(name, [binary or name, "--version"])
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    said = re.search(r"\d+\.\d[^\s,]*", done.stdout)
    return f"{name} {said[0] if said else '?'}"


def addresses(count, port):
    """Where the backends listen: addresses of the loopback network, one for each."""
    return [f"127.0.{1 + number // 250}.{1 + number % 250}:{port}" for number in range(count)]


def free_port():
    """A port that nothing listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def settings(workload, backends, mode):
    """What the configurations say of placement, in the words of each."""
    turns = workload.balance == "turns"
    own = mode == "cookie"  # Homing's own cookie says where: there is no key that could be hashed
    key = "" if own else 'key = ["cookie:sid"]\n'

    def each(line):
        return "\n".join(line.format(number, address) for number, address in enumerate(backends))

    return {
        "mode": "turns" if turns else "hash",
        "backends": ",".join(backends),
        "homing_balance": "round_robin" if turns or own else "rendezvous",
        "homing_sticky": "" if turns else f'[pool.sticky]\n{key}mode = "{mode}"',
        "homing_backends": each('  {{ name = "b{0}", address = "{1}" }},'),
        "haproxy_balance": "  balance roundrobin" if turns else "  balance hash req.cook(sid)\n  hash-type consistent",
        "haproxy_backends": each("  server b{0} {1}"),
        "nginx_balance": "" if turns else "hash $cookie_sid consistent;",
        "nginx_backends": each("    server {1} max_fails=0;"),
        "nginx_http2": "http2" if workload.client == "h2load" else "",
    }


class Process:
    """A program of our own on given processors, and whatever it starts."""

    def __init__(self, command, directory, cpus):
        self.log = os.path.join(directory, "log")
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, cpus)), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory, start_new_session=True,
            )

    def wait_for(self, address):
        """Returns when it accepts connections; raises with its own words if it does not."""
        host, port = address.rsplit(":", 1)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise SystemExit(f"it does not listen on {address}:\n{log.read()[-2000:]}")

    def pids(self):
        """The process and its descendants."""
        children = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
        found = [self.child.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self):
        """CPU time of all its threads until now."""
        total = 0
        for pid in self.pids():
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as stat:
                    total += int(stat.read().split()[0])
        return total / 1e9

    def resident(self):
        """Octets of resident memory; what several of its processes share counts once."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
                total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        return total * 1024

    def stop(self):
        """Ends it and what it started, at once: nothing of a run is kept."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


class Stage:
    """A directory with a certificate in which proxies and backends are started; all of them stop with it."""

    def __init__(self, directory, binary, under=""):
        """`under` is a program that runs the proxies: valgrind. Then each is one process."""
        self.directory, self.binary, self.under, self.running, self.count = directory, binary, under, [], 0
        self.cert, self.key, self.pem = (os.path.join(directory, name) for name in ("cert.pem", "key.pem", "both.pem"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=compare.test", "-addext", "subjectAltName=DNS:compare.test", "-keyout", self.key, "-out", self.cert],
            check=True, capture_output=True,
        )
        with open(self.pem, "wb") as both:
            for part in (self.cert, self.key):
                with open(part, "rb") as file:
                    both.write(file.read())

    def _start(self, template, command, values, cpus, listens):
        self.count += 1
        directory = os.path.join(self.directory, str(self.count))
        os.mkdir(directory)
        values = {
            "dir": directory, "config": os.path.join(directory, "config"), "binary": self.binary,
            "cert": self.cert, "key": self.key, "pem": self.pem,
            "nginx_master": "master_process off;" if self.under else "",
            "user": "user root;" if os.geteuid() == 0 else "", **values,
        }
        with open(values["config"], "w", encoding="utf-8") as config:
            config.write(template.format(**values))
        large = values.get("large", 0)
        if large:
            with open(os.path.join(directory, "large"), "w", encoding="utf-8") as file:
                file.write("x" * large)
        process = Process(command.format(**values).split(), directory, cpus)
        self.running.append(process)
        process.wait_for(listens)
        return process

    def backend(self, workload, cpus):
        """Starts the backends of a workload; returns their addresses."""
        where = addresses(workload.backends, free_port())
        listen = "\n".join(f"    listen {address} backlog=4096;" for address in where)
        values = {"listen": listen, "body": "x" * min(workload.body, 1024), "large": workload.body}
        self._start(BACKEND, COMMANDS["nginx"], values, cpus, where[0])
        return where

    def proxy(self, name, workload, backends, cpu):
        """Starts a proxy before these backends. "homing-hash" is Homing in hash mode, whatever the workload says."""
        program = name.split("-")[0]
        mode = "hash" if name == "homing-hash" else workload.mode
        template = {"homing": HOMING, "haproxy": HAPROXY, "nginx": NGINX}.get(program, "")
        ports = {"port": free_port(), "tls_port": free_port()}
        values = {**ports, **settings(workload, backends, mode)}
        process = self._start(template, f"{self.under} {COMMANDS[program]}", values, [cpu], f"127.0.0.1:{ports['port']}")
        process.name, process.port, process.tls_port = name, ports["port"], ports["tls_port"]
        return process

    def clear(self):
        """Stops all that was started."""
        while self.running:
            self.running.pop().stop()
