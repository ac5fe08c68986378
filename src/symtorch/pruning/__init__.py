"""Fewer outputs of a block as it trains: how many at which step, and which.

A mask and a schedule only; when to prune is for the user's own training loop.
"""

from .mask import PruningMask as PruningMask
from .schedule import PruningSchedule as PruningSchedule
