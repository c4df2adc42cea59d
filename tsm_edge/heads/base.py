"""What a head is: it turns the outputs of a network into a prediction for each frame, and into events."""

from typing import Any, Dict, List

import numpy as np

from tsm_edge.manifest import Manifest
from tsm_edge.records import Event, Frame


class Head:
    """The head of one stream. It keeps what it needs of earlier frames, and resets with the stream's state.

    A head derives from this class and writes `update` and `reset`; what happens goes through `_tell`.

    Args:
        manifest: of the model.
        decision: the task's options; the manifest's own, or those with changes of one camera.
        where: the model's or the camera's name, for messages.

    Raises:
        InputError: the options do not fit the task or the model.
    """

    def __init__(self, manifest: Manifest, decision: Dict[str, Any], where: str) -> None:
        self.manifest, self.where = manifest, where
        self.options = decision
        self._told: List[Event] = []

    def update(self, outputs: Dict[str, np.ndarray], frame: Frame) -> Any:
        """Take the outputs of one frame.

        Args:
            outputs: by name, one stream's: the shapes that the manifest states. Copied where they are kept.
            frame: the frame; its time is not before that of the one before.

        Returns:
            The prediction: a tuple with the methods of :class:`tsm_edge.records.Classification`.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the past, at a gap or at the end of the stream. An event that was open ends at its last frame."""
        raise NotImplementedError

    def take_events(self) -> List[Event]:
        """Return what was told since the last call, in order."""
        told, self._told = self._told, []
        return told

    @classmethod
    def describe(cls, manifest: Manifest) -> str:
        """Return the task's options in words, for `tsm-edge info`."""
        return ", ".join("{} {}".format(key, value) for key, value in sorted(manifest.decision.items()))
