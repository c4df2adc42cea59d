"""From logits to a label and to events. Stateful: it resets with the stream."""

from typing import List, NamedTuple, Optional, Tuple

Event = NamedTuple(
    "Event",
    [
        ("label", str),
        ("start", float),  # seconds of the source
        ("end", float),
        ("confidence", float),  # the highest that the label reached, 0 to 1
    ],
)

Decision = NamedTuple(
    "Decision",
    [
        ("label", Optional[str]),  # None: nothing passed the confidence gate, or an ignored label leads
        ("confidence", float),  # of the leading label, shown or not
        ("top", List[Tuple[str, float]]),  # up to five (label, probability), best first
        ("event", Optional[Event]),  # an event that ended with this frame
    ],
)
