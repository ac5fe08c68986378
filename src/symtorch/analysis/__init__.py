"""Questions about a whole model: which of its blocks are worth distilling.

Models are looked at in here, and left as they were.
"""

from .ranking import BlockRanking as BlockRanking
from .ranking import rank_blocks as rank_blocks
