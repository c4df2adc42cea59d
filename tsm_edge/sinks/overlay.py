"""What a viewer sees on the frame: label, confidence, frames/s, and bars for the best labels, five at most."""

import unicodedata
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.records import Result

FONT = cv2.FONT_HERSHEY_SIMPLEX
UNICODE = int(cv2.__version__.split(".")[0]) >= 5
CAPITAL_HEIGHT = 21.0  # pixels of a capital of FONT at scale 1
LEAST_CAPITAL = 6  # pixels; a smaller one cannot be read
PANEL_SHARE = 0.1  # of the picture that the panel of bars may cover, where one bar covers less
WHITE, GREY, ACCENT, DIM = (255, 255, 255), (190, 190, 190), (90, 200, 60), (90, 90, 90)  # BGR

Colour = Tuple[int, int, int]


def draw(image: np.ndarray, result: Result) -> np.ndarray:
    """Return a copy of `image`, (H, W, 3) uint8 BGR, with the overlay. The copy has the same form."""
    copy = np.array(image, order="C")
    draw_onto(copy, result)
    return copy


def draw_onto(image: np.ndarray, result: Result) -> None:
    """Draw the overlay on `image` itself, (H, W, 3) uint8 BGR, C-contiguous. For a caller that owns a copy already."""
    result.prediction.draw(Canvas(image, result.fps))


class Canvas:
    """An image to draw on, in sizes that fit it. A prediction's `draw` decides what is drawn.

    Args:
        image: (H, W, 3) uint8 BGR, C-contiguous; drawn on in place.
        fps: frames/s to show beside the title, None for none.
    """

    def __init__(self, image: np.ndarray, fps: Optional[float] = None) -> None:
        self.image, self.fps = image, fps
        self.height, self.width = image.shape[:2]
        self.capital = max(LEAST_CAPITAL, min(self.height, self.width) // 40)  # pixels

    def title(self, text: Optional[str], confidence: Optional[float] = None) -> None:
        """Draw the strip along the top: a label (None for none), how sure it is, and at the right the frames/s."""
        small, big = self.capital, int(self.capital * 1.3)
        strip = 2 * big + small // 2
        _darken(self.image[:strip])
        baseline, right = (strip + big) // 2, self.width - small
        if self.fps is not None and self.width >= 20 * small:  # the label needs a narrow frame's whole strip
            rate = "{:.0f} fps".format(self.fps) if self.fps >= 10 else "{:.1f} fps".format(self.fps)
            right -= _width(rate, small)
            self._text(rate, (right, baseline), small, GREY)
            right -= small
        if text is None:
            self._text(_cut("-", right - small, big), (small, baseline), big, GREY)
            return
        percent = "" if confidence is None else " {:.0%}".format(confidence)
        label = _cut(text, right - small - _width(percent, big), big)
        self._text(label, (small, baseline), big, WHITE)
        self._text(percent, (small + _width(label, big), baseline), big, ACCENT)

    def bars(self, top: Sequence[Tuple[str, float]]) -> None:
        """Draw a panel at the lower left: a row for each of up to five labels, its probability as a bar under its name.

        A small picture has fewer rows: the panel covers PANEL_SHARE of it at most.
        """
        capital = self.capital
        row = int(2.4 * capital)
        panel = min(self.width, max(self.width // 4, 18 * capital))
        fit = int(PANEL_SHARE * self.height * self.width / panel - capital) // row
        count = min(5, len(top), max(1, fit), max(0, (self.height // 2 - capital) // row))
        if not count:
            return
        first = self.height - row * count - capital // 2
        _darken(self.image[first - capital // 2 :, :panel])
        inner, thick = panel - 2 * capital, max(2, capital // 5)
        for i, (label, probability) in enumerate(top[:count]):
            baseline = first + i * row + int(1.3 * capital)
            colour = WHITE if i == 0 else GREY
            percent = "{:.0%}".format(probability)
            right = capital + inner - _width(percent, capital)
            self._text(_cut(label, right - 2 * capital, capital), (capital, baseline), capital, colour)
            self._text(percent, (right, baseline), capital, colour)
            y = baseline + capital // 2
            filled = int(round(inner * min(max(probability, 0.0), 1.0)))
            cv2.rectangle(self.image, (capital, y), (capital + inner, y + thick - 1), DIM, -1)
            cv2.rectangle(self.image, (capital, y), (capital + filled, y + thick - 1), ACCENT, -1)

    def _text(self, text: str, origin: Tuple[int, int], capital: int, colour: Colour) -> None:
        scale, thickness = capital / CAPITAL_HEIGHT, max(1, capital // 8)
        cv2.putText(self.image, _drawable(text), origin, FONT, scale, colour, thickness, cv2.LINE_AA)


def _darken(region: np.ndarray) -> None:
    """Leave a quarter of the light, in place: white text on it can be read over any scene."""
    np.right_shift(region, 2, out=region)


def _width(text: str, capital: int) -> int:
    return cv2.getTextSize(_drawable(text), FONT, capital / CAPITAL_HEIGHT, max(1, capital // 8))[0][0]


def _cut(text: str, room: int, capital: int) -> str:
    """Return `text`, or as much of its start as `room` pixels take, marked by two dots.

    To measure a text takes time that grows with its length, so no text longer than the room has pixels is measured, and
    the length is found by halving.
    """
    if len(text) <= max(room, 0) and _width(text, capital) <= room:
        return text
    fits, too_long = -1, min(len(text), max(room, 0)) + 1  # characters before the dots
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _width(text[:middle] + "..", capital) <= room:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + ".." if fits > 0 else ""


def _drawable(text: str) -> str:
    """Return `text` in the characters that this OpenCV can draw.

    Release 5 carries a Unicode font. Earlier ones have stroke fonts of ASCII alone: accents fall away, and other
    scripts become question marks. (The JSON lines keep every label unchanged.)
    """
    if not UNICODE:
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = text.encode("ascii", "replace").decode("ascii")
    return "".join(c if c.isprintable() else "?" for c in text)
