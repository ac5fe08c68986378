"""Wide blocks in few coordinates: the request, the choice of coordinates, their matrices.

Equations in the coordinates come from outside; nothing in here searches for them.
"""

from .coordinates import Coordinates as Coordinates
from .fitting import Reduced as Reduced
from .interpretation import describe as describe
from .recording import record_reduced as record_reduced
from .request import Reduction as Reduction
from .sensitivity import gradient_moment as gradient_moment
