"""Which boxes of one frame are the objects of the frame before: association by overlap, as in ByteTrack.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022, algorithm 1.
"""

from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from tsm_edge.heads.assignment import assign
from tsm_edge.heads.boxes import iou
from tsm_edge.heads.motion import Motion

UNSURE_OVERLAP, CANDIDATE_OVERLAP = 0.5, 0.3  # least IoU of a match of rule 3, and of rule 4; ByteTrack's


class TrackOptions(NamedTuple):
    """How boxes become tracks.

    begin: least confidence, 0 to 1, of a box that may begin a track, and that is matched first. overlap: least IoU of a
    box with where its track is expected. appear: frames in a row in which an object must be found before its track has
    a number. vanish: frames in a row without the object after which its track ends.
    """

    begin: float = 0.5
    overlap: float = 0.2
    appear: int = 3
    vanish: int = 15


class Track:
    """One object.

    Attributes:
        class_id: of the object.
        number: of the track, from 1 on, never used again; None for a candidate.
        hits: frames in which it was found.
        misses: frames in a row since it was found last.
        motion: where it is expected.
    """

    def __init__(self, class_id: int, box: np.ndarray) -> None:
        self.class_id, self.motion = class_id, Motion(box)
        self.number: Optional[int] = None
        self.hits, self.misses = 1, 0


class Tracker:
    """Follows the objects of one stream.

    On each update:

    1. Each track is predicted one frame on. Boxes of another class never match it.
    2. Tracks that have a number get the boxes of a confidence of at least `begin`, so that the sum of the IoUs is the
       largest; a pair below `overlap` is none.
    3. Of the tracks that are left, those found in the frame before get the boxes of less confidence. A pair needs an
       IoU of UNSURE_OVERLAP.
    4. Candidates get the boxes of rule 2 that are left; a pair needs CANDIDATE_OVERLAP. A candidate without a box is
       dropped.
    5. Each box that is then left of rule 2 begins a candidate. A candidate found in `appear` frames gets a number.
    6. A track that was missed in `vanish` frames in a row ends.

    ByteTrack multiplies the IoUs of rule 2 by the confidence in some of its releases, and gives out numbers before it
    knows whether an object stays. Neither is done here.

    Attributes:
        tracks: candidates and numbered ones, in the order of their first frame.
    """

    def __init__(self, options: TrackOptions) -> None:
        self._options = options
        self._count = 0  # of numbers given out
        self.tracks: List[Track] = []

    def update(self, boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> List[Optional[Track]]:
        """Take the boxes of one frame.

        Args:
            boxes: (n, 4) x1 y1 x2 y2 in pixels of the frame.
            scores: (n,) from 0 to 1.
            class_ids: (n,) int.

        Returns:
            For each box its track, which may be a candidate; None for a box that belongs to no track.
        """
        for track in self.tracks:
            track.motion.predict(seen=track.misses == 0)
            track.misses += 1
        found: List[Optional[Track]] = [None] * len(scores)
        sure = [index for index, score in enumerate(scores) if score >= self._options.begin]
        unsure = [index for index, score in enumerate(scores) if score < self._options.begin]
        numbered = [track for track in self.tracks if track.number is not None]

        def match(tracks: Sequence[Track], indices: Sequence[int], least: float) -> None:
            tracks = [track for track in tracks if track.misses]
            indices = [index for index in indices if found[index] is None]
            if not tracks or not indices:
                return
            overlaps = iou(np.array([track.motion.box for track in tracks]), boxes[indices])
            classes = np.array([track.class_id for track in tracks])
            overlaps[classes[:, None] != class_ids[indices][None, :]] = 0
            for row, column in assign(overlaps, least):
                track, index = tracks[row], indices[column]
                track.motion.correct(boxes[index])
                track.hits, track.misses = track.hits + 1, 0
                found[index] = track

        match(numbered, sure, self._options.overlap)
        match([track for track in numbered if track.misses == 1], unsure, UNSURE_OVERLAP)
        match([track for track in self.tracks if track.number is None], sure, CANDIDATE_OVERLAP)
        self.tracks = [
            track for track in self.tracks if track.misses < (1 if track.number is None else self._options.vanish)
        ]
        for index in sure:
            if found[index] is None:
                found[index] = track = Track(int(class_ids[index]), boxes[index])
                self.tracks.append(track)
        for track in self.tracks:
            if track.number is None and track.hits >= self._options.appear:
                self._count += 1
                track.number = self._count
        return found

    def reset(self) -> None:
        """Forget all tracks. The numbers go on."""
        self.tracks = []
