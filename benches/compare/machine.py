"""What is at hand: the programs that are needed, a build of Homing, the processors, and how they call themselves."""

import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys

import load
import proxies

ROOT = os.path.dirname(os.path.dirname(load.HERE))
PACKAGES = {"h2load": "nghttp2-client", "taskset": "util-linux"}  # where they are not called as the program is


def need(programs):
    """Says what is missing and how to get it; installs nothing. Takes as many descriptors as it may."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [PACKAGES.get(program, program) for program in programs if not shutil.which(program)]
    if missing:
        sys.exit(f"missing; as root: apt-get install {' '.join(missing)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def built():
    """A release build from this tree."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "homing"], cwd=ROOT, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, check=True, capture_output=True, text=True)
    return os.path.join(json.loads(metadata.stdout)["target_directory"], "release", "homing")


def processors():
    """The processors: the first is the proxy's; the others are for the load and the backends, and for this process."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("one processor only: the proxies share it with the load and the backends", file=sys.stderr)
        cpus *= 2
    os.sched_setaffinity(0, cpus[1:])
    return cpus


def setup(binary, programs):
    """Where and with what it was measured: the first line of a record."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return {
        "kind": "setup",
        "date": datetime.date.today().isoformat(),
        "processor": models[0] if models else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "versions": {"homing": proxies.version("homing", binary), **{name: proxies.version(name, None) for name in programs}},
    }
