"""Interval arithmetic: enclosures of numbers, operators and equations over boxes.

No networks and no expansions: those are `trust.taylor` and `trust.networks`.
"""

from .interval import Interval as Interval
from .rules import ACTIVATIONS as ACTIVATIONS
from .rules import RULES as RULES
from .rules import Rule as Rule
from .trees import Enclosure as Enclosure
from .trees import enclose as enclose
from .trees import expanded as expanded
