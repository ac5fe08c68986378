"""Helpers for training around equations: healing a switched model, sparse messages.

They change parameters only; which equations are in force is for model/.
"""

from .healing import Healing as Healing
from .healing import HealingProgress as HealingProgress
from .healing import heal as heal
