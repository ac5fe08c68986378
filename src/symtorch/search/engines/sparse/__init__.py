"""The in-house engine: laws by sparse regression on large libraries of expressions.

Here are the engine and the order of its stages; the work is done in the folders.
"""

from .engine import SparseEngine as SparseEngine
