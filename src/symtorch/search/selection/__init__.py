"""Forward selection: the terms of a linear model, chosen one after the other.

Here live the ways to choose: on columns, on covariances, and by a beam of subsets. They work on
tensors alone; what a term means, and where its values come from, is for others to know.
"""

from .beam import Subset as Subset
from .beam import best_subsets as best_subsets
from .column_selection import ColumnSelection as ColumnSelection
from .column_selection import forward_fits as forward_fits
from .covariance_selection import Covariances as Covariances
from .covariance_selection import CovarianceSelection as CovarianceSelection
from .greedy import LinearFit as LinearFit
from .greedy import forward as forward
from .greedy import strongest as strongest
from .projection import best_pairs as best_pairs
from .projection import least_squares as least_squares
from .projection import leftovers as leftovers
from .projection import orthonormal as orthonormal
