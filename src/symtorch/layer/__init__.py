"""SymbolicLayer: equations as a module that is fast and can be trained.

It knows expressions and tensors; blocks, recordings and fronts are none of its business.
"""

from .layer import SymbolicLayer as SymbolicLayer
