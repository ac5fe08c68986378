"""The losses of a front, fit for a logarithmic axis."""

from __future__ import annotations

import numpy as np

from ..search import Front
from .comparison import Array

ROUNDING = 1e-16
"""Where losses are drawn that are all 0."""


def drawable_losses(front: Front) -> Array:
    """[equations, 2], on fitted rows and on rows held out, none of them 0.

    A logarithm has no 0, so what is below rounding is drawn where rounding begins, or a
    decade below the least loss where nobody knows that.
    """
    losses = np.array([[row.loss, row.validation_loss] for row in front])
    least = losses[losses > 0].min(initial=np.inf)
    bottom = max(front.loss_floor, least / 10 if np.isfinite(least) else ROUNDING)
    drawable: Array = np.maximum(losses, bottom)
    return drawable
