"""Joins the shards of one evaluation: the result is, bit for bit, the report of the whole list at once."""

from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge.files import read_text
from tsm_edge_export.training.broken import Broken

from .report import ClipReport, Shard, from_json

MAX_BYTES = 100_000_000  # 20,000 clips of 400 classes take 90 MB
SAME_IN_ALL_SHARDS = ("model", "list", "labels", "settings")


def read(path: str | Path) -> ClipReport:
    """Read the clip report in a file. Raises InputError where there is none."""
    return from_json(read_text(path, MAX_BYTES, "a report of tsm-edge eval"), path)


def merge(reports: dict[str, ClipReport]) -> ClipReport:
    """Join shards, {name for messages: report}, in any order.

    Raises InputError for shards that differ in model, list or settings, are missing or come twice, and for more than
    1 % of broken clips among all of them.
    """
    names, shards = list(reports), list(reports.values())
    first = shards[0]
    for name, report in reports.items():
        _check_same(name, report, names[0], first)
    _check_whole(reports, first.shard.of)
    broken = Broken(first.list["total"])
    for name, reason in sorted({name: why for report in shards for name, why in report.broken.items()}.items()):
        broken.add(name, reason)
    environments = {repr(one): one for report in shards for one in report.environments}
    return first._replace(
        environments=tuple(environments[key] for key in sorted(environments)),
        shard=Shard(1, 1),
        broken=broken.reasons,
        rows=tuple(sorted((row for report in shards for row in report.rows), key=lambda row: row.index)),
    )


def _check_same(name: str, report: ClipReport, other: str, first: ClipReport) -> None:
    for part in SAME_IN_ALL_SHARDS:
        got, expected = getattr(report, part), getattr(first, part)
        if got == expected:
            continue
        if isinstance(got, dict):
            key = next(key for key in {**got, **expected} if got.get(key) != expected.get(key))
            part, got, expected = f"{part} {key}", got.get(key), expected.get(key)
        do = "merge shards of one model, list and settings"
        raise InputError(f"{name}: {part}", got, f"{expected}, as in {other}", do)
    if report.shard.of != first.shard.of:
        got, expected = "{}/{}".format(*report.shard), f"one of {first.shard.of}, as {other}"
        raise InputError(f"{name}: shard", got, expected, "merge shards of one split")


def _check_whole(reports: dict[str, ClipReport], of: int) -> None:
    found: dict[int, str] = {}
    for name, report in reports.items():
        number = report.shard.number
        if number in found:
            raise InputError(name, f"shard {number}/{of} once more", f"{found[number]} alone", "leave one out")
        found[number] = name
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in found]
    if missing:
        raise InputError("shards", "none of " + ", ".join(missing), f"all {of}", "evaluate these: --shard I/N")
