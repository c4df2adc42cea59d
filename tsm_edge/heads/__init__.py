"""Heads: one file a task. They alone know what the numbers in a network's outputs mean."""

from typing import Any, Dict, Optional

from tsm_edge.errors import InputError
from tsm_edge.heads.base import Head
from tsm_edge.manifest import Manifest
from tsm_edge.registry import Entry, Registry

TASKS = Registry(
    "task",
    [
        Entry("classification", "tsm_edge.heads.classification", "one label a frame, and events"),
        Entry("detection", "tsm_edge.heads.detection", "boxes with tracks, and an event for each track"),
    ],
)


def open_head(manifest: Manifest, where: str, changes: Optional[Dict[str, Any]] = None) -> Head:
    """Make the head of one stream.

    Args:
        manifest: of the model.
        where: its name, for messages.
        changes: options of the decision to replace, by name.

    Raises:
        InputError: a task that is not known here, or options that do not fit it.
    """
    return head_class(manifest, where)(manifest, dict(manifest.decision, **(changes or {})), where)


def head_class(manifest: Manifest, where: str) -> Any:
    """Return the class of the heads of a model's task. Raises InputError where the task is not known here."""
    if manifest.task not in TASKS:
        known = ", ".join(entry.key for entry in TASKS)
        raise InputError("{}: manifest task".format(where), repr(manifest.task), "one of " + known, "update tsm-edge")
    return TASKS.load(manifest.task).HEAD
