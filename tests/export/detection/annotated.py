"""Annotated video for tests: a picture is black with a white square of its own size on it; and its files."""

import json

import cv2
import numpy as np

SIZE = (48, 64)  # height and width of the frames
LABELS = ("ball", "cup")


def square(frame, clip=0):
    """Left, top, width and height of the square in a frame."""
    return 4 + 2 * (frame % 12) + clip, 8 + frame % 12, 16, 12


def picture(frame, clip=0):
    """(48, 64, 3) uint8 BGR."""
    made = np.zeros((*SIZE, 3), np.uint8)
    left, top, width, height = square(frame, clip)
    made[top : top + height, left : left + width] = 255
    return made


def write_frames(folder, count, clip=0, first=1):
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(count):
        cv2.imwrite(str(folder / f"{first + frame:06d}.png"), picture(frame, clip))


def coco(folder, clips=2, frames=6):
    """Write the frames of some clips. Returns the dictionary of their COCO file, whose boxes are the squares."""
    images, annotations = [], []
    for clip in range(clips):
        write_frames(folder / f"clip{clip}", frames, clip)
        for frame in range(frames):
            number = len(images) + 1
            name = f"clip{clip}/{frame + 1:06d}.png"
            images.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 7 + clip % 2,
                    "bbox": list(square(frame, clip)),
                    "track_id": clip,
                }
            )
    categories = [{"id": 7, "name": "ball"}, {"id": 8, "name": "cup"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder, data, name="boxes.json"):
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def sequence(folder, frames=6, lines=None, ini=None, labels=LABELS):
    """Write a MOTChallenge folder. lines: of gt.txt, by default the squares of class 1."""
    write_frames(folder / "img1", frames)
    (folder / "gt").mkdir(exist_ok=True)
    facts = {"name": folder.name, "imDir": "img1", "frameRate": 12.5, "seqLength": frames}
    facts.update({"imWidth": SIZE[1], "imHeight": SIZE[0], **(ini or {})})
    text = "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in facts.items() if value is not None)
    (folder / "seqinfo.ini").write_text(text)
    (folder / "gt" / "gt.txt").write_text("\n".join(mot_lines(frames) if lines is None else lines) + "\n")
    if labels:
        (folder / "gt" / "labels.txt").write_text("\n".join(labels))
    return folder


def mot_lines(frames, flag=1, class_number=1):
    """Lines whose boxes are the squares: MOT text counts frames and pixels from 1."""
    made = []
    for frame in range(frames):
        left, top, width, height = square(frame)
        made.append(f"{frame + 1},3,{left + 1},{top + 1},{width},{height},{flag},{class_number},1.0")
    return made
