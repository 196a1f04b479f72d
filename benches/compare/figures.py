"""From rounds to figures: what `run`, `count` or the generator `pload` recorded becomes one form, and that tables.

The form, which `record` writes to docs/performance.json: `runs` say where and with what it was measured; each of
`workloads` has the medians of its `subjects`, under `ratios` what Homing does per CPU second over what another does,
and under `over_haproxy` what each does over HAProxy: median, least and greatest of the rounds. A ratio is of two
measurements of one round, never of two medians. `counts` are instructions in user space, `memory` octets.
"""

import json
import statistics

from workloads import WORKLOADS

PEERS = ("haproxy", "nginx", "pingora")
LABELS = {"homing": "Homing", "homing-hash": "Homing, hash mode", "haproxy": "HAProxy", "nginx": "nginx", "pingora": "Pingora"}
WHAT = {
    **{name: workload.what for name, workload in WORKLOADS.items()},
    "W1r": "as W1, the cookie changes with each request",
    "W9r": "1,000 backends, 1,024 sessions in turn",
}
ORDER = ["W1", "W1r", "W1t", "W1c", "W2", "W3a", "W4", "W5", "W6", "W6hs", "W7", "W8", "W9", "W9r", "M", "Mws", "Mtls"]
PARTS = ("workloads", "counts", "memory")
MEDIANS = ("cpu_us", "per_cpu_second", "per_second", "p50_us", "p99_us", "user_instructions", "system_calls")


def collect(paths):
    """Reads recorded runs, in either form, into one record. A later one replaces what it measured again."""
    record = {"runs": [], "workloads": {}, "counts": {}, "memory": {}}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.strip()]
        record["runs"].append(next((without(line, "kind") for line in lines if line.get("kind") == "setup"), {}))
        for name, rounds in timed(lines).items():
            record["workloads"][name] = {"what": WHAT.get(name, ""), "run": len(record["runs"]) - 1, **summary(rounds)}
        for line in lines:
            if line.get("kind") == "count":
                counts = record["counts"].setdefault(line["workload"], {"what": WHAT[line["workload"]], "subjects": {}})
                counts["run"] = len(record["runs"]) - 1
                counts["subjects"][line["subject"]] = rounded(line["user_instructions"])
        for name, subjects in remembered(lines).items():
            record["memory"][name] = {"what": WHAT[name], "run": len(record["runs"]) - 1, "subjects": subjects}
    for part in PARTS:
        record[part] = {name: record[part][name] for name in ORDER if name in record[part]}
    return record


def without(line, key):
    """A copy without one key."""
    return {name: value for name, value in line.items() if name != key}


def timed(lines):
    """Of each workload and subject the rounds that count, by their number."""
    found = {}
    for line in lines:
        if line.get("kind") == "round" and not line["void"]:
            figures = {**line, "per_cpu_second": 1e6 / line["cpu_us"], "per_second": line["requests"] / line["seconds"]}
            found.setdefault(line["workload"], {}).setdefault(line["subject"], {})[line["round"]] = figures
        elif "all" in line:  # pload
            name = "W9r" if line["w"] == "W9" else line["w"]
            found.setdefault(name, {})[line["s"]] = dict(pload_rounds(line))
    return found


def pload_rounds(line):
    """Its rounds under our names. Those that were not of the mode (where the host had put the processors) that the most
    rounds have do not count, nor those with errors."""
    names = {"us": "cpu_us", "rpcs": "per_cpu_second", "rps": "per_second", "p50": "p50_us", "p99": "p99_us", "iu": "user_instructions", "sysc": "system_calls"}
    for number, one in enumerate(line["all"]):
        if not one.get("errs") and line["mode"] in (None, one["mode"]):
            yield number, {ours: one[theirs] for theirs, ours in names.items() if one.get(theirs)}


