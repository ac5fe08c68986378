"""Products with their constants last, so that equations share what is multiplied."""

from __future__ import annotations

from .builder import Builder
from .graph import Number, Parameter

MODERATE = 1024.0
"""Constants between its inverse and this, in size, may be multiplied by last.

A power of two: to multiply by it is exact.
"""


class ProductSharer(Builder):
    """A builder that makes ``2*x*y`` and ``3*x*y`` share ``x*y``."""

    def product(self, a: int, b: int) -> int:
        """``a*b``; of ``(c*x)*y`` the constant goes last, so that equations share ``x*y``.

        Only where that overflows no earlier. A constant of 1 or more makes what it multiplies
        larger, so ``x*y`` is finite wherever ``c*x*y`` is. For a smaller one, ``x/1024*y`` is,
        which is multiplied by ``1024*c``. What is lost is lost where numbers are denormal:
        where ``x*y`` is less than 1024 times the least normal number. Constants further from 1
        stay where they were written; ``6.674e-11*x*y`` may need all of the range.
        """
        for first, other in ((a, b), (b, a)):
            apart = self.scaled(first)
            if apart is None or self.constant(other) or self.scaled(other) is not None:
                continue
            c, x = apart
            size = abs(self.size(c))
            if 1 <= size <= MODERATE:
                return self.times(c, self.times(x, other))
            if 1 / MODERATE <= size < 1:
                small = self.times(min(x, other), self.number(1 / MODERATE))
                return self.times(self.multiple(c, MODERATE), self.times(small, max(x, other)))
        return self.times(a, b)

    def size(self, i: int) -> float:
        """The value of a constant; of one that can be trained, that with which it starts."""
        node = self.nodes[i]
        if isinstance(node, Parameter):
            return node.factor * self.trained[node.position]
        assert isinstance(node, Number)
        return node.value
