"""What a viewer sees on the frame: a label with bars for the best labels, or boxes; and the frames/s."""

import unicodedata
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.records import Result
from tsm_edge.sinks.base import OVERLAY

FONT = cv2.FONT_HERSHEY_SIMPLEX
UNICODE = int(cv2.__version__.split(".")[0]) >= 5
CAPITAL_HEIGHT = 21.0  # pixels of a capital of FONT at scale 1
LEAST_CAPITAL = 6  # pixels; a smaller one cannot be read
PANEL_SHARE = 0.1  # of the picture that the panel of bars may cover, where one bar covers less
WHITE, GREY, ACCENT, DIM = (255, 255, 255), (190, 190, 190), (90, 200, 60), (90, 90, 90)  # BGR
# BGR of the boxes of each class, in turn: the colours of Okabe and Ito, which colour-blind people can tell apart.
CLASS_COLOURS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (167, 121, 204), (0, 94, 213))

Colour = Tuple[int, int, int]
Box = Tuple[float, float, float, float]  # x1, y1, x2, y2


def draw(image: np.ndarray, result: Result) -> np.ndarray:
    """Return a copy of `image`, (H, W, 3) uint8 BGR, with the overlay. The copy has the same form."""
    copy = np.array(image, order="C")
    draw_onto(copy, result)
    return copy


def draw_onto(image: np.ndarray, result: Result, parts: Sequence[str] = OVERLAY) -> None:
    """Draw the overlay on `image` itself, for a caller that owns a copy already.

    Args:
        image: (H, W, 3) uint8 BGR, C-contiguous. It may be larger than the frame.
        result: what was found in the frame.
        parts: of OVERLAY, those of each box that are drawn.
    """
    height, width = result.frame.image.shape[:2]
    scale = image.shape[1] / width, image.shape[0] / height
    result.prediction.draw(Canvas(image, result.fps, parts, scale))


class Canvas:
    """An image to draw on, in sizes that fit it. A prediction's `draw` decides what is drawn.

    Args:
        image: (H, W, 3) uint8 BGR, C-contiguous; drawn on in place.
        fps: frames/s to show beside the title, None for none.
        parts: of OVERLAY, those of each box that are drawn.
        scale: pixels of the image for one pixel of the frame, in x and y.
    """

    def __init__(
        self,
        image: np.ndarray,
        fps: Optional[float] = None,
        parts: Sequence[str] = OVERLAY,
        scale: Tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.image, self.fps, self.parts, self.scale = image, fps, parts, scale
        self.height, self.width = image.shape[:2]
        self.capital = max(LEAST_CAPITAL, min(self.height, self.width) // 40)  # pixels

    def title(self, text: Optional[str], confidence: Optional[float] = None) -> None:
        """Draw the strip along the top: a label (None for none), how sure it is, and at the right the frames/s."""
        small, big = self.capital, int(self.capital * 1.3)
        strip = 2 * big + small // 2
        _darken(self.image[:strip])
        baseline, right = (strip + big) // 2, self.width - small
        if self.fps is not None and self.width >= 20 * small:  # the label needs a narrow frame's whole strip
            rate = _rate(self.fps)
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

    def rate(self) -> None:
        """Draw the frames/s in the upper right corner, where the frame has room for them."""
        if self.fps is None or self.width < 20 * self.capital:
            return
        text = _rate(self.fps)
        left, foot = self.width - 2 * self.capital - _width(text, self.capital), 2 * self.capital
        _darken(self.image[: foot + self.capital, left:])
        self._text(text, (left + self.capital, foot), self.capital, GREY)

    def box(self, box: Box, label: str, confidence: float, track: Optional[int], colour: int) -> None:
        """Draw one box, and over it (or in it, at the upper edge of the frame) a line of text.

        Args:
            box: x1, y1, x2, y2 in pixels of the frame.
            label: of its class.
            confidence: 0 to 1.
            track: the number of its track, None for none.
            colour: the number of its class, which chooses the colour.
        """
        chosen = CLASS_COLOURS[colour % len(CLASS_COLOURS)]
        across, down = self.scale
        left, right = (self._inside(edge * across, self.width) for edge in (box[0], box[2]))
        top, bottom = (self._inside(edge * down, self.height) for edge in (box[1], box[3]))
        if "box" in self.parts:
            thick = max(1, self.capital // 5)
            cv2.rectangle(self.image, (left, top), (right, bottom), chosen, thick)
        words = [label] if "labels" in self.parts else []
        words += ["{:.0%}".format(confidence)] if "conf" in self.parts else []
        words += ["#{}".format(track)] if "track" in self.parts and track is not None else []
        text = _cut(" ".join(words), self.width - self.capital, self.capital)
        if not text:
            return
        margin = self.capital // 2
        row, wide = 2 * self.capital, _width(text, self.capital) + 2 * margin
        above = max(0, top - row)
        left = max(0, min(left, self.width - wide))
        _darken(self.image[above : above + row, left : left + wide])
        self._text(text, (left + margin, above + row - margin), self.capital, chosen)

    @staticmethod
    def _inside(edge: float, length: int) -> int:
        return int(min(max(round(edge), 0), length - 1))

    def _text(self, text: str, origin: Tuple[int, int], capital: int, colour: Colour) -> None:
        scale, thickness = capital / CAPITAL_HEIGHT, max(1, capital // 8)
        cv2.putText(self.image, _drawable(text), origin, FONT, scale, colour, thickness, cv2.LINE_AA)


def _rate(fps: float) -> str:
    return "{:.0f} fps".format(fps) if fps >= 10 else "{:.1f} fps".format(fps)


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
