"""Print the figures of supervision's ByteTrack on the scenes of the tracker's tests, as test_tracking.py states them.

    pip install supervision==0.25.1 opencv-python-headless && python -m tests.device.heads.bytetrack_reference

Release 0.25.1 is the last line that has the tracker; it needs OpenCV, SciPy and Matplotlib, too much for every test.
"""

import numpy as np

from tests.device.heads.moving_boxes import SCENES, SEEDS, Figures, scene


def main() -> None:
    """Run ByteTrack on all scenes."""
    import supervision

    for name, options in SCENES.items():
        figures = Figures()
        for seed in SEEDS:
            tracker = supervision.ByteTrack(
                track_activation_threshold=0.5,
                lost_track_buffer=30,
                minimum_matching_threshold=0.8,
                frame_rate=30,
                minimum_consecutive_frames=2,
            )
            figures.begin_clip()
            for truth, objects, boxes, scores, class_ids in scene(seed, **options):
                given = supervision.Detections(xyxy=boxes, confidence=scores, class_id=class_ids)
                made = tracker.update_with_detections(given)
                tracked = np.asarray(made.tracker_id) != -1
                figures.add(truth, objects, made.xyxy[tracked], list(np.asarray(made.tracker_id)[tracked]))
        print("{!r}: ({}, {:.4f}),".format(name, figures.switches, figures.covered / figures.total))


if __name__ == "__main__":
    main()
