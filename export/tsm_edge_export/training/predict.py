"""A network over a list of clips."""

from collections.abc import Iterable, Iterator

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import FrameSpec
from tsm_edge_export.models import Network

from .config import Speed
from .dataset import Batch, Device, normalised


def device_of(name: str) -> str:
    """Return the torch device for "auto", "cpu" or "cuda". Raises InputError where there is no GPU for "cuda"."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device", "cuda", "a GPU that torch can use; there is none", 'give "auto" or "cpu"')
    return "cuda" if name != "cpu" and available else "cpu"


def to_input(frames: torch.Tensor, frame: FrameSpec, speed: Speed) -> torch.Tensor:
    """Return the network's input, (…, h, w, 3) uint8 -> (…, 3, h, w) float32, in the memory order of `speed`."""
    x = normalised(frames, frame)
    return x if speed.channels_last else x.contiguous()


@torch.no_grad()
def predict(
    network: Network, batches: Iterable[Batch], direction: str, frame: FrameSpec, speed: Speed, device: Device
) -> Iterator[tuple[Batch, torch.Tensor | None]]:
    """Run clips through a network in eval mode, without mixed precision.

    Yields (batch, logits): (N, V, T, classes) float32 on the CPU, None for a batch of broken clips.
    """
    network.eval()
    for batch in batches:
        if batch.frames is None:
            yield batch, None
            continue
        frames = batch.frames.to(device, non_blocking=True)
        clips, views = frames.shape[:2]
        (logits,) = network.clip(to_input(frames.flatten(0, 1), frame, speed), direction)
        yield batch, logits.float().reshape(clips, views, *logits.shape[1:]).cpu()
