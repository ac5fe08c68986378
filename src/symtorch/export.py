"""Export: equations for use outside of PyTorch, or in its own exchange formats."""

from .layer.export import Equations as Equations
from .layer.export import as_layer as as_layer
from .layer.export import to_c as to_c
from .layer.export import to_latex as to_latex
from .layer.export import to_numpy as to_numpy
from .layer.export import to_onnx as to_onnx
from .layer.export import to_program as to_program
from .layer.export import to_sympy as to_sympy
