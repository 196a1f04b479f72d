"""Checks that say how they went, one line each, for lib/python.mjs."""

import contextlib
import os
import sys
import traceback

failed = []


@contextlib.contextmanager
def check(title):
    """A check: `ok`, or `FAILED` and what differed."""
    try:
        yield
        print(f"ok {title}", flush=True)
    except Exception as error:  # Whatever it is, the next checks are still worth doing.
        failed.append(title)
        why = str(error).replace("\n", " ") or type(error).__name__
        print(f"FAILED {title}: {why}", flush=True)
        if os.environ.get("TRACE"):
            traceback.print_exc(file=sys.stderr)


def same(actual, expected, what):
    """Says so unless they are equal."""
    if actual != expected:
        raise AssertionError(f"{what}: {shown(actual)} instead of {shown(expected)}")


def shown(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}… ({len(text)} characters)"
