"""Random brightness, contrast, gamma and tint of whole clips: one choice for all frames. Pictures in, pictures out."""

import cv2
import numpy as np

TINT_SHARE = 1 / 3  # of the strength: how far the channels differ


def random_colour(frames: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a clip under another light, as another camera might show it.

    Contrast (about the clip's mean) and brightness are drawn from 1 - strength to 1 + strength, the logarithm of gamma
    from -strength to strength, and the gain of each channel from 1 - strength / 3 to 1 + strength / 3.

    Args:
        frames: (T, h, w, 3) uint8.
        strength: from 0 (no change) to below 1.
        rng: four choices are drawn from it.

    Returns:
        (T, h, w, 3) uint8.
    """
    contrast, brightness = rng.uniform(1 - strength, 1 + strength, 2)
    gamma = np.exp(rng.uniform(-strength, strength))
    gains = rng.uniform(1 - strength * TINT_SHARE, 1 + strength * TINT_SHARE, 3)
    levels, mean = np.arange(256)[:, None] / 255, frames.mean() / 255
    changed = np.clip(((levels - mean) * contrast + mean * brightness) * gains, 0, 1) ** gamma
    table = np.round(255 * changed).astype(np.uint8)[None]  # (1, 256, 3)
    return np.stack([cv2.LUT(np.ascontiguousarray(picture), table) for picture in frames])
