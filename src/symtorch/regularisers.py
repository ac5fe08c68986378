"""Terms for a training loss that make a network's messages sparse."""

from .training.regularizers import kl_to_standard_normal as kl_to_standard_normal
from .training.regularizers import l1 as l1
