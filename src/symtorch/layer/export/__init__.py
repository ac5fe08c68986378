"""Equations outside of PyTorch: NumPy, SymPy, LaTeX, C, ONNX, torch programs.

Nothing in here reads equations back. Users import from `symtorch.export`.
"""

from .conversions import Equations as Equations
from .conversions import as_layer as as_layer
from .conversions import to_c as to_c
from .conversions import to_latex as to_latex
from .conversions import to_numpy as to_numpy
from .conversions import to_onnx as to_onnx
from .conversions import to_program as to_program
from .conversions import to_sympy as to_sympy
