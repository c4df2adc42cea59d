"""COCO JSON of video frames: images in clips by `video_id` or by folder, boxes with `track_id`.

Source: cocodataset.org/#format-data; `video_id`, `frame_id` and `track_id` are those of COCO-VID (TAO, BDD100K, CVAT).
"""

import json
import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError
from tsm_edge.files import read_text
from tsm_edge.manifest import is_name
from tsm_edge.schema import shortened
from tsm_edge.sources.images import natural_key
from tsm_edge_export.training.clips import Pictures, StrPath
from tsm_edge_export.training.lists import MAX_BYTES

from .annotated_clip import MAX_SIDE, AnnotatedClip, Annotation, Check, Size
from .truth import BoxData

PARTS = ("images", "annotations", "categories")
FRAME_NUMBERS = ("frame_id", "frame_index", "frame_number")
_DO = "correct the file"


class _Image(NamedTuple):
    """One image of the file, whose picture is there."""

    clip: tuple[str, Hashable]  # ("video", its id) or ("folder", its path)
    path: str
    number: int | None  # of the frame
    size: Size | None


def read_coco(path: StrPath, labels: Sequence[str] | None = None, root: StrPath | None = None) -> BoxData:
    """Read a COCO file.

    Images of one `video_id`, or without one of one folder, are a clip. Its frames are in the order of `frame_id`, or
    without one in the natural order of their names. A box with `iscrowd` is ignored. Boxes that reach over the edge of
    the picture are cut there. Segmentations are not read.

    Args:
        path: the file, at most 64 MB.
        labels: of the model, which the categories are found in by name; None takes the categories in order of their id.
        root: what each `file_name` is relative to; None for the folder of the file.

    Returns:
        The clips, in the natural order of their names.

    Raises:
        InputError: no COCO file; a clip whose frames have several sizes; more than 1 % broken annotations or images.
    """
    data = _parsed(path)
    labels, class_of = _classes(data["categories"], labels, path)
    base = os.fspath(Path(path).parent if root is None else root)
    if not os.path.isdir(base):
        raise InputError(base, "no such folder", "the folder that the file names in the list start from", "add --root")
    images, image_check = _images(data["images"], base, path)
    order: dict[tuple[str, Hashable], list[Hashable]] = {}
    for key, image in images.items():
        order.setdefault(image.clip, []).append(key)
    frame_of: dict[Hashable, int] = {}
    for keys in order.values():
        numbered = all(images[key].number is not None for key in keys)
        keys.sort(key=lambda key: (images[key].number or 0 if numbered else 0, natural_key(images[key].path)))
        frame_of.update({key: frame for frame, key in enumerate(keys)})
    sizes = {clip: _size_of(clip, [images[key] for key in keys], path) for clip, keys in order.items()}
    lost = {_id(entry) for entry in data["images"]} - set(images)
    check = Check(path)
    rows: dict[tuple[str, Hashable], list[Annotation]] = {clip: [] for clip in order}
    for number, entry in enumerate(data["annotations"]):
        check.total += 1
        where = f"annotation {shortened(entry['id']) if isinstance(entry, dict) and 'id' in entry else number + 1}"
        _annotation(entry, where, check, images, frame_of, sizes, class_of, lost, rows)
    check.finish()
    clips = _clips(order, images, rows, sizes, data.get("videos"))
    return BoxData(labels, clips, tuple(image_check.broken + check.broken), check.clipped)


def _parsed(path: StrPath) -> dict[str, Any]:
    expected = 'COCO: {"images": [...], "annotations": [...], "categories": [...]}'
    try:
        data = json.loads(read_text(path, MAX_BYTES, "a COCO file"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, "damaged JSON", expected, _DO) from None
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in PARTS):
        missing = [part for part in PARTS if not (isinstance(data, dict) and isinstance(data.get(part), list))]
        raise InputError(path, "no list of " + ", ".join(missing), expected, _DO)
    if not data["images"]:
        raise InputError(path, "no images", "at least one", "give another file")
    return data


def _classes(
    categories: Sequence[Any], labels: Sequence[str] | None, path: StrPath
) -> tuple[tuple[str, ...], dict[Hashable, int | str]]:
    """Return the labels, and {category id: class; or the name of a category that is none of the labels}."""
    names: dict[Any, str] = {}
    for category in categories:
        key = _id(category)
        name = category.get("name") if isinstance(category, dict) else None
        if key is None or key in names or not isinstance(name, str) or not is_name(name) or name in names.values():
            raise InputError(f"{path}: categories", shortened(category), 'one {"id", "name"} for each class', _DO)
        names[key] = name
    if not names:
        raise InputError(f"{path}: categories", "none", 'one {"id", "name"} for each class', _DO)
    if labels is None:
        labels = [names[key] for key in sorted(names, key=lambda key: natural_key(str(key)))]
    numbers = {label: number for number, label in enumerate(labels)}
    return tuple(labels), {key: numbers.get(name, name) for key, name in names.items()}


