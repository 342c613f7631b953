"""A pytest plugin: one part of the tests, each told in a file as it begins and ends.

GRADSTONE_SHARD is "number/count", GRADSTONE_SHARD_FILE the file. Tests that the file says were
begun are left out: after a process has died, the next goes on behind the test that ended it. A
fault of a kernel stays in the process's CUDA context, so after a failure the device is asked, and
where it no longer answers the process ends. A test that takes longer than LIMIT ends it too.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from pathlib import Path

import pytest

PATH = Path(os.environ["GRADSTONE_SHARD_FILE"])
LIMIT = 40  # seconds
OUTCOME = pytest.StashKey[tuple[str, str]]()
NUMBER, COUNT = map(int, os.environ["GRADSTONE_SHARD"].split("/"))


def tell(event: str, **more: object) -> None:
    with PATH.open("a") as out:
        out.write(json.dumps({"event": event, **more}) + "\n")


def begun() -> set[str]:
    if not PATH.exists():
        return set()
    events = (json.loads(line) for line in PATH.read_text().splitlines())
    return {e["test"] for e in events if e["event"] == "begin"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = items[NUMBER::COUNT]
    before = begun()
    if not before:
        tell("total", count=len(mine))
    items[:] = [item for item in mine if item.nodeid not in before]


def device_is_lost() -> bool:
    import gradstone as gs

    try:
        gs.cuda.synchronize()
    except RuntimeError:
        return True
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    tell("begin", test=item.nodeid)
    item.stash[OUTCOME] = ("passed", "")
    faulthandler.dump_traceback_later(LIMIT, exit=True, file=sys.__stderr__)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        outcome, text = item.stash[OUTCOME]
        tell("end", test=item.nodeid, outcome=outcome, text=text)
        if outcome == "failed" and device_is_lost():
            tell("lost", test=item.nodeid)
            os._exit(3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if report.failed:
        item.stash[OUTCOME] = ("failed", str(report.longrepr)[-3000:])
    elif report.skipped and item.stash[OUTCOME][0] == "passed":
        item.stash[OUTCOME] = ("skipped", "")
    return report


def pytest_sessionfinish() -> None:
    tell("finished")
