"""Pictures with transparency that move over the background: forearms, a seated person, passers-by.

A layer is premultiplied RGBA, (height, width, 4) uint8. Its place in a frame is a (2, 3) float64 matrix from its pixels
to the frame's; several matrices are the moments of one exposure.
"""

import math

import cv2
import numpy as np

from tsm_edge_export.synthetic.looks import colour


def paste(frame, layer, moments, shadow=0.0):
    """Draw a layer into `frame`, (height, width, 4) uint8, averaged over the moments of the exposure.

    The frame's fourth channel means nothing: OpenCV is faster with four than with three.
    shadow: how dark a soft shadow the layer casts on what is behind it, 0 to 1.
    """
    corners = np.array(((0, 0, 1), (layer.shape[1], 0, 1), (0, layer.shape[0], 1), (*layer.shape[1::-1], 1)), float)
    spots = np.concatenate([corners @ moment.T for moment in moments])
    margin = 2 + (round(0.06 * min(frame.shape[:2])) if shadow else 0)
    left, top = np.maximum(np.floor(spots.min(axis=0)).astype(int) - margin, 0)
    right, bottom = np.minimum(np.ceil(spots.max(axis=0)).astype(int) + margin, frame.shape[1::-1])
    if left >= right or top >= bottom:
        return
    size = int(right - left), int(bottom - top)
    total = np.zeros((size[1], size[0], 4), np.float32) if len(moments) > 1 else None
    for moment in moments:
        put = moment.copy()
        put[:, 2] -= left, top
        drawn = cv2.warpAffine(layer, put, size, flags=cv2.INTER_LINEAR)
        if total is not None:
            cv2.accumulate(drawn, total)
    if total is not None:
        drawn = cv2.convertScaleAbs(total, alpha=1 / len(moments))
    cover = cv2.extractChannel(drawn, 3)
    behind = cv2.bitwise_not(cover)
    if shadow:
        behind = cv2.multiply(behind, _shadow(cover, shadow, margin), scale=1 / 255)
    window = frame[top:bottom, left:right]
    frame[top:bottom, left:right] = cv2.add(cv2.multiply(window, cv2.merge([behind] * 4), scale=1 / 255), drawn)