def _images(entries: Sequence[Any], base: str, path: StrPath) -> tuple[dict[Hashable, _Image], Check]:
    images: dict[Hashable, _Image] = {}
    check, seen = Check(path, "images"), set()
    for number, entry in enumerate(entries):
        check.total += 1
        key, name = _id(entry), entry.get("file_name") if isinstance(entry, dict) else None
        where = f"image {number + 1 if key is None else key}"
        if key is None or not isinstance(name, str) or not name or "\0" in name:
            check.fail(where, "no id or no file_name")
            continue
        file = os.path.normpath(os.path.join(base, name))
        size, sized = (entry.get("height"), entry.get("width")), "height" in entry or "width" in entry
        if key in images or file in seen:
            check.fail(where, f"{name}, a second time")
        elif sized and not all(type(side) is int and 1 <= side <= MAX_SIDE for side in size):
            check.fail(where, f"{name} of {shortened(size[1])} x {shortened(size[0])} pixels")
        elif not os.path.isfile(file):
            check.fail(where, f"no such file {name}")
        else:
            video = entry.get("video_id")
            known = video is not None and isinstance(video, (int, str))
            clip = ("video", video) if known else ("folder", os.path.dirname(os.path.normpath(name)) or ".")
            given = (entry.get(field) for field in FRAME_NUMBERS)
            images[key] = _Image(clip, file, next((n for n in given if type(n) is int), None), size if sized else None)
            seen.add(file)
    check.finish()
    return images, check


def _size_of(clip: tuple[str, Hashable], images: Sequence[_Image], path: StrPath) -> Size:
    sizes = sorted({image.size for image in images if image.size is not None})
    if not sizes:
        return Pictures(str(clip[1]), ".", [images[0].path], 0).read([0]).shape[1:3]
    if len(sizes) > 1:
        got = "frames of " + ", ".join(f"{width} x {height}" for height, width in sizes[:4])
        do = "give the frames of each video a folder or a video_id of their own"
        raise InputError(f"{path}: {clip[0]} {clip[1]}", got, "frames of one size: a clip of video", do)
    return sizes[0]


def _annotation(
    entry: Any,
    where: str,
    check: Check,
    images: dict[Hashable, _Image],
    frame_of: dict[Hashable, int],
    sizes: dict[tuple[str, Hashable], Size],
    class_of: dict[Hashable, int | str],
    lost: set[Any],
    rows: dict[tuple[str, Hashable], list[Annotation]],
) -> Any:
    """Add one annotation to the rows of its clip, or note in `check` what is wrong with it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("bbox"), list):
        return check.fail(where, "no bbox")
    key, category = _id(entry, "image_id"), _id(entry, "category_id")
    if key not in images:
        # A picture that is missing is counted once, as an image, and not again with each of its boxes.
        return None if key is not None and key in lost else check.fail(where, f"unknown image {shortened(key)}")
    class_id = class_of.get(category)
    if not isinstance(class_id, int):
        return check.fail(where, f"unknown class {shortened(category) if class_id is None else class_id}")
    clip = images[key].clip
    box = check.box(where, entry["bbox"], sizes[clip])
    if box is not None:
        crowd = entry.get("iscrowd") not in (None, 0, False)
        rows[clip].append(Annotation(frame_of[key], box, class_id, _track(entry), crowd))
    return None


def _clips(
    order: dict[tuple[str, Hashable], list[Hashable]],
    images: dict[Hashable, _Image],
    rows: dict[tuple[str, Hashable], list[Annotation]],
    sizes: dict[tuple[str, Hashable], Size],
    videos: Any,
) -> list[AnnotatedClip]:
    """Return the clips, named by their folder or by the name of their video; of names given twice, with the id."""
    given = {_id(video): video for video in videos if isinstance(video, dict)} if isinstance(videos, list) else {}
    clips, taken = [], set()
    for clip, keys in order.items():
        video = given.get(clip[1], {}) if clip[0] == "video" else {}
        name = video.get("name")
        name = name if isinstance(name, str) and name else str(clip[1])
        name = name if name not in taken else f"{name} ({clip[0]} {clip[1]})"
        taken.add(name)
        rate = video.get("fps")
        fps = float(rate) if isinstance(rate, (int, float)) and 0 < rate < 1e6 else None
        frames = Pictures(name, os.path.dirname(images[keys[0]].path), [images[key].path for key in keys], 0, fps)
        clips.append(AnnotatedClip(frames, sizes[clip], rows[clip]))
    return sorted(clips, key=lambda clip: natural_key(clip.name))


def _id(entry: Any, field: str = "id") -> Any:
    """Return the id that a part of the file has, a whole number or a string; None where it has none."""
    value = entry.get(field) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _track(entry: dict[str, Any]) -> int:
    """Return the number of the track. CVAT writes it into the attributes."""
    attributes = entry.get("attributes")
    places = [entry.get("track_id"), entry.get("instance_id")]
    places += [attributes.get("track_id")] if isinstance(attributes, dict) else []
    return next((track for track in places if type(track) is int and 0 <= track < 1 << 62), -1)
