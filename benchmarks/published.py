"""The pipeline of the published online demo: what a user of TSM has without tsm-edge.

Each step is that of online_demo/main.py of mit-han-lab/temporal-shift-module: the frame becomes a PIL image, its short
side becomes 256 (antialiased bilinear), centre crop 224, /255, ImageNet's mean and std, the online MobileNetV2 with its
ten cache tensors, the sum of the last 12 logits, argmax. The network runs in torch eager mode, since the demo's TVM
build has no package. Two faults of the demo are left out, which changes no time: BGR becomes RGB, caches start at 0.
"""

from collections import deque

import cv2
import numpy as np
import torch
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SIZE = 224


def preprocess(image):
    """Return the network's input, (1, 3, 224, 224) float32, from a frame, (H, W, 3) uint8 BGR."""
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    width, height = picture.size
    scale = 256 / min(width, height)
    picture = picture.resize((int(width * scale), int(height * scale)), Image.Resampling.BILINEAR)
    left, top = (picture.width - SIZE) // 2, (picture.height - SIZE) // 2
    array = np.asarray(picture.crop((left, top, left + SIZE, top + SIZE)), np.float32) / 255
    return torch.from_numpy(((array - MEAN) / STD).transpose(2, 0, 1).copy()).unsqueeze(0)


def labels(path, network, max_frames):
    """Yield the winning class of each frame of a video. network: a `tsm_edge_export.models.Network`."""
    capture = cv2.VideoCapture(str(path))
    caches = network.zero_caches(1, SIZE, SIZE)
    history = deque(maxlen=12)
    with torch.no_grad():
        for _ in range(max_frames):
            found, image = capture.read()
            if not found:
                break
            (logits,), caches = network.step(preprocess(image), caches)
            history.append(logits.numpy())
            yield int(np.argmax(sum(history)))
    capture.release()
