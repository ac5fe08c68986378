"""Long work: searches that report, can be stopped, and go on where they were.

Problems and fronts only; models are unknown here, and how to search is for search/.
"""

from .checkpoint import Checkpoint as Checkpoint
from .checkpoint import Manifest as Manifest
from .progress import ProgressArgument as ProgressArgument
from .progress import Reporter as Reporter
from .searches import Outcome as Outcome
from .searches import Searches as Searches
from .searches import run_searches as run_searches
