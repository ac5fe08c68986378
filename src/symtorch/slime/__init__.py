"""SLIME: local explanations by equations."""

from .explaining import explain as explain
from .explanation import Explanation as Explanation
from .fidelity import Fidelity as Fidelity
