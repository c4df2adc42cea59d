"""A network over a list of clips."""

import torch

from .dataset import normalised


def to_input(frames, frame, speed):
    """(…, h, w, 3) uint8 -> network input (…, 3, h, w) float32, in the memory order that `Speed` asks for."""
    x = normalised(frames, frame)
    return x if speed.channels_last else x.contiguous()


@torch.no_grad()
def predict(network, batches, direction, frame, speed, device):
    """Run clips through `network`, in eval mode, without mixed precision.

    batches: iterable of dataset.Batch. direction: of the shift. Yields (batch, logits): (N, V, T, classes) float32 on
    the CPU, None for a batch without whole clips.
    """
    network.eval()
    for batch in batches:
        if batch.frames is None:
            yield batch, None
            continue
        frames = batch.frames.to(device, non_blocking=True)
        clips, views = frames.shape[:2]
        logits = network.clip(to_input(frames.flatten(0, 1), frame, speed), direction)
        yield batch, logits.float().reshape(clips, views, *logits.shape[1:]).cpu()
