"""From an equation that an engine found to the one that one would write down.

Constants fitted in float64, pieces dropped that the data do not miss, constants rounded where the
data agree: ``0.9998*x + 2e-5*z + 2.9995`` turns into ``x + 3``.
"""

from .refiner import Refiner as Refiner
from .refiner import refine as refine
