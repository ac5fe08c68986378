"""The behaviour of a block: finding it, reading its calls as tables, sampling, querying it.

Nothing in here searches for equations or puts anything in the place of a block.
"""

from .adapters.registry import register_adapter as register_adapter
from .recorder import record as record
from .recording import Recording as Recording
