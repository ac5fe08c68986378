"""Helpers for training around equations: healing a switched model, sparse messages.

They only change parameters; model/ decides which equations are in force.
"""

from .healing import Healing as Healing
from .healing import HealingProgress as HealingProgress
from .healing import heal as heal
