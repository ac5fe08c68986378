"""SymbolicModel: a block, the equations found for it, and the switch between the two.

It joins what the rooms below can do; their algorithms do not belong here.
"""

from .hybrid import load_hybrid as load_hybrid
from .model import SymbolicModel as SymbolicModel
from .surgery import unwrap as unwrap
from .surgery import wrap as wrap
