"""Taylor models: polynomials over boxes with proved remainders, for equations and networks.

No splitting of boxes and no networks: those are `trust.certify` and `trust.networks`.
"""

from .model import Basis as Basis
from .model import TaylorModel as TaylorModel
from .trees import expand as expand