def remembered(lines):
    """Octets of resident memory for each idle connection, of each kind and subject."""
    found = {}
    for line in lines:
        if line.get("kind") == "memory":
            found.setdefault(line["workload"], {})[line["subject"]] = round(line["per_connection"])
        elif "mem" in line:  # pload: KiB, without and with 5,000 connections
            held = {name: phase["Rss"] for name, phase in line["mem"].items()}
            found.setdefault("M", {})[line["s"]] = round((held["5k_ka"] - held["idle"]) * 1024 / 5000)
            found.setdefault("Mws", {})[line["s"]] = round((held["5k_ws"] - held["idle_ws"]) * 1024 / 5000)
    return found


def summary(rounds):
    """Medians of each subject; ratios of the first, which is Homing, to each other."""
    subjects = {}
    for subject, numbered in rounds.items():
        columns = {name: [one[name] for one in numbered.values() if name in one] for name in MEDIANS}
        subjects[subject] = {name: rounded(statistics.median(column)) for name, column in columns.items() if column}
        subjects[subject]["rounds"] = len(numbered)
    return {"subjects": subjects, "ratios": paired(rounds, "homing"), "over_haproxy": over(rounds, "haproxy")}


def paired(rounds, ours):
    """What one does over what each other does, in the same rounds."""
    others = {subject: numbered for subject, numbered in rounds.items() if subject != ours}
    return spreads({subject: (rounds.get(ours, {}), numbered) for subject, numbered in others.items()})


def over(rounds, theirs):
    """What each other does over what one does, in the same rounds."""
    others = {subject: numbered for subject, numbered in rounds.items() if subject != theirs}
    return spreads({subject: (numbered, rounds.get(theirs, {})) for subject, numbered in others.items()})


def spreads(pairs):
    """Median, least and greatest ratio of requests per CPU second, of those that have a round in common."""
    found = {}
    for subject, (above, below) in pairs.items():
        ratios = [above[number]["per_cpu_second"] / below[number]["per_cpu_second"] for number in above if number in below]
        if ratios:
            found[subject] = {"median": rounded(statistics.median(ratios)), "min": rounded(min(ratios)), "max": rounded(max(ratios))}
    return found


def rounded(value):
    """Four digits that mean something; more are noise."""
    return float(f"{value:.4g}")


# === Tables ===


def table(head, rows):
    """A table in markdown, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---", "---"] + ["--:"] * (len(head) - 2)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def ratio(one):
    """The median, and in brackets the least and the greatest."""
    return f"{one['median']:.2f} ({one['min']:.2f}–{one['max']:.2f})" if one else "–"


def shown(record, part):
    """Who of the peers was measured at all."""
    return [peer for peer in PEERS if any(peer in one["subjects"] for one in record[part].values())]


def against(record):
    """Requests per CPU second, and Homing's over each peer's."""
    peers = shown(record, "workloads")
    head = ["", "workload", *(f"{LABELS[name]}" for name in ("homing", *peers)), *(f"over {LABELS[name]}" for name in peers)]
    rows = []
    for name, one in record["workloads"].items():
        if any(peer in one["subjects"] for peer in peers):
            each = [one["subjects"].get(subject, {}).get("per_cpu_second") for subject in ("homing", *peers)]
            rows.append([name, one["what"], *(f"{value:,.0f}" if value else "–" for value in each), *(ratio(one["ratios"].get(peer)) for peer in peers)])
    return table(head, rows) if rows else ""


def modes(record):
    """What Homing's modes with memory cost, over hash mode in the same rounds."""
    rows = [
        [name, one["what"], f"{one['subjects']['homing']['per_cpu_second']:,.0f}", ratio(one["ratios"]["homing-hash"])]
        for name, one in record["workloads"].items()
        if "homing-hash" in one["ratios"]
    ]
    return table(["", "workload", "Homing", "over hash mode"], rows) if rows else ""


