"""What the configurations of every task share: the bounds of their numbers, and the checks of a value."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from tsm_edge.errors import InputError
from tsm_edge.manifest import MAX_MEMORY_BYTES, check_limits
from tsm_edge.schema import decode

MAX_WORKERS = 256  # processes that read clips
MAX_BATCH_BYTES = 8 << 30  # of the frames alone; the network's feature maps take many times as much

Need = Callable[..., None]  # (condition, name, expected, got=None): raises where the condition is false

# Name -> least and most. Numbers that a manifest has too are checked by tsm_edge.manifest.LIMITS.
RANGES: dict[str, tuple[float, float]] = {
    "batch": (1, 65536),
    "seed": (0, 2**32 - 1),  # with the step it makes the 64 bits of a generator's seed
    "schedule.epochs": (1, 1_000_000),
    "schedule.warmup": (0, 1_000_000),
    "data.hold": (0, 4096),
    "regular.frozen": (0, 1000),
    "optimiser.rate": (0, 1e30),
    "optimiser.weight_decay": (0, 1e30),
    "optimiser.head_rate": (0, 1e30),
    "run.workers": (0, MAX_WORKERS),
    "run.save_steps": (0, 2**63 - 1),
}


def decoded(kind: Any, path: Path, data: dict[str, Any]) -> Any:
    """Return the values of the configuration file at `path` as a `kind`, whose name is the file's where none is given.

    Raises InputError for an unknown key, a value of another type, and a number that no manifest can have.
    """
    try:
        config = decode(kind, {"name": path.stem, **data}, str(path))
        check_limits(config, str(path))
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, "correct the configuration") from None
    return config


def need_of(config: Any, where: Any) -> Need:
    """Return a function that raises InputError for a value by its name. where: the file, for messages."""

    def need(condition: Any, name: str, expected: str, got: object = None) -> None:
        if not condition:
            shown = got or repr(attrgetter(name)(config))
            raise InputError(f"{where}: {name}", shown, expected, "correct the configuration")

    return need


def check_values(
    config: Any,
    need: Need,
    choices: Mapping[str, Sequence[Any]],
    ranges: Mapping[str, tuple[float, float]],
    below_1: Sequence[str],
) -> None:
    """Check each value that may be one of a few, each number with a least and a most, and each share."""
    for name, allowed in choices.items():
        need(attrgetter(name)(config) in allowed, name, "one of " + ", ".join(allowed))
    for name, (least, most) in ranges.items():
        need(least <= attrgetter(name)(config) <= most, name, f"{least} to {most}")
    for name in below_1:
        need(0 <= attrgetter(name)(config) < 1, name, "from 0 to below 1")


def check_optimiser(config: Any, need: Need) -> None:
    """Check what optimiser and schedule of every task need."""
    schedule, clip = config.schedule, config.optimiser.clip_gradient
    need(config.optimiser.rate > 0, "optimiser.rate", "above 0")
    need(clip is None or clip > 0, "optimiser.clip_gradient", "above 0 (1e30 for no limit)")
    need(schedule.warmup < schedule.epochs, "schedule.warmup", f"below {schedule.epochs} epochs")
    need(bool(schedule.steps) == (schedule.kind == "step"), "schedule.steps", 'some for "step", none for "cosine"')
    need(sorted(schedule.steps) == list(schedule.steps), "schedule.steps", "epochs in order")


def check_memory(config: Any, need: Need) -> None:
    """Check that the pictures of a clip and of a batch fit into memory."""
    frame = config.frame
    bytes_of_clip = 4 * 3 * config.shift.n_segment * frame.height * frame.width  # as float32
    got = f"{bytes_of_clip:,} bytes for a clip of shift.n_segment frames"
    need(bytes_of_clip <= MAX_MEMORY_BYTES, "frame", f"at most {MAX_MEMORY_BYTES:,}", got)
    got = f"{config.batch * bytes_of_clip:,} bytes for a batch of clips"
    need(config.batch * bytes_of_clip <= MAX_BATCH_BYTES, "batch", f"at most {MAX_BATCH_BYTES:,}", got)
