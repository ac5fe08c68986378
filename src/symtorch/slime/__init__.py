"""SLIME: equations that hold around one row, for any function that can be called.

It works on functions, tables and recordings; models and their state belong to model/.
"""

from .explaining import explain as explain
from .explanation import Explanation as Explanation
from .fidelity import LocalFit as LocalFit
