"""One of several processes that measure a share of some videos; run by ``test_deep_metrics.py``.

Arguments: rank, number of processes, port, file for the results, weights of LPIPS, weights of FID, seeds of the videos.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from framewright.metrics import create_metric


def main() -> None:
    rank, size, port = map(int, sys.argv[1:4])
    out, trunk, inception = sys.argv[4:7]
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    metrics: dict[str, Any] = {
        "lpips_squeeze": create_metric("lpips_squeeze", weights=trunk),
        "fid": create_metric("fid", dimension=64, weights=inception),
    }
    for seed in map(int, sys.argv[7:]):
        generator = torch.Generator().manual_seed(seed)
        target = torch.rand(1 + seed % 3, 3, 32, 40, generator=generator)
        prediction = torch.rand(target.shape, generator=generator)
        for metric in metrics.values():
            metric.update(prediction, target)
    torch.save({key: metric.compute() for key, metric in metrics.items()}, out)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
