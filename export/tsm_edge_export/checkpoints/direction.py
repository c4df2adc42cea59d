"""Weights learned which frame the first fold comes from; loading them for another direction gives wrong answers."""

from tsm_edge.errors import InputError

_OFFLINE = "export it with --mode offline, or fine-tune it causally first (tsm-edge train)"
_SHIFTLESS = "fine-tune it with shift first (tsm-edge train); as a start for that its classifier may be replaced"
_WAY_OUT = {
    ("bidirectional", "causal"): "a live stream has no next frame, which this network's first fold was trained to read",
    ("causal", "bidirectional"): "its first fold was trained to read the previous frame, never the next",
    ("none", "causal"): "its channels were never trained to come from another frame",
    ("none", "bidirectional"): "its channels were never trained to come from another frame",
    ("bidirectional", "none"): "its shifted channels were trained to come from other frames",
    ("causal", "none"): "its shifted channels were trained to come from other frames",
}
_DO = {
    ("bidirectional", "causal"): _OFFLINE,
    ("causal", "bidirectional"): "export it with --mode online, or state the causal direction in the recipe",
    ("none", "causal"): _SHIFTLESS,
    ("none", "bidirectional"): _SHIFTLESS,
}


def require_direction(checkpoint, wanted, where):
    """Raise InputError where `checkpoint` was trained for another direction than `wanted` ("causal", "bidirectional",
    "none"). where: the file, for the message.

    A start whose classifier was not loaded gives no answers yet, right or wrong, and passes.
    """
    trained = checkpoint.direction
    if trained == wanted or not checkpoint.head_loaded:
        return
    raise InputError(
        where,
        f"weights trained with direction {trained!r} ({checkpoint.dialect})",
        f"{wanted!r}: the keys match and the answers would be wrong, because {_WAY_OUT[trained, wanted]}",
        _DO.get((trained, wanted), f"use it with direction {trained!r}"),
    )
