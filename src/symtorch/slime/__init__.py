"""SLIME: equations that hold around one row, for any function that can be called.

It knows functions, tables and recordings; models and their state are for model/.
"""

from .explaining import explain as explain
from .explanation import Explanation as Explanation
from .fidelity import Fidelity as Fidelity
