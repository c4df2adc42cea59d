"""A scene: one room, one pair of hands, one light, one camera. It renders any moment of any motion."""

import functools
import math

import cv2
import numpy as np

from . import hand as hands
from . import layers
from .looks import HAND_COUNTS, hand_look
from .motion import HandPose, Hands
from .rooms import ROOM_COUNTS, room
from .seeds import FRAME, SCENE, generator, split_range

_FINGER_STEPS = 24  # between two shapes of the fingers: poses of one step share a drawing
_KEPT_DRAWINGS = 48  # of hands, in a scene
_BORDER = 0.06  # of the short side: how much more of the room there is than the camera shows
_GRAIN_SHIFTS = 97  # pixels that the grain may be moved by, down and across


class Scene:
    """All that does not depend on what the hands do. Its pixels are made when the first frame is rendered."""

    def __init__(self, split: str, seed: int, height: int, width: int) -> None:
        self.split, self.seed, self.height, self.width = split, seed, height, width
        self.unit = min(height, width)
        rng = generator(split, seed, SCENE)
        rooms, looks = split_range(split, ROOM_COUNTS), split_range(split, HAND_COUNTS)
        self.room_number = rooms[rng.integers(len(rooms))]
        self.look = hand_look(split, looks[rng.integers(len(looks))])
        light = np.array((rng.uniform(-0.8, 0.8), rng.uniform(-0.1, 0.9), rng.uniform(0.45, 1.0)))
        self._light = light / np.linalg.norm(light)
        self._shadow = rng.choice((0.0, 0.25, 0.45)) * rng.uniform(0.7, 1.3)
        self._exposure = rng.uniform(0.3, 0.6)  # share of the frame interval that the shutter is open
        self._shake = rng.choice((0.0, 0.002, 0.006)), rng.uniform(0.3, 3.0, 4), rng.uniform(0, 2 * math.pi, 4)
        self._drift = rng.uniform(0.01, 0.05), rng.uniform(0.02, 0.08, 2), rng.uniform(0, 2 * math.pi, 2)
        self._gain = _gain(rng, height, width)
        self._flicker = rng.uniform(0, 0.03), rng.uniform(0.3, 4.0)
        self._noise = rng.choice((1.0, 3.0, 6.0, 10.0)) * rng.uniform(0.7, 1.3)
        self._softness = rng.choice((0.0, 0.0, 0.5, 0.8))
        self._quality = int(rng.integers(25, 90)) if rng.random() < 0.4 else None
        self._rng = rng  # the pixels continue from here
        self._drawn: dict[tuple[object, ...], tuple[np.ndarray, float]] = {}

    def render(
        self, motion: Hands | None, time: float, span: float, key: int, clock: float | None = None
    ) -> np.ndarray:
        """Return one frame, (height, width, 3) uint8 RGB. It depends on the arguments alone.

        motion: None for no hands. time: seconds in the motion, in the middle of the exposure. span: seconds between two
        frames. key: a number of this frame alone, for its noise. clock: seconds of the scene itself, None for `time`.
        """
        clock = time if clock is None else clock
        frame = self._background(clock)
        if motion is not None:
            self._draw_hands(frame, motion, time, span * self._exposure)
        return self._camera(frame, clock, key)

    @functools.cached_property
    def _pixels(self) -> tuple[np.ndarray, np.ndarray, list[layers.Mover]]:
        """The room (height, width, 4), the forearm, and what moves behind the hands, back to front."""
        rng, unit = self._rng, self.unit
        border = 2 * math.ceil(_BORDER * unit)
        picture = room(self.split, self.room_number, self.height + border, self.width + border)
        movers = []
        if rng.random() < 0.55:
            tall = round(unit * rng.uniform(0.75, 1.0))
            seat = rng.uniform(-0.25, 0.25), (self.height / unit - tall / unit) / 2 + rng.uniform(0.0, 0.1)
            sway = rng.uniform(0.003, 0.012), rng.uniform(0.1, 0.5), rng.uniform(0, 2 * math.pi)
            movers.append(layers.Mover(layers.person(rng, self.split, self.look, tall), seat, sway, 0.0))
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            layer = layers.passer_by(rng, self.split, unit)
            place = rng.uniform(-0.6, 0.6), rng.uniform(-0.2, 0.45)
            sway = rng.choice((0.0, 0.03, 0.1)), rng.uniform(0.1, 0.6), rng.uniform(0, 2 * math.pi)
            speed = rng.uniform(0.05, 0.5) * rng.choice((-1, 1)) if rng.random() < 0.6 else 0.0
            movers.insert(0, layers.Mover(layer, place, sway, speed))
        return cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), layers.forearm(self.look, self._light), movers

    def _background(self, clock: float) -> np.ndarray:
        """Return the room and what moves in it: (height, width, 4) uint8, for layers.paste."""
        picture, _, movers = self._pixels
        strength, rates, phases = self._shake
        wave = strength * np.sin(2 * math.pi * rates * clock + phases)
        reach, slow, start = self._drift
        moved = reach * np.sin(2 * math.pi * slow * clock + start) * 0.5 + wave[:2]
        middle = picture.shape[1] / 2 + moved[0] * self.unit, picture.shape[0] / 2 + moved[1] * self.unit
        matrix = layers.placed((self.width / 2, self.height / 2), 1.0 + wave[2] * 0.3, wave[3] * 0.3, middle)
        size = self.width, self.height
        frame = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for layer, (x, y), (sway, rate, phase), speed in movers:
            if speed:
                round_trip = self.width / self.unit + 0.9
                x = (x + speed * clock + round_trip / 2) % round_trip - round_trip / 2
            x += sway * math.sin(2 * math.pi * rate * clock + phase) - moved[0]
            y += 0.4 * sway * math.sin(2 * math.pi * 1.3 * rate * clock + phase) - moved[1]
            anchor = layer.shape[1] / 2, layer.shape[0] / 2
            layers.paste(frame, layer, [layers.placed(self._pixel(x, y), 1.0, 0.0, anchor)])
        return frame

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return self.width / 2 + x * self.unit, self.height / 2 + y * self.unit

    def _draw_hands(self, frame: np.ndarray, motion: Hands, time: float, exposure: float) -> None:
        ends = motion.poses(time - exposure / 2), motion.poses(time + exposure / 2)
        for number, pose in enumerate(motion.poses(time)):
            first, last = (poses[number] if poses else pose for poses in ends)
            path = math.hypot(last.x - first.x, last.y - first.y) + abs(last.size - first.size)
            path = max(path, abs(last.tilt - first.tilt) * pose.size)
            count = min(6, 1 + int(path * self.unit / 3))
            steps = [(step + 0.5) / count for step in range(count)]
            poses = [_between(first, last, step) for step in steps] if count > 1 else [pose]
            layers.paste(frame, self._pixels[1], [self._arm_matrix(p) for p in poses])
            layer, resolution = self._hand(pose, motion.facing)
            layers.paste(frame, layer, [self._hand_matrix(p, resolution) for p in poses], self._shadow)

    def _hand(self, pose: HandPose, facing: float) -> tuple[np.ndarray, float]:
        """Return the hand's picture and its pixels a unit. Poses that differ little share a drawing."""
        first, second, share = pose.fingers
        step, turn = round(share * _FINGER_STEPS), round(facing, 1)
        # Half octaves: a hand that approaches is drawn again when it has grown by that; the largest are magnified.
        octave = math.floor(2 * math.log2(min(max(pose.size, 0.05), 0.45) * self.unit) + 0.3)
        key = first, second, step, octave, turn, pose.left, pose.back
        if key not in self._drawn:
            if len(self._drawn) >= _KEPT_DRAWINGS:
                self._drawn.clear()
            resolution = 2 ** (octave / 2)
            x, y, z = self._light
            x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            shape = hands.blend(first, second, step / _FINGER_STEPS)
            light = (-x if pose.left else x), y, z
            self._drawn[key] = hands.picture(shape, self.look, pose.back, light, resolution), resolution
        return self._drawn[key]

    def _hand_matrix(self, pose: HandPose, resolution: float) -> np.ndarray:
        scale = pose.size * self.unit / resolution
        anchor = -hands.LEFT * resolution, (hands.TOP - hands.CENTRE) * resolution
        x, y = self._pixel(pose.x, pose.y)
        matrix = layers.placed((x, y), scale, pose.tilt, anchor)
        if pose.left:
            matrix[:, 0] *= -1
            matrix[:, 2] = (x, y) - matrix[:, :2] @ anchor
        return matrix

    def _arm_matrix(self, pose: HandPose) -> np.ndarray:
        """Return the matrix from the forearm's pixels to the frame's: its top at the wrist, its bottom at the elbow."""
        reach = (hands.CENTRE + 0.02) * pose.size
        wrist = np.array(self._pixel(pose.x - math.sin(pose.tilt) * reach, pose.y + math.cos(pose.tilt) * reach))
        along = np.array(self._pixel(*pose.elbow)) - wrist
        length = max(1.0, float(np.hypot(*along)))
        across = np.array((along[1], -along[0])) / length
        across *= 0.42 * pose.size * self.unit * self.look.breadth / layers.FOREARM_WIDTH
        along = along / layers.FOREARM_LENGTH
        return np.column_stack((across, along, wrist - across * (layers.FOREARM_WIDTH / 2)))

    def _camera(self, frame: np.ndarray, clock: float, key: int) -> np.ndarray:
        """Apply light, lens, sensor and compression. Returns (height, width, 3) uint8 RGB."""
        depth, rate = self._flicker
        rng = generator(self.split, self.seed, FRAME, key)
        frame = cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB)
        if self._softness:
            frame = cv2.GaussianBlur(frame, (3, 3), self._softness)
        light = 1 + depth * math.sin(2 * math.pi * rate * clock)
        value = cv2.multiply(frame, self._gain, scale=light, dtype=cv2.CV_32F)
        y, x = rng.integers(_GRAIN_SHIFTS, size=2)
        grain = _grain(self.height, self.width)[y : y + self.height, x : x + self.width]
        value = cv2.scaleAdd(grain, self._noise, value)
        frame = cv2.convertScaleAbs(value)  # folds noise below black back, which costs less than a clip
        if self._quality is None:
            return frame
        _, coded = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


