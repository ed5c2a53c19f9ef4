"""What a network costs per frame: multiply-accumulates and peak memory, measured on the first frames of a video, and
the multiply-accumulates that papers print."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..inference import Method, NetworkMethod
from .problems import CHUNK_FRAMES, Problem

_MB = 1e6
# tables of video inpainting call the multiply-accumulates of one forward pass of such a clip FLOPs
PUBLISHED_CLIP = {"frames": 8, "height": 240, "width": 432}


def measure_cost(method: Method, problem: Problem) -> dict[str, Any]:
    """``macs_per_frame``, ``macs_of_clip`` and ``peak_memory_mb`` of a network; all None for what is not a network.

    Multiply-accumulates are those of convolutions, matrix products and attention as torch's flop counter sees them (a
    multiplication with an addition is one), divided by the number of output frames; None where there are none. For
    inpainting, where windows overlap, :func:`macs_of_clip` gives beside it what papers print. Peak memory is what the
    run needed on top of what was there before it, weights not included: of the allocator on a GPU, of the process on
    Linux, elsewhere None.
    """
    nothing: dict[str, Any] = {"macs_per_frame": None, "macs_of_clip": None, "peak_memory_mb": None}
    if not isinstance(method, NetworkMethod):
        return nothing
    sources = problem.sources[:CHUNK_FRAMES]
    part = replace(problem, sources=sources, mask=None if problem.mask is None else problem.mask[: len(sources)])
    device = problem.context.device
    with torch.no_grad():
        before = _begin(device)
        frames = sum(len(chunk) for chunk in method.process(part.chunks(), part.context))
        peak = _end(device, before)
        counter = FlopCounterMode(display=False)
        with counter:
            for _ in method.process(part.chunks(), part.context):
                pass
    macs = counter.get_total_flops() / 2
    return {
        "macs_per_frame": macs / frames if macs and frames else None,
        "macs_of_clip": macs_of_clip(method.net) if problem.context.task == "inpainting" else None,
        "peak_memory_mb": peak,
    }


def macs_of_clip(net: nn.Module) -> float | None:
    """Multiply-accumulates of one forward pass of an inpainting network over 8 frames of 432x240.

    Counted on tensors without data, whatever the size of the videos at hand; None for a baseline, and for a network
    that cannot run without data.
    """
    if not any(True for _ in net.parameters()):
        return None
    tensors: dict[int, Tensor] = {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in net.parameters()}
    tensors |= {id(b): b.to("meta") for b in net.buffers()}
    # a copy of the modules around tensors that take no memory
    empty = copy.deepcopy(net, tensors)
    frames, height, width = PUBLISHED_CLIP.values()
    video = torch.empty(1, frames, 3, height, width, device="meta")
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            empty(video, video[:, :, :1])
    except (NotImplementedError, RuntimeError):  # something in it asks for values
        return None
    return counter.get_total_flops() / 2 or None


def _begin(device: torch.device) -> float | None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return float(torch.cuda.memory_allocated(device))
    try:
        # tells Linux to count the peak anew
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _end(device: torch.device, before: float | None) -> float | None:
    if before is None:
        return None
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated(device) - before) / _MB
    peak = _status("VmHWM")
    return None if peak is None else max(peak - before, 0.0) / _MB


def _status(name: str) -> float | None:
    """A line of ``/proc/self/status`` in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024
    return None
