"""What a network costs per frame: multiply-accumulates and peak memory, measured on the first frames of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..inference import Method, NetworkMethod
from .problems import CHUNK_FRAMES, Problem

_MB = 1e6


def measure_cost(method: Method, problem: Problem) -> dict[str, Any]:
    """``macs_per_frame`` and ``peak_memory_mb`` of a network; both None for what is not a network.

    Multiply-accumulates are those of convolutions, matrix products and attention as torch's flop counter sees them (a
    multiplication with an addition is one), divided by the number of output frames; None where there are none. Peak
    memory is what the run needed on top of what was there before it, weights not included: of the allocator on a
    GPU, of the process on Linux, elsewhere None.
    """
    nothing: dict[str, Any] = {"macs_per_frame": None, "peak_memory_mb": None}
    if not isinstance(method, NetworkMethod):
        return nothing
    from dataclasses import replace

    from torch.utils.flop_counter import FlopCounterMode

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
    return {"macs_per_frame": macs / frames if macs and frames else None, "peak_memory_mb": peak}


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
