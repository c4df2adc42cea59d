"""What a viewer sees on the frame: label, confidence, frames/s, and a bar for each of the five best labels."""

import unicodedata

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
UNICODE = int(cv2.__version__.split(".")[0]) >= 5
CAP_HEIGHT = 21.0  # pixels of a capital of FONT at scale 1
WHITE, GREY, ACCENT, DIM = (255, 255, 255), (190, 190, 190), (90, 200, 60), (90, 90, 90)  # BGR


def draw(image, result):
    """A copy of `image` with the overlay. image: (H, W, 3) uint8 BGR, not changed; the copy has the same form."""
    copy = np.array(image, order="C")
    draw_onto(copy, result)
    return copy


def draw_onto(image, result):
    """Draw the overlay on `image` itself: (H, W, 3) uint8 BGR, C-contiguous. For a caller that owns a copy already."""
    decision = result.decision
    height, width = image.shape[:2]
    cap = max(6, min(height, width) // 32)  # height of a capital in pixels; 6 is the least that can be read
    _header(image, decision, result.fps, cap)
    rows = min(5, len(decision.top), max(0, (height // 2 - cap) // _row(cap)))
    if rows:
        _bars(image, decision.top[:rows], cap)


def _header(image, decision, fps, cap):
    """The strip along the top: what is seen, how sure, and at the right the frames/s."""
    width = image.shape[1]
    big = int(cap * 1.3)
    strip = 2 * big + cap // 2
    _darken(image[:strip])
    baseline, right = (strip + big) // 2, width - cap
    if fps is not None and width >= 20 * cap:  # the label needs a narrow frame's whole strip
        text = "{:.0f} fps".format(fps) if fps >= 10 else "{:.1f} fps".format(fps)
        right -= _width(text, cap)
        _text(image, text, (right, baseline), cap, GREY)
        right -= cap
    if decision.label is None:
        _text(image, _cut("-", right - cap, big), (cap, baseline), big, GREY)
        return
    percent = " {:.0%}".format(decision.confidence)
    label = _cut(decision.label, right - cap - _width(percent, big), big)
    _text(image, label, (cap, baseline), big, WHITE)
    _text(image, percent, (cap + _width(label, big), baseline), big, ACCENT)


def _bars(image, top, cap):
    """A panel at the lower left: one row a label, its probability as a bar under its name."""
    height, width = image.shape[:2]
    row, panel = _row(cap), min(width, max(width // 4, 20 * cap))
    first = height - row * len(top) - cap // 2
    _darken(image[first - cap // 2 :, :panel])
    inner, thick = panel - 2 * cap, max(2, cap // 5)
    for i, (label, probability) in enumerate(top):
        baseline = first + i * row + int(1.3 * cap)
        colour = WHITE if i == 0 else GREY
        percent = "{:.0%}".format(probability)
        right = cap + inner - _width(percent, cap)
        _text(image, _cut(label, right - 2 * cap, cap), (cap, baseline), cap, colour)
        _text(image, percent, (right, baseline), cap, colour)
        y = baseline + cap // 2
        filled = int(round(inner * min(max(probability, 0.0), 1.0)))
        cv2.rectangle(image, (cap, y), (cap + inner, y + thick - 1), DIM, -1)
        cv2.rectangle(image, (cap, y), (cap + filled, y + thick - 1), ACCENT, -1)


def _row(cap):
    return int(2.4 * cap)


def _darken(region):
    """A quarter of the light, in place: white text on it can be read over any scene."""
    np.right_shift(region, 2, out=region)


def _text(image, text, origin, cap, colour):
    thickness = max(1, cap // 8)
    cv2.putText(image, _drawable(text), origin, FONT, cap / CAP_HEIGHT, colour, thickness, cv2.LINE_AA)


def _width(text, cap):
    return cv2.getTextSize(_drawable(text), FONT, cap / CAP_HEIGHT, max(1, cap // 8))[0][0]


def _cut(text, room, cap):
    """`text`, or as much of its start as `room` pixels take, marked by two dots."""
    if _width(text, cap) <= room:
        return text
    while text and _width(text + "..", cap) > room:
        text = text[:-1]
    return text + ".." if text else ""


def _drawable(text):
    """`text` in the characters that this OpenCV can draw.

    Release 5 carries a Unicode font. Before it, stroke fonts of ASCII alone: accents fall away, and other scripts
    become question marks (the JSON lines keep every label as it is).
    """
    if not UNICODE:
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = text.encode("ascii", "replace").decode("ascii")
    return "".join(c if c.isprintable() else "?" for c in text)
