"""Equations as mathematics: operators, trees, text, SymPy, simplification.

No nn.Module, no data and no search in here: this room knows no other room.
"""

from .complexity import ComplexityRule as ComplexityRule
from .expression import Expression as Expression
