"""Draw the SVG pictures of README.md and docs/concept.md: make_concept_drawings.py [FOLDER] (default: docs).

how_it_works.svg: one frame at a time, the shift, and the cached slices that it takes from the frame before.
shift.svg: the channels that the online and the offline shift move between frames.

Both have a light ground of their own, so that they can be read on a dark page too.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
INK, GREY, LINE, GROUND, CACHE = "#1f2328", "#57606a", "#8c959f", "#ffffff", "#eaeef2"
FRAME_COLOURS = ("#8c959f", "#0969da", "#bc4c00", "#1a7f37")  # of the features of frames t-2, t-1, t and t+1
SLICES = 8  # parts of the channels; the shift moves one of them


class Drawing:
    """An SVG of `width` x `height` pixels on a light ground."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="Helvetica, Arial, sans-serif" role="img"><title>{title}</title>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{GREY}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="{GROUND}" stroke="{LINE}"/>',
        ]

    def rect(self, x: float, y: float, width: float, height: float, fill: str, *, corner: float = 0) -> None:
        """Draw a rectangle with a thin edge."""
        shape = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:g}"'
        self.parts.append(f'{shape} fill="{fill}" stroke="{INK}" stroke-width="0.8"/>')

    def text(
        self, x: float, y: float, words: str, *, size: int = 13, colour: str = INK, anchor: str = "middle"
    ) -> None:
        """Write one line of text whose anchor (start, middle or end) is at (x, y)."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{words}</text>'
        )

    def arrow(self, *points: tuple[float, float], colour: str = GREY) -> None:
        """Draw a line through the points, with a tip at its end."""
        path = " L".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6" marker-end="url(#tip)"/>'
        )

    def features(self, x: float, y: float, width: float, colours: list[str]) -> None:
        """Draw a feature map as a row of slices of its channels, one colour a slice."""
        part = width / len(colours)
        for number, colour in enumerate(colours):
            self.rect(x + number * part, y, part, 20, colour)

    def svg(self) -> str:
        """Return the drawing."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def how_it_works() -> str:
    """Draw three frames on their way through one shift each, and the cached slices between them."""
    drawing = Drawing(820, 440, "One frame at a time: the shift takes a slice of the channels from the frame before")
    width, left, step = 160, 60, 260  # of a column: its bars, where the first begins, from one to the next
    rows = {"frame": 30, "before": 118, "after": 212, "convolution": 258, "label": 366}
    for number, name in enumerate(("frame t-1", "frame t", "frame t+1")):
        x, own, earlier = left + number * step, FRAME_COLOURS[number + 1], FRAME_COLOURS[number]
        middle = x + width / 2
        drawing.rect(middle - 36, rows["frame"], 72, 50, CACHE, corner=3)
        _hand(drawing, middle - 14 + 14 * number, rows["frame"] + 12, own)
        drawing.text(middle + 46, rows["frame"] + 30, name, anchor="start")
        drawing.arrow((middle, rows["frame"] + 52), (middle, rows["before"] - 3))
        drawing.features(x, rows["before"], width, [own] * SLICES)
        drawing.arrow((middle, rows["before"] + 22), (middle, rows["after"] - 3))
        drawing.features(x, rows["after"], width, [earlier] + [own] * (SLICES - 1))
        drawing.arrow((middle, rows["after"] + 22), (middle, rows["convolution"] - 3))
        drawing.rect(x + 20, rows["convolution"], width - 40, 30, CACHE, corner=6)
        drawing.text(middle, rows["convolution"] + 20, "convolution")
        drawing.arrow((middle, rows["convolution"] + 32), (middle, rows["label"] - 3))
        drawing.text(middle + 10, rows["convolution"] + 62, "nine more blocks", size=12, colour=GREY, anchor="start")
        drawing.text(middle + 10, rows["convolution"] + 77, "like this one", size=12, colour=GREY, anchor="start")
        drawing.rect(x + 20, rows["label"], width - 40, 30, own, corner=15)
        drawing.text(middle, rows["label"] + 20, "label", colour=GROUND)
        _cached_slice(drawing, x + width / SLICES / 2, rows["before"] + 20, rows["after"] + 10, own, number < 2)
    drawing.text(left, rows["before"] - 10, "features", anchor="start", size=12, colour=GREY)
    drawing.text(left + 34, rows["after"] - 8, "shift", anchor="start", size=12, colour=GREY)
    note = "Of each block's channels, 1/8 come from the frame before: the cache holds them until then. "
    note += "No frame runs twice."
    drawing.text(410, 424, note, size=13)
    return drawing.svg()


