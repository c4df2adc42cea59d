"""Plans the cases, runs them on a few workers, judges them, and reports."""

import contextlib
import json
import os
import random
import shutil
import tempfile
import threading
import time
import traceback
from typing import Any, Dict, List, NamedTuple

from tests.hostile.case import Case, kinds_of, snapshot
from tests.hostile.families import FAMILIES
from tests.hostile.oracle import FAULTS, judge
from tests.hostile.process import MAX_BYTES, MAX_SECONDS, Zygotes, run_all

SAID_BYTES = 2000  # of each command's standard error, in the report of a failure
SEEDS_OF_A_RUN = 100000  # the cases of seed S have the numbers S * this, and following


class Verdict(NamedTuple):
    """One case that was run.

    faults: (what, detail). said: the end of what its commands wrote on standard error. seconds and memory: the most of
    any of its commands.
    """

    family: str
    seed: int
    kind: str
    description: str
    commands: List[str]
    faults: List[Any]
    said: str
    seconds: float
    memory: int

    @property
    def name(self):
        """How `--only` names the case."""
        return "{}:{}".format(self.family, self.seed)


def shares(family):
    """Return the kinds of a family, each as often as its share says."""
    return [kind for kind in kinds_of(FAMILIES[family]) for _ in range(kind.share)]


def plan(cases, seed, families=None):
    """Return (family, seed) of each case, in a mixed order; every family has its share, every kind its turn."""
    names = list(families or FAMILIES)
    weights = {name: len(shares(name)) for name in names}
    total, planned = sum(weights.values()), []
    for name in names:
        count = max(1, round(cases * weights[name] / total))
        planned += [(name, seed * SEEDS_OF_A_RUN + index) for index in range(count)]
    while len(planned) < cases:
        planned.append((names[0], seed * SEEDS_OF_A_RUN + len(planned)))
    random.Random(seed).shuffle(planned)
    return planned


def make(family, seed, folder, assets):
    """Return the case of a family and a seed, its files written into `folder`."""
    case = Case(family, seed, folder, assets)
    among = shares(family)
    random.Random(family).shuffle(among)  # so that a small number of cases meets many kinds
    chosen = among[seed % len(among)]
    case.kind = chosen.name
    chosen.make(case)
    return case


class Driver:
    """Runs cases.

    Args:
        assets: the good inputs.
        max_seconds: of a command.
        max_bytes: of resident memory of a process.
        keep: a folder to leave the files of failed cases in, None to leave none.
    """

    def __init__(self, assets, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES, keep=None):
        self._assets, self._limits, self._keep = assets, (max_seconds, max_bytes), keep
        self._zygotes = Zygotes()

    def close(self):
        """End the processes that start commands."""
        self._zygotes.close()

    def run(self, family, seed, maker=make):
        """Run one case, twice where it hangs: a machine may be busy. Returns its :class:`Verdict`."""
        verdict = self._once(family, seed, maker)
        if any(what == "hang" for what, _ in verdict.faults):
            verdict = self._once(family, seed, maker)
        return verdict

    def _once(self, family, seed, maker):
        folder = tempfile.mkdtemp(prefix="tsm-edge-hostile-")
        case, outcomes, faults = None, [], []
        try:
            case = maker(family, seed, folder, self._assets)
            before = snapshot(case.folder)
            logs = str(case.root / "logs")
            outcomes = run_all(self._zygotes, case.commands, str(case.folder), logs, case.environment(), *self._limits)
            faults = judge(case, outcomes, before)
        except Exception:
            faults = [("generator", traceback.format_exc())]
        finally:
            if case is not None:
                case.close()
            self._clear(folder, "{}-{}".format(family, seed), bool(faults))
        return Verdict(
            family,
            seed,
            case.kind if case else "",
            case.description if case else "",
            [command.line() for command in case.commands] if case else [],
            faults,
            "\n".join(ascii(outcome.err[-SAID_BYTES:].decode("utf-8", "backslashreplace")) for outcome in outcomes),
            max((outcome.seconds for outcome in outcomes), default=0.0),
            max((outcome.memory for outcome in outcomes), default=0),
        )

    def _clear(self, folder, name, failed):
        if self._keep and failed:
            shutil.rmtree(os.path.join(self._keep, name), ignore_errors=True)
            shutil.move(folder, os.path.join(self._keep, name))
        else:
            shutil.rmtree(folder, ignore_errors=True)


def run_plan(driver, planned, workers, show=lambda verdict: None):
    """Run the planned cases on a number of threads; each waits for processes. Returns the verdicts."""
    waiting, verdicts, lock = list(reversed(planned)), [], threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                family, seed = waiting.pop()
            verdict = driver.run(family, seed)
            with lock:
                verdicts.append(verdict)
                show(verdict)

    threads = [threading.Thread(target=work, name="hostile-{}".format(number)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return verdicts


def report(verdicts, seed, seconds):
    """Return the report as values that JSON can hold."""
    families: Dict[str, Any] = {}
    for name in FAMILIES:
        of_family = [verdict for verdict in verdicts if verdict.family == name]
        if of_family:
            slowest = max(of_family, key=lambda verdict: verdict.seconds)
            largest = max(of_family, key=lambda verdict: verdict.memory)
            families[name] = {
                "cases": len(of_family),
                "failures": sum(bool(verdict.faults) for verdict in of_family),
                "slowest_seconds": round(slowest.seconds, 2),
                "slowest": slowest.name,
                "largest_bytes": largest.memory,
                "largest": largest.name,
                "kinds": sorted({verdict.kind for verdict in of_family}),
            }
    failed = sorted((verdict for verdict in verdicts if verdict.faults), key=lambda verdict: verdict.name)
    counts = {what: sum(any(w == what for w, _ in v.faults) for v in verdicts) for what in FAULTS}
    return {
        "seed": seed,
        "cases": len(verdicts),
        "seconds": round(seconds, 1),
        "ok": not failed,
        "faults": counts,
        "families": families,
        "failures": [
            dict(verdict._asdict(), reproduce="python -m tests.hostile --only " + verdict.name) for verdict in failed
        ],
    }


ROW = "{:<14} {:>6} {:>9} {:>11} {:>12}"


def table(found):
    """Return the lines of the table of a report."""
    lines = [ROW.format("family", "cases", "failures", "slowest, s", "largest, MB")]
    for name, row in found["families"].items():
        numbers = row["cases"], row["failures"] or "", "{:.1f}".format(row["slowest_seconds"])
        lines.append(ROW.format(name, *numbers, "{:.0f}".format(row["largest_bytes"] / 1e6)))
    return lines


def write_report(path, found):
    """Write a report as JSON, whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


@contextlib.contextmanager
def timed():
    """Give a function that returns the seconds since the beginning."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began
