"""The examples' support, for benchmarks: a script finds only what is beside it."""

from pathlib import Path

# Python looks for `support.figures` in all folders of this list, so that there is one copy of
# it, and no script has to change `sys.path` before its imports.
__path__.append(str(Path(__file__).parents[2] / "examples" / "support"))
