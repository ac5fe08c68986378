"""The in-house engine: laws by sparse regression on large libraries of expressions."""

from .engine import SparseEngine as SparseEngine