@functools.lru_cache(maxsize=2)
def _grain(height: int, width: int) -> np.ndarray:
    """Return sensor noise a little larger than a frame, deviation about 1: half grey, half coloured and coarser."""
    rng = np.random.Generator(np.random.PCG64(20190827))
    size = height + _GRAIN_SHIFTS, width + _GRAIN_SHIFTS
    grey = rng.standard_normal((*size, 1), dtype=np.float32)
    tints = cv2.GaussianBlur(rng.standard_normal((*size, 3), dtype=np.float32), (0, 0), 0.8)
    return np.ascontiguousarray(0.75 * grey + 1.2 * tints)


def _between(first: HandPose, last: HandPose, share: float) -> HandPose:
    """Return the pose between two; its fingers are those of the first."""
    pairs = zip((*first[:4], *first.elbow), (*last[:4], *last.elbow), strict=True)
    x, y, size, tilt, elbow_x, elbow_y = (a + (b - a) * share for a, b in pairs)
    return first._replace(x=x, y=y, size=size, tilt=tilt, elbow=(elbow_x, elbow_y))


def _gain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return exposure, colour temperature and vignette: (height, width, 3) float32."""
    warmth, tint = rng.uniform(-0.14, 0.14), rng.uniform(-0.04, 0.04)
    balance = np.array((1 + warmth, 1 + tint, 1 - warmth), np.float32) * np.float32(rng.uniform(0.65, 1.2))
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - rng.uniform(0.0, 0.3) * (x * x + y * y) / 2
    return cv2.merge([vignette.astype(np.float32) * part for part in balance])
