"""Boxes, shares and conditions of rendered scenes, each compared with the pixels that are drawn."""

import numpy as np
import pytest

from tsm_edge_export.detection import rendered
from tsm_edge_export.detection.scenes import Scene
from tsm_edge_export.detection.scenes_tags import DARK, HIDDEN

GREEN = (0, 255, 0, 255)


def scenes(count, seed, size=192, frames=6, split="train"):
    """Scenes that no other test changes."""
    for clip in rendered.clips(count, seed, size, frames, split).clips:
        yield Scene(clip.split, clip.seed, *clip.size, frames)


def alone(scene, actor):
    """Leave one actor in a scene before a plain wall, and take away its shadow, its parts and its motion blur."""
    scene._place[:], scene._shadow, scene.camera.exposure = GREEN, 0.0, 0.0
    scene.actors = [actor._replace(thing=actor.thing._replace(parts=()))]


@pytest.mark.parametrize("size", [96, 192])
def test_boxes_are_tight_around_the_drawn_pixels(size):
    errors = []
    for scene in scenes(24, 7, size):
        truths = scene.truths
        for track, actor in enumerate(scene.boxed):
            alone(scene, actor)
            for index in (0, scene.frames - 1):
                place = np.flatnonzero(truths[index].tracks == track)
                box = scene._boxes(actor)[index]
                if not len(place) or box.min() < 0 or box.max() > size:  # at the frame's edge the rest of it counts too
                    continue
                changed = (
                    np.abs(scene.drawn(index).astype(int) - scene.drawn(index, without=0))[..., :3].max(axis=2) >= 100
                )
                rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
                drawn = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
                errors.append(np.abs(truths[index].boxes[place[0]] - drawn))
    assert len(errors) > 40
    assert np.max(errors) < 2.5 and np.mean(errors) < 0.6, (np.max(errors), np.mean(errors))


def test_a_moving_object_is_blurred_around_the_middle_of_its_box():
    blurred = 0
    for scene in scenes(60, 3, frames=8):
        truths = scene.truths
        for track, actor in enumerate(scene.boxed):
            alone(scene, actor)
            scene.camera.exposure = 1.0
            index = 4
            place = np.flatnonzero(truths[index].tracks == track)
            if not len(place) or scene.blur(actor, index) < 4:
                continue
            box = truths[index].boxes[place[0]]
            if box.min() < 12 or box.max() > 180:
                continue
            changed = np.abs(scene.drawn(index).astype(int) - GREEN)[..., :3].max(axis=2) > 8
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            drawn = np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
            assert drawn[2] - drawn[0] + drawn[3] - drawn[1] > 2 + (box[2] - box[0] + box[3] - box[1])
            assert np.abs((drawn[:2] + drawn[2:]) - (box[:2] + box[2:])).max() / 2 < 3
            blurred += 1
    assert blurred > 6


def test_visible_shares_are_those_of_the_drawn_pixels():
    checked, hidden = 0, 0
    for scene in scenes(24, 11, 96, frames=20):
        boxed, actors = scene.boxed, scene.actors
        if not boxed:
            continue
        shares = [seen.visible for seen in scene.seen]
        scene._place[:], scene._shadow, scene.camera.exposure = (0, 0, 0, 255), 0.0, 0.0
        for track, target in enumerate(boxed):
            # The object is white, all else is black.
            scene.actors = [repainted(actor, 1 if actor is target else 0) for actor in actors]
            only = [actor for actor, original in zip(scene.actors, actors, strict=True) if original is target]
            for index in range(0, 20, 4):
                seen = scene.drawn(index)[..., 0].sum(dtype=float)
                everything, scene.actors = scene.actors, only
                whole = scene.drawn(index)[..., 0].sum(dtype=float)
                scene.actors = everything
                if whole > 255 * 100:
                    assert seen / whole == pytest.approx(shares[track][index], abs=0.04)
                    checked, hidden = checked + 1, hidden + (seen / whole < 0.5)
    assert checked > 80 and hidden > 5


def repainted(actor, white):
    def painted(layer, white):
        result = layer.copy()
        result[..., :3] = layer[..., 3:] * white
        return result

    parts = tuple(part._replace(layer=painted(part.layer, 0)) for part in actor.thing.parts)
    return actor._replace(thing=actor.thing._replace(layer=painted(actor.thing.layer, white), parts=parts))


def test_hidden_and_nearly_absent_objects_are_ignored_and_no_others():
    ignored = 0
    for scene in scenes(40, 13, 64, frames=24):
        boxes = [scene._boxes(actor) for actor in scene.boxed]
        for index, truth in enumerate(scene.truths):
            for row, track in enumerate(truth.tracks):
                whole, inside = boxes[track][index], truth.boxes[row].astype(float)
                shown = (inside[2:] - inside[:2]).prod() / (whole[2:] - whole[:2]).prod()
                if abs(shown - 0.2) > 1e-6:
                    assert truth.ignored[row] == (shown < 0.2 or scene.seen[track].visible[index] <= HIDDEN)
                ignored += truth.ignored[row]
    assert ignored > 10


def test_dark_frames_are_dark_and_noisy_frames_are_noisy():
    dark = noisy = 0
    for scene in scenes(40, 5, 64, frames=24):
        light, noise = scene.camera.light, scene.camera.noise
        usual = np.flatnonzero((light == 1) & (noise < 4))
        if not len(usual):
            continue
        reference = scene.render(usual[0]).mean()
        for index in np.flatnonzero(light <= DARK)[:1]:
            assert scene.render(index).mean() < 0.45 * reference + 8
            dark += 1
        if noise.max() > 12:
            index = int(noise.argmax())
            frame = [scene.render(at).astype(float) for at in (index, usual[0])]
            detail = [np.abs(np.diff(picture, axis=1)).mean() for picture in frame]
            assert detail[0] > detail[1]
            noisy += 1
    assert dark > 3 and noisy > 1


def test_the_place_and_the_people_are_those_of_the_split():
    pictures = [next(scenes(1, 3, 64, split=split)).render(0) for split in ("train", "validation", "test")]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])
