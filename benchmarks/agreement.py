"""Compare two runs of `make bench`: python benchmarks/agreement.py FOLDER [OTHER, default: benchmarks/results].

Prints each ratio that both folders have. Exit code 1 where one differs by more than 5 %, 2 where there is nothing to
compare.
"""

import argparse
import json
import sys
from pathlib import Path

import common

MAX_DIFFERENCE = 0.05
INTERVAL = ("95 % from", "95 % to")  # the ends of a figure that is no ratio itself


def ratios(folder):
    """Return {"benchmark: ratio": value} of the results in a folder, without those of --quick."""
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "benchmark" not in record or record.get("quick"):
            continue
        for name, value in record["results"].items():
            if " / " in name and isinstance(value, (int, float)) and not name.endswith(INTERVAL):
                found[f"{record['benchmark']}: {name}"] = value
    return found


def differences(one, other):
    """Return (name, value, other value, relative difference) of what both have, the largest difference first."""
    both = [(name, one[name], other[name]) for name in one if name in other]
    found = [(name, a, b, max(a, b) / min(a, b) - 1) for name, a, b in both]
    return sorted(found, key=lambda row: -row[3])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("other", type=Path, nargs="?", default=common.RESULTS)
    chosen = parser.parse_args(argv)
    rows = differences(ratios(chosen.folder), ratios(chosen.other))
    if not rows:
        print(f"{chosen.folder} and {chosen.other}: no ratio that both hold", file=sys.stderr)
        return 2
    for name, one, other, difference in rows:
        print(f"{difference:7.1%}  {one:8.3f} {other:8.3f}  {name}")
    over = sum(difference > MAX_DIFFERENCE for *_, difference in rows)
    print(f"{len(rows) - over} of {len(rows)} ratios within {MAX_DIFFERENCE:.0%}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
