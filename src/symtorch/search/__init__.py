"""From a `Problem` to a Pareto `Front`, by the engine of one's choice.

Problems, options and equations only: models are unknown here, and engines have a room of their own.
"""

from .engine import Budget as Budget
from .engine import Engine as Engine
from .engine import Progress as Progress
from .engine import SearchRun as SearchRun
from .front import Candidate as Candidate
from .front import Front as Front
from .options import SearchOptions as SearchOptions
from .problem import Problem as Problem
from .problem import Sample as Sample
from .registry import available_engines as available_engines
from .registry import register_engine as register_engine
from .registry import search as search
