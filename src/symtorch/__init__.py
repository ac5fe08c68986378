"""SymTorch: turn trained neural networks into equations people can read, check and run."""

from .capture import Recording as Recording
from .capture import record as record
from .errors import EngineUnavailableError as EngineUnavailableError
from .errors import InputError as InputError
from .errors import MissingDependencyError as MissingDependencyError
from .errors import StateError as StateError
from .errors import SymTorchError as SymTorchError
from .errors import UnsupportedTypeError as UnsupportedTypeError
from .expression import ComplexityRule as ComplexityRule
from .expression import Expression as Expression
from .front import Candidate as Candidate
from .front import Front as Front
from .layer import SymbolicLayer as SymbolicLayer
from .model import SymbolicModel as SymbolicModel
from .search import Problem as Problem
from .search import SearchOptions as SearchOptions
from .search import available_engines as available_engines
from .search import register_engine as register_engine
from .surgery import unwrap as unwrap
from .surgery import wrap as wrap
