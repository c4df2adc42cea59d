"""A rendered scene of objects with boxes: what is in it, how each frame is drawn, and the true boxes."""

import functools
import math

import cv2
import numpy as np

from ..synthetic import layers
from ..synthetic.looks import HandLook
from ..synthetic.places import PLACE_COUNTS, place
from ..synthetic.seeds import BOX_SCENE, generator, split_range
from . import occluders
from .lookalikes import HUNG, KINDS, lookalike
from .objects import FACE, LABELS, Thing, hand, person_look
from .objects_face import head
from .scenes_camera import Camera
from .scenes_paths import SPEEDS, Actor, Path, moment_times, part_matrix, path
from .scenes_tags import Seen, tagged
from .truth import Truth

_OBJECT_COUNTS = (0.06, 0.30, 0.30, 0.20, 0.14)  # shares of the clips with 0, 1, 2 ... objects
_LOOKALIKE_COUNTS = (0.2, 0.35, 0.3, 0.15)
_SIZES, _TINY = (0.09, 0.42), (0.05, 0.09)  # square root of a box's area, in short sides of the frame
_TINY_SHARE = 0.1  # of the objects
_OCCLUDED_SHARE, _POST_SHARE = 0.7, 0.15  # of the clips with objects
_BORDER = 0.06  # of the short side: how much more of the place there is than the camera shows
_BLUR_STEP, _MOMENTS = 1.5, 8  # pixels between two moments of an exposure, and their greatest number
_INSIDE = 0.2  # share of a box that the frame has to show: of a smaller share the box is ignored
_LEAST_SIDE = 2.0  # pixels: a box whose part in the frame is narrower is left out


