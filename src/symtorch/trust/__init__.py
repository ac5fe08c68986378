"""Trust: what can be proved about an equation and about how far it is from its block.

No search and no change of a model in here; a block is only read and called.
"""

from .box import Box as Box
from .certificate import Certificate as Certificate
from .certificate import ErrorBound as ErrorBound
from .certify import certify as certify
from .domain import Poles as Poles
from .domain import find_poles as find_poles
