"""Hostile inputs for every command: python -m tests.hostile [--cases N] [--seed S]. Exit code 3 if a case failed.

The variables CASES and SEED are the defaults of both options (make hostile CASES=1000 SEED=0).
"""

import argparse
import os
import sys

from tests.hostile import quiet  # noqa: F401
from tests.hostile.assets import Assets
from tests.hostile.case import kinds_of
from tests.hostile.drive import Driver, plan, report, run_plan, table, timed, write_report
from tests.hostile.families import FAMILIES
from tests.hostile.oracle import FAULTS
from tests.hostile.process import MAX_SECONDS

CASES = 1000
FAILED = 3


def whole_number(text):
    """Return a whole number of at least 0; an empty text, as of an unset variable, is None."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise argparse.ArgumentTypeError("{} is no whole number from 0".format(ascii(text[:60])))
    return int(text)


def named_case(text):
    """Return (family, seed) of the name of a case."""
    family, colon, seed = text.partition(":")
    if family not in FAMILIES or not colon:
        raise argparse.ArgumentTypeError("{} is not FAMILY:SEED; families: {}".format(ascii(text), ", ".join(FAMILIES)))
    return family, whole_number(seed) or 0


def show(verdict):
    """Print the faults of a case."""
    if verdict.faults:
        print("{} ({}) {}".format(verdict.name, verdict.kind, ascii(verdict.description)[1:-1]))
        for line in verdict.commands:
            print("    " + line)
        for what, detail in verdict.faults:
            print("    {}: {}".format(what, detail.strip()))
        print("    python -m tests.hostile --only {}".format(verdict.name), flush=True)


def main(argv=None):
    """Run the cases that a command line asks for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.split("\n")[0])
    environment = os.environ.get
    parser.add_argument(
        "--cases", metavar="N", type=whole_number, default=environment("CASES", ""), help="default: 1000"
    )
    parser.add_argument("--seed", metavar="S", type=whole_number, default=environment("SEED", ""), help="default: 0")
    parser.add_argument("--family", metavar="F", action="append", choices=sorted(FAMILIES), help="this one alone")
    parser.add_argument(
        "--only", metavar="F:S", action="append", type=named_case, help="one case, as a report names it"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report there")
    parser.add_argument("--workers", metavar="N", type=whole_number, default=os.cpu_count(), help="default: one a core")
    parser.add_argument("--seconds", metavar="S", type=float, default=MAX_SECONDS, help="of a command; more is a hang")
    parser.add_argument("--keep", metavar="FOLDER", help="leave the files of failed cases there")
    parser.add_argument("--list", action="store_true", help="list the kinds of cases")
    options = parser.parse_args(argv)
    if options.list:
        for name, module in FAMILIES.items():
            for kind in kinds_of(module):
                print("{:<14} {:<22} {}".format(name, kind.name, kind.make.__doc__.split("\n")[0]))
        return 0
    seed = options.seed or 0
    planned = options.only or plan(CASES if options.cases is None else options.cases, seed, options.family)
    driver = Driver(Assets(), options.seconds, keep=options.keep)
    try:
        with timed() as seconds:
            found = report(run_plan(driver, planned, options.workers or 1, show), seed, seconds())
    finally:
        driver.close()
    if options.json:
        os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
        write_report(options.json, found)
    print("\n".join(table(found)))
    counts = ["{}: {}".format(FAULTS[what], count) for what, count in found["faults"].items() if count]
    print("\n".join(counts))
    last = "all as it should be" if found["ok"] else "{} FAILED".format(len(found["failures"]))
    print("{cases} cases in {seconds:.0f} s, seed {seed}: ".format(**found) + last)
    return 0 if found["ok"] else FAILED


if __name__ == "__main__":
    sys.exit(main())
