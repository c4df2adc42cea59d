"""Shards of one evaluation -> the report that the whole list at once would have given, bit for bit."""

from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge_export.training.broken import Broken

from .report import ClipReport, Shard, from_json

_SAME = ("model", "list", "labels", "settings")


def read(path) -> ClipReport:
    """The clip report in a file. Raises InputError where there is none."""
    try:
        return from_json(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise InputError(path, error.strerror, "a report of tsm-edge eval", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(path, "bytes that are no text", "a report of tsm-edge eval", "check the path") from None


def merge(reports) -> ClipReport:
    """Put shards together. reports: {name for messages: ClipReport}, in any order.

    Raises InputError for shards of different models, lists or settings, for shards that are missing or there twice,
    and for more than 1 % of broken clips among all of them.
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


def _check_same(name, report, other, first):
    for part in _SAME:
        got, expected = getattr(report, part), getattr(first, part)
        if got == expected:
            continue
        key, what = part, (got, expected)
        if isinstance(got, dict):
            key = next(key for key in {**got, **expected} if got.get(key) != expected.get(key))
            what, key = (got.get(key), expected.get(key)), f"{part} {key}"
        raise InputError(
            f"{name}: {key}", what[0], f"{what[1]}, as in {other}", "merge shards of one model, list and settings"
        )
    if report.shard.of != first.shard.of:
        raise InputError(
            f"{name}: shard",
            "{}/{}".format(*report.shard),
            f"one of {first.shard.of}, as {other}",
            "merge shards of one split",
        )


def _check_whole(reports, of):
    found = {}
    for name, report in reports.items():
        number = report.shard.number
        if number in found:
            raise InputError(
                name, f"shard {number}/{of} once more", f"each shard once ({found[number]} has it)", "leave one out"
            )
        found[number] = name
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in found]
    if missing:
        raise InputError(
            "shards", "none of " + ", ".join(missing), f"all {of}", "evaluate the missing ones: --shard I/N"
        )
