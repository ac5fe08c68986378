"""The engine that runs Operon's genetic programming, and its trees as ours.

Nothing outside this folder imports pyoperon.
"""

from .engine import OperonEngine as OperonEngine
