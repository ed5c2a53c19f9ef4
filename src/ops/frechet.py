"""The Frechet distance between two sets of feature vectors, each seen as a normal distribution.

Dowson and Landau, "The Frechet Distance between Multivariate Normal Distributions", 1982; used for images by Heusel
et al., NeurIPS 2017 (https://arxiv.org/abs/1706.08500).
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


def frechet_distance(first: Tensor | npt.NDArray[Any], second: Tensor | npt.NDArray[Any], *, ddof: int = 1) -> Tensor:
    """``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` of the means and covariances of two sets, in float64.

    The square root of a product of covariances is never formed: with ``C = F^T F``, ``tr (C1 C2)^(1/2)`` is the sum of
    the singular values of ``F1 F2^T``. F are the centred vectors themselves where they are fewer than their
    dimensions, so that 50 videos cost a matrix of 50x50, and their triangular factor where they are more. Singular
    covariances are no special case.

    Args:
        first, second: ``(N, D)`` and ``(M, D)``.
        ddof: a covariance is divided by the number of vectors less this: 1 for the sample covariance of most
            evaluations, 0 for the population.

    Returns:
        A scalar on the device of ``first``; never negative but for rounding.

    Raises:
        ValueError: fewer than two vectors in a set, different dimensions, or values that are not finite.
    """
    x, y = torch.as_tensor(first), torch.as_tensor(second)
    for which, vectors in (("first", x), ("second", y)):
        if vectors.dim() != 2:
            raise ValueError(f"the Frechet distance expects sets (N, D), the {which} is {tuple(vectors.shape)}")
        if vectors.shape[0] < 2:
            raise ValueError(
                f"the Frechet distance needs at least 2 vectors in each set, the {which} has {vectors.shape[0]}"
            )
        if not bool(torch.isfinite(vectors).all()):
            raise ValueError(f"the {which} set of the Frechet distance holds values that are not finite")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"the sets have vectors of {x.shape[1]} and {y.shape[1]} dimensions")
    x, y = x.double(), y.to(x.device).double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    f, g = (_factor(vectors, mean, ddof) for vectors, mean in ((x, mean_x), (y, mean_y)))
    common: Tensor = torch.linalg.svdvals(f @ g.T).sum()
    distance: Tensor = (mean_x - mean_y).square().sum() + f.square().sum() + g.square().sum() - 2 * common
    return distance


def _factor(vectors: Tensor, mean: Tensor, ddof: int) -> Tensor:
    """F with ``F^T F`` the covariance, of at most as many rows as dimensions."""
    centred: Tensor = (vectors - mean) / (vectors.shape[0] - ddof) ** 0.5
    if centred.shape[0] <= centred.shape[1]:
        return centred
    triangular: Tensor = torch.linalg.qr(centred, mode="r").R
    return triangular
