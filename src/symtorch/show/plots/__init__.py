"""Figures with matplotlib, which is imported when one is drawn.

No pyplot and no other global state; what is drawn is computed in the folder above.
"""

from .agreement import plot_agreement as plot_agreement
from .front import plot_front as plot_front
from .terms import plot_terms as plot_terms
