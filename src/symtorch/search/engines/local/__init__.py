"""The local engine: short sums that say what each input does near one point.

It works on a table of points; where these come from is for others to decide.
"""

from .engine import LocalEngine as LocalEngine
from .frame import Anchor as Anchor
