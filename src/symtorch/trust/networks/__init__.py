"""Networks: a block read by torch.fx as steps, and its bounds over boxes.

No equations of its own and no splitting of boxes: that is `trust.certify`.
"""

from .rounding import rounding_margin as rounding_margin
from .tracing import Network as Network
from .tracing import trace as trace
