"""The fidelity card: how far an equation may be trusted in the place of its block.

Measuring and reporting only; what is proved comes from the files beside this folder.
"""

from .card import FidelityCard as FidelityCard
from .measuring import fidelity as fidelity