def clock(record):
    """What the clock on the wall says, where latencies were recorded."""
    rows = []
    for name, one in record["workloads"].items():
        for subject, figures in one["subjects"].items():
            if "p99_us" in figures:
                rows.append([name, LABELS[subject], f"{figures['per_second']:,.0f}", f"{figures['p50_us']:,.0f}", f"{figures['p99_us']:,.0f}"])
    return table(["", "proxy", "requests per second", "p50 µs", "p99 µs"], rows) if rows else ""


def counted(record):
    """Instructions in user space, and Homing's over those of others."""
    found = {name: {"what": one["what"], "subjects": {}} for part in ("workloads", "counts") for name, one in record[part].items()}
    for name, one in record["workloads"].items():
        found[name]["subjects"] = {subject: figures["user_instructions"] for subject, figures in one["subjects"].items() if "user_instructions" in figures}
    for name, one in record["counts"].items():
        found[name]["subjects"].update(one["subjects"])
    found = {name: found[name] for name in ORDER if name in found and "homing" in found[name]["subjects"]}
    columns = [subject for subject in LABELS if any(subject in one["subjects"] for one in found.values())]
    rows = []
    for name, one in found.items():
        each = one["subjects"]
        rows.append([name, one["what"], *(f"{each[subject]:,.0f}" if subject in each else "–" for subject in columns)])
    return table(["", "user instructions per request", *(LABELS[subject] for subject in columns)], rows) if rows else ""


def memory(record):
    """Octets for each idle connection."""
    peers = shown(record, "memory")
    rows = [
        [name, one["what"], *(f"{one['subjects'][subject]:,}" if subject in one["subjects"] else "–" for subject in ("homing", *peers))]
        for name, one in record["memory"].items()
    ]
    return table(["", "octets of resident memory", *(LABELS[name] for name in ("homing", *peers))], rows) if rows else ""


def losses(record):
    """Each comparison that Homing loses, so that nobody has to look for it."""
    found = []
    for name, one in record["workloads"].items():
        behind = [f"{one['ratios'][peer]['median']:.2f} of {LABELS[peer]}" for peer in PEERS if peer in one["ratios"] and one["ratios"][peer]["median"] < 0.995]
        if behind:
            found.append(f"- {name} ({one['what']}): requests per CPU second {', '.join(behind)}.")
    for name, one in record["memory"].items():
        ours = one["subjects"].get("homing", 0)
        less = [f"{LABELS[peer]} {one['subjects'][peer]:,}" for peer in PEERS if one["subjects"].get(peer, ours) < ours]
        if less:
            found.append(f"- {name} ({one['what']}): {ours:,} octets; {', '.join(less)}.")
    return "\n".join(found or ["- In none of these."])


def origin(record, parts=PARTS, only=None):
    """Where, when and with what: a line for each run and what it measured, of these parts and workloads."""
    lines = []
    for number, run in enumerate(record["runs"]):
        names = [name for part in parts for name, one in record[part].items() if one["run"] == number and (only is None or name in only)]
        if run and names:
            versions = ", ".join(version for version in run["versions"].values() if version)
            by = f" by {run['by']}" if run.get("by") else ""
            lines.append(f"{', '.join(names)}: {run['date']}{by}, {run['processor']}, {run['processors']} processors, Linux {run['kernel']}; {versions}.")
    return "\n\n".join(lines)


def markdown(record):
    """All tables of a record. Those that were not measured are left out."""
    titled = [
        ("", origin(record)),
        ("Requests per CPU second, median of the rounds; the ratio is of paired rounds, with its least and greatest.", against(record)),
        ("Homing's own modes.", modes(record)),
        ("Memory.", memory(record)),
        ("User instructions per request.", counted(record)),
        ("Where Homing loses.", losses(record) if record["workloads"] or record["memory"] else ""),
        ("By the clock: generator and backends share the machine, so this says little of the proxies.", clock(record)),
    ]
    return "\n\n".join(part for title, body in titled if body for part in (title, body) if part)