def _shadow(cover, strength, reach):
    """255 where no shadow falls, less below and beside what covers. Blurred at a quarter of the size."""
    height, width = cover.shape
    small = cv2.resize(cv2.convertScaleAbs(cover, alpha=strength), (max(1, width // 4), max(1, height // 4)))
    small = cv2.blur(small, (max(3, reach // 3) | 1,) * 2)
    shift = max(1, reach // 8)
    moved = np.zeros_like(small)
    moved[shift:, shift:] = small[:-shift, :-shift]
    return cv2.subtract(np.full((height, width), 255, np.uint8), cv2.resize(moved, (width, height)))


FOREARM_LENGTH, FOREARM_WIDTH = 160, 56  # pixels of a forearm's layer


def forearm(look, light):
    """Return a forearm from the wrist (top middle) to the elbow (bottom middle), with its sleeve."""
    length, width = FOREARM_LENGTH, FOREARM_WIDTH
    along = np.linspace(0, 1, length, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    bare = along < look.sleeve_from
    half = np.where(bare, 0.62 + 0.25 * along, 0.82 + 0.16 * along + 0.02 * np.sin(along * 37))
    place = across / half
    cover = np.clip((1 - np.abs(place)) * half * width / 2 + 0.5, 0, 1)
    depth = np.sqrt(np.maximum(1 - place * place, 0))
    shade = look.ambient + look.diffuse * np.maximum(place * light[0] + depth * light[2], 0)
    folds = 0.07 * np.sin(along * 31 + 2.2 * place) + 0.05 * np.sin(along * 67 - 3 * place)
    shade = shade * np.where(bare, 1, 1 + folds) * np.where(np.abs(along - look.sleeve_from) < 0.012, 0.75, 1)
    skin = look.sleeve if look.glove else look.back
    tone = np.where(bare[..., None], np.float32(skin), np.float32(look.sleeve))
    return premultiplied(tone * shade[..., None], cover)


def premultiplied(rgb, cover):
    """rgb: (height, width, 3), 0 to 255; cover: (height, width), 0 to 1."""
    layer = np.empty((*cover.shape, 4), np.uint8)
    layer[..., :3] = np.clip(rgb, 0, 255) * cover[..., None]
    layer[..., 3] = cover * 255
    return layer


def person(rng, split, look, height):
    """Return a seated person, head to chest, out of focus: (height, 1.1 height, 4)."""
    width = round(1.1 * height)
    rgb, cover = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)

    def put(draw, tone):
        for canvas, value in ((rgb, tone), (cover, 255)):
            draw(canvas, value)

    middle, skin = width // 2, look.palm if look.glove else look.back
    if look.glove:
        skin = tuple(np.array((205, 160, 130)) * rng.uniform(0.4, 1.1))
    shirt, hair = colour(split, rng, (0.0, 0.7), (0.15, 0.85)), colour(split, rng, (0.1, 0.5), (0.08, 0.5))
    head = round(height * rng.uniform(0.15, 0.18)), round(height * rng.uniform(0.2, 0.23))
    head_y, shoulders = round(height * 0.3), round(height * rng.uniform(0.56, 0.62))
    broad = round(width * rng.uniform(0.36, 0.44))
    if rng.random() < 0.4:  # long hair, behind the neck
        long = head[0] * 1.25, head[1] * rng.uniform(1.3, 1.9)
        put(
            lambda c, v: cv2.ellipse(
                c, (middle, head_y + head[1] // 3), (int(long[0]), int(long[1])), 0, 0, 360, v, -1
            ),
            hair,
        )
    neck = head[0] // 2
    put(
        lambda c, v: cv2.rectangle(c, (middle - neck, head_y), (middle + neck, shoulders + 4), v, -1), _times(skin, 0.8)
    )
    torso = np.array(
        ((middle - neck, shoulders - height // 20), (middle + neck, shoulders - height // 20),
         (middle + broad, shoulders + height // 12), (middle + broad + height // 20, height),
         (middle - broad - height // 20, height), (middle - broad, shoulders + height // 12)), np.int32
    )  # fmt: skip
    put(lambda c, v: cv2.fillPoly(c, [torso], v, cv2.LINE_AA), shirt)
    cv2.ellipse(rgb, (middle, shoulders - height // 20), (neck, height // 16), 0, 0, 180, _times(skin, 0.85), -1)
    put(
        lambda c, v: cv2.ellipse(
            c, (middle, head_y - head[1] // 8), (int(head[0] * 1.1), int(head[1] * 1.05)), 0, 0, 360, v, -1
        ),
        hair,
    )
    put(lambda c, v: cv2.ellipse(c, (middle, head_y + head[1] // 8), head, 0, 0, 360, v, -1), skin)
    fringe = rng.uniform(0.1, 0.6)
    cv2.ellipse(rgb, (middle, head_y - head[1] // 4), (head[0], int(head[1] * fringe)), 0, 180, 360, hair, -1)
    for side in (-1, 1):
        eye = middle + side * head[0] // 2, head_y + head[1] // 12
        cv2.ellipse(rgb, eye, (head[0] // 5, head[1] // 14), 0, 0, 360, (60, 45, 40), -1)
        cv2.line(
            rgb, (eye[0] - head[0] // 4, eye[1] - head[1] // 5), (eye[0] + head[0] // 4, eye[1] - head[1] // 5), hair, 2
        )
    cv2.ellipse(rgb, (middle, head_y + head[1] // 3), (head[0] // 8, head[1] // 5), 0, 0, 360, _times(skin, 0.87), -1)
    cv2.ellipse(
        rgb, (middle, head_y + head[1] * 3 // 4), (head[0] // 3, head[1] // 14), 0, 0, 360, _times(skin, 0.6), -1
    )
    shade = (
        np.linspace(1.08, 0.7, width, dtype=np.float32)
        if rng.random() < 0.5
        else np.linspace(0.7, 1.08, width, dtype=np.float32)
    )
    blur = height * rng.uniform(0.008, 0.022)
    soft = cv2.GaussianBlur(rgb, (0, 0), blur).astype(np.float32) * shade[None, :, None]
    whole = cv2.GaussianBlur(cover, (0, 0), blur).astype(np.float32) / 255
    layer = np.empty((height, width, 4), np.uint8)
    layer[..., :3] = np.minimum(soft, 255 * whole[..., None])  # blurred black outside is already premultiplied
    layer[..., 3] = whole * 255
    return layer


def passer_by(rng, split, height):
    """Return a blurred something that may cross the background: a walker, a ball, a cushion, a pet."""
    tall = round(height * rng.uniform(0.15, 0.7))
    width = max(8, round(tall * rng.uniform(0.3, 1.1)))
    pad = tall // 5 + 2
    cover = np.zeros((tall + 2 * pad, width + 2 * pad), np.uint8)
    middle = pad + width // 2
    if rng.random() < 0.5:
        cv2.ellipse(cover, (middle, pad + tall // 2), (width // 2, tall // 2), 0, 0, 360, 255, -1)
    else:
        cv2.ellipse(cover, (middle, pad + tall * 2 // 3), (width // 2, tall // 3), 0, 0, 360, 255, -1)
        cv2.circle(cover, (middle, pad + tall // 5), max(2, tall // 6), 255, -1)
    cover = cv2.GaussianBlur(cover, (0, 0), max(0.8, tall * rng.uniform(0.02, 0.06))).astype(np.float32) / 255
    tone = np.array(colour(split, rng, (0.0, 0.7), (0.1, 0.9)), np.float32)
    shade = np.linspace(1.15, 0.7, cover.shape[0], dtype=np.float32)[:, None, None]
    return premultiplied(tone * shade, cover)


def placed(x, y, scale, angle, anchor):
    """Return the matrix that puts the layer's pixel `anchor` at the frame's pixel (x, y), scaled and turned."""
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    ax, ay = anchor
    return np.array(((cos, -sin, x - cos * ax + sin * ay), (sin, cos, y - sin * ax - cos * ay)), np.float64)


def _times(tone, factor):
    return tuple(float(v * factor) for v in tone)
