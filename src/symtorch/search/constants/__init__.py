"""Constants of an equation as a vector: fitted by least squares, and rounded to simple numbers.

Trees are unknown here: whoever holds one says what its residuals are for given constants, and how
they change with each.
"""

from .fitting import System as System
from .fitting import fit_constants as fit_constants
from .rounding import round_constants as round_constants
from .rounding import simple_numbers as simple_numbers
