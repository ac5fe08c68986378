"""The local engine: short sums that say what each input does near one point."""

from .engine import LocalEngine as LocalEngine
from .frame import Anchor as Anchor