def _cached_slice(drawing: Drawing, x: float, top: float, bottom: float, colour: str, reaches_next: bool) -> None:
    """Draw the way of a frame's first slice into the cache, and from the cache into the next frame."""
    cache = x + 172
    if not reaches_next:
        drawing.arrow((x, top), (x, top + 26), colour=colour)
        drawing.text(x - 2, top + 40, "to t+2", size=12, colour=colour)
        return
    drawing.arrow((x, top), (x, top + 26), (cache - 3, top + 26), colour=colour)
    drawing.rect(cache, top + 10, 52, 32, CACHE, corner=4)
    drawing.rect(cache + 5, top + 16, 14, 20, colour)
    drawing.text(cache + 36, top + 30, "cache", size=10)
    drawing.arrow((cache + 26, top + 42), (cache + 26, bottom), (x + 246, bottom), colour=colour)


def _hand(drawing: Drawing, x: float, y: float, colour: str) -> None:
    """Draw a small hand, 16 pixels wide: what moves from frame to frame."""
    fingers = "".join(f"M{x + 2 + 4 * n:g},{y + 12:g} v-{8 + 2 * (n in (1, 2))} " for n in range(4))
    drawing.parts.append(f'<path d="{fingers}" stroke="{colour}" stroke-width="3" stroke-linecap="round"/>')
    drawing.parts.append(f'<rect x="{x:g}" y="{y + 10:g}" width="16" height="14" rx="4" fill="{colour}"/>')


def shift() -> str:
    """Draw the channels of four frames before and after the online and the offline shift."""
    drawing = Drawing(860, 262, "Channels over time: no shift, the online shift, the offline shift")
    kinds: tuple[tuple[str, dict[int, int]], ...] = (
        ("no shift (TSN)", {}),
        ("online (causal)", {0: -1}),
        ("offline (bidirectional)", {0: 1, 1: -1}),
    )
    size, height, names = 26, 17, ("t-2", "t-1", "t", "t+1")
    for place, (title, moved) in enumerate(kinds):
        x, y = 70 + 258 * place, 56
        drawing.text(x + 2 * size, y - 26, title, size=14)
        for frame, name in enumerate(names):
            drawing.text(x + frame * size + size / 2, y - 6, name, size=11, colour=GREY)
            for row in range(SLICES):
                source = frame + moved.get(row, 0)
                colour = FRAME_COLOURS[source] if 0 <= source < len(names) else GROUND
                drawing.rect(x + frame * size, y + row * height, size, height, colour)
        if moved:
            for row, offset in moved.items():
                words = "from the frame before" if offset < 0 else "from the frame after"
                drawing.text(x + 4 * size + 8, y + row * height + 13, words, size=11, colour=GREY, anchor="start")
        else:
            drawing.text(x - 8, y + 72, "channels", size=11, colour=GREY, anchor="end")
    drawing.text(
        430, 220, "A column is a frame; a colour is the frame that the channels were computed from; white is zero."
    )
    drawing.text(430, 242, "A live stream has no frame t+1 yet, so only the online shift can run on it.")
    return drawing.svg()


DRAWINGS = {"how_it_works.svg": how_it_works, "shift.svg": shift}


def main(arguments: list[str]) -> int:
    """Write the drawings. Returns the exit code."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs"
    for name, draw in DRAWINGS.items():
        (folder / name).write_text(draw(), encoding="utf-8")
        print(f"wrote {folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