class Scene:
    """The place, the objects and the camera of one clip. Its pictures are drawn when it is made.

    split, seed: of the clip. height, width: of the frames. frames: of the clip.
    """

    def __init__(self, split: str, seed: int, height: int, width: int, frames: int) -> None:
        self.split, self.seed, self.height, self.width, self.frames = split, seed, height, width, frames
        rng = generator(split, seed, BOX_SCENE)
        self.camera = Camera(rng, height, width, frames)
        light = np.array((rng.uniform(-0.8, 0.8), rng.uniform(-0.1, 0.9), rng.uniform(0.45, 1.0)))
        self._light = light / np.linalg.norm(light)
        self._shadow = float(rng.choice((0.0, 0.0, 0.25, 0.4)))
        self._drift = self._drawn_drift(rng)
        border = 2 * math.ceil(_BORDER * min(height, width))
        numbers = split_range(split, PLACE_COUNTS)
        picture = place(split, numbers[rng.integers(len(numbers))], height + border, width + border)
        self._place = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
        self.actors = [actor._replace(path=actor.path.shifted(self._drift)) for actor in self._drawn_actors(rng)]

    def _drawn_drift(self, rng: np.random.Generator) -> np.ndarray:
        """Return how far the picture of everything is moved by an unsteady camera, (frames + 2, 2) pixels."""
        time = moment_times(self.frames)[:, None]
        strength = min(self.height, self.width) * rng.choice((0.0, 0.003, 0.008))
        waves = np.sin(rng.uniform(0.02, 0.25, 2) * time + rng.uniform(0, 2 * math.pi, 2))
        return np.asarray(strength * waves)

    def _drawn_actors(self, rng: np.random.Generator) -> list[Actor]:
        """Return all that is in the scene, the furthest first."""
        count = int(rng.choice(len(_OBJECT_COUNTS), p=_OBJECT_COUNTS))
        others = int(rng.choice(len(_LOOKALIKE_COUNTS), p=_LOOKALIKE_COUNTS))
        speeds = tuple(SPEEDS)
        usual = speeds[rng.integers(len(speeds))]
        most = _SIZES[1] / math.sqrt(max(1.0, (count + others) / 3))
        actors: list[Actor] = []
        for number in range(count + others):
            speed = usual if rng.random() < 0.7 else speeds[rng.integers(len(speeds))]
            limits = _TINY if rng.random() < _TINY_SHARE else (_SIZES[0], most)
            size = math.exp(rng.uniform(*np.log(limits))) * min(self.height, self.width)
            label = int(rng.integers(len(LABELS))) if number < count else -1
            actors.append(self._drawn_actor(rng, label, speed, size, actors))
        boxed = [actor for actor in actors if actor.label >= 0]
        actors = [actors[number] for number in rng.permutation(len(actors))]
        size_of = self.height, self.width, self.frames
        if boxed and rng.random() < _OCCLUDED_SHARE:
            for number in rng.permutation(len(boxed))[: int(rng.integers(1, 3))]:
                target = boxed[number]
                size = target.scale * target.thing.extent
                actors.append(occluders.passing(rng, self.split, target.path, size, *size_of))
        if boxed and rng.random() < _POST_SHARE:
            actors.append(occluders.post(rng, self.split, *size_of))
        return actors

    def _drawn_actor(self, rng: np.random.Generator, label: int, speed: str, size: float, before: list[Actor]) -> Actor:
        look = person_look(rng, self.split)
        kinds = tuple(KINDS)
        kind = LABELS[label] if label >= 0 else kinds[rng.integers(len(kinds))]
        thing = self._thing(rng, label, kind, look, size)
        upright = label == FACE or kind in ("doll", "back of a head", "clock", "glove")
        tilt = rng.normal(0, 0.16) if upright else rng.uniform(-3.1, 3.1) if rng.random() < 0.2 else rng.normal(0, 0.5)
        if kind in HUNG and rng.random() < 0.6:
            speed, tilt = "slow", tilt / 3
        # The best of a few paths: objects may pass before each other, but do not stay there.
        paths = [path(rng, speed, size, tilt, self.height, self.width, self.frames) for _ in range(3)]
        best = max(paths, key=lambda way: self._free(way, size, before))
        return Actor(thing, size / thing.extent, best, label, kind)

    def _thing(self, rng: np.random.Generator, label: int, kind: str, look: HandLook, size: float) -> Thing:
        if label == FACE:
            return head(rng, self.split, look, self._light, size)
        if label >= 0:
            return hand(rng, kind, look, self._light, size)
        return lookalike(rng, kind, self.split, look, self._light, size)

    @staticmethod
    def _free(way: Path, size: float, before: list[Actor]) -> float:
        """Return how much room there is between an object and the others, at most 1: over the mean of the clip."""
        room = 1.0
        for other in before:
            apart = np.hypot(way.x - other.path.x, way.y - other.path.y)
            room = min(room, float(apart.mean()) / (size + other.scale * other.thing.extent))
        return room

    def render(self, index: int, without: int | None = None) -> np.ndarray:
        """Return a frame, (height, width, 3) uint8 RGB. without: of the actor that is left out, its place in `actors`.

        Of an actor that is left out, the parts that are not in its box stay.
        """
        return self.camera.develop(self.drawn(index, without), index, self.split, self.seed)

    def drawn(self, index: int, without: int | None = None) -> np.ndarray:
        """Return a frame before the camera's work, (height, width, 4) uint8. See :meth:`render`."""
        height, width = self._place.shape[:2]
        shift = self._drift[index + 1]
        matrix = layers.placed(
            (self.width / 2, self.height / 2), 1.0, 0.0, (width / 2 - shift[0], height / 2 - shift[1])
        )
        frame = np.asarray(cv2.warpAffine(self._place, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR,
                                          borderMode=cv2.BORDER_REPLICATE))  # fmt: skip
        for number, actor in enumerate(self.actors):
            moments = self._moments(actor, index)
            for part in actor.thing.parts:
                layers.paste(frame, part.layer, [part_matrix(moment, part) for moment in moments])
            if number != without:
                layers.paste(frame, actor.thing.layer, moments, self._shadow)
        return frame

    def blur(self, actor: Actor, index: int) -> float:
        """Return how far an actor moves during an exposure, in pixels, without the camera's shake."""
        first, last = self._ends(actor, index)
        turned = abs(last[3] - first[3]) + abs(last[2] - first[2])
        half = 0.35 * actor.scale * actor.thing.extent
        return math.hypot(last[0] - first[0], last[1] - first[1]) + half * turned

    def _ends(self, actor, index):
        half = self.camera.exposure / 2
        return actor.path.at(index - half), actor.path.at(index + half)

    def _moments(self, actor: Actor, index: int) -> list[np.ndarray]:
        """Return the matrices of the moments of an exposure."""
        count = min(_MOMENTS, 1 + int(self.blur(actor, index) / _BLUR_STEP))
        exposure = self.camera.exposure
        return [actor.matrix(index + exposure * ((step + 0.5) / count - 0.5)) for step in range(count)]

    @property
    def boxed(self) -> list[Actor]:
        """The actors that have a box. Their places in the list are the numbers of the tracks."""
        return [actor for actor in self.actors if actor.label >= 0]

    @functools.cached_property
    def seen(self) -> list[Seen]:
        """How each boxed object is seen in each frame."""
        blurs = [[self.blur(actor, index) for index in range(self.frames)] for actor in self.boxed]
        camera = self.camera
        return [
            Seen(visible, np.array(blur) + camera.shake, camera.light, camera.noise)
            for visible, blur in zip(self._visible(), blurs, strict=True)
        ]

    @functools.cached_property
    def truths(self) -> list[Truth]:
        """The true boxes of each frame, with their tags. They need no pixels."""
        boxed = self.boxed
        boxes = np.stack([self._boxes(actor) for actor in boxed]) if boxed else np.zeros((0, self.frames, 4))
        inside = np.clip(boxes, 0, (self.width, self.height, self.width, self.height))
        shown = (inside[..., 2:] - inside[..., :2]).prod(-1) / (boxes[..., 2:] - boxes[..., :2]).prod(-1)
        wide = (inside[..., 2:] - inside[..., :2]).min(-1) >= _LEAST_SIDE
        classes = np.array([actor.label for actor in boxed], np.int64)
        truths = []
        for index in range(self.frames):
            rows = np.flatnonzero(wide[:, index])
            ignored = shown[rows, index] < _INSIDE
            none = tuple(frozenset[str]() for _ in rows)
            truths.append(Truth(inside[rows, index].astype(np.float32), classes[rows], rows, ignored, none))
        return tagged(truths, self.seen, (self.height, self.width))

    def _boxes(self, actor: Actor) -> np.ndarray:
        """Return the boxes of an actor in the middle of each exposure, beyond the frame too: (frames, 4) float64."""
        corners = np.column_stack((actor.thing.outline, np.ones(len(actor.thing.outline))))
        boxes = np.empty((self.frames, 4))
        for index in range(self.frames):
            spots = corners @ actor.matrix(index).T + 0.5  # a pixel's edges are whole numbers here
            boxes[index, :2], boxes[index, 2:] = spots.min(axis=0), spots.max(axis=0)
        return boxes

    def _visible(self) -> list[np.ndarray]:
        """Return the share of each boxed object that nothing hides, (frames,) float64 each.

        It is a share of the object's pixels inside the frame, at half the resolution, in the middle of the exposure.
        """
        size = (self.width + 1) // 2, (self.height + 1) // 2
        covers = [[(cv2.extractChannel(part.layer, 3), part) for part in actor.thing.parts] for actor in self.actors]
        own = [cv2.extractChannel(actor.thing.layer, 3) for actor in self.actors]
        shares = [np.ones(self.frames) for actor in self.actors if actor.label >= 0]
        for index in range(self.frames):
            free = np.full(size[::-1], 255, np.uint8)
            track = len(shares)
            for number in range(len(self.actors) - 1, -1, -1):
                actor = self.actors[number]
                matrix = actor.matrix(index)
                cover = _half_warped(own[number], matrix, size)
                if actor.label >= 0:
                    track -= 1
                    whole = float(cv2.sumElems(cover)[0])
                    left = float(cv2.sumElems(cv2.multiply(cover, free, scale=1 / 255))[0])
                    shares[track][index] = left / whole if whole else 0.0
                free = cv2.multiply(free, cv2.bitwise_not(cover), scale=1 / 255)
                for layer, part in covers[number]:
                    behind = _half_warped(layer, part_matrix(matrix, part), size)
                    free = cv2.multiply(free, cv2.bitwise_not(behind), scale=1 / 255)
        return shares


def _half_warped(cover: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a cover (height, width) placed by a matrix into a frame of half the resolution, `size` wide and high."""
    half = matrix / 2
    half[:, 2] -= 0.25  # OpenCV counts from the middle of the first pixel
    return np.asarray(cv2.warpAffine(cover, half, size, flags=cv2.INTER_LINEAR))
