"""Pruning a block's outputs while it trains: how many stay at each step, and which.

Only a mask and a schedule; the user's own training loop decides when to prune.
"""

from .mask import PruningMask as PruningMask
from .schedule import PruningSchedule as PruningSchedule
