"""Questions about a whole model: which of its blocks are worth distilling.

Nothing in here changes a model.
"""

from .ranking import BlockRanking as BlockRanking
from .ranking import rank_blocks as rank_blocks
