"""Expression: one closed-form equation, immutable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, UnsupportedTypeError
from ..lazy import LazyModule
from . import mathml, parsing, printing, simplify, sympy_bridge
from .complexity import ComplexityRule
from .nodes import Call, Constant, Node, Variable, evaluate, free_constants, replace_constants, walk
from .operators import Operator

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

_TYPESET = 300
"""Nodes of the longest equation that notebooks ask SymPy to typeset: it takes 1 ms a node."""

Values = TypeVar("Values", torch.Tensor, npt.NDArray[Any])


@dataclass(frozen=True)
class Expression:
    """One equation: a tree of operators, constants and named variables.

    >>> law = Expression.parse("x0**2 + 3*sin(x4) - 4")
    >>> law.variables, law.constants, law.complexity()
    (('x0', 'x4'), (3.0, 4.0), 10)
    >>> law({"x0": np.array([1.0, 2.0]), "x4": np.array([0.0, 0.0])})   # [2] -> [2]
    array([-3.,  0.])
    >>> law.sympy()
    x0**2 + 3*sin(x4) - 4

    Two expressions are equal when their trees are: same operators, same order, same
    constants. Compare ``sympy.simplify(a.sympy() - b.sympy())`` for mathematical equality.
    """

    root: Node

    def __post_init__(self) -> None:
        if not isinstance(self.root, Constant | Variable | Call):
            raise UnsupportedTypeError(
                f"an Expression holds a tree, not {type(self.root).__name__}; "
                f"for text there is Expression.parse, for SymPy Expression.from_sympy"
            )

    @classmethod
    def parse(
        cls,
        text: str,
        variables: Sequence[str] | None = None,
        operators: Mapping[str, Operator] | None = None,
    ) -> Expression:
        """Read an equation. The text is never executed.

        >>> Expression.parse("exp(-1.97*t)*sin(pi*x)").variables
        ('t', 'x')

        Args:
            text: Python or PySR notation; ``^`` is a power.
            variables: names that may occur; None allows any. ``pi`` and ``E`` are numbers
                unless they are among these.
            operators: the user's own operators by name.

        Raises:
            InputError: unknown names or operators, or anything that is not arithmetic.
        """
        return cls(parsing.parse_tree(text, variables, operators))

    @classmethod
    def from_sympy(
        cls, expression: sympy.Expr, operators: Collection[str] | None = None
    ) -> Expression:
        """Convert from SymPy.

        >>> x = sympy.Symbol("x")
        >>> str(Expression.from_sympy(2 * x - x / 3))
        '1.6666666666666667*x'

        Args:
            expression: real-valued.
            operators: names that may be used; None for all.
        """
        return cls(sympy_bridge.from_sympy(expression, operators))

    def __str__(self) -> str:
        """Exact text: ``Expression.parse(str(e), e.variables) == e``.

        With the user's own operators, if it has some, as a third argument. The variables tell
        an ``E`` among them from the number.
        """
        return printing.exact(self.root)

    def __repr__(self) -> str:
        return f"Expression({str(self)!r})"

    def pretty(self, digits: int = 4) -> str:
        """Text for reading, numbers to ``digits`` significant digits.

        >>> Expression.parse("3.14159265*square(x) + -1").pretty()
        '3.142*x**2 - 1'
        """
        return printing.readable(self.root, digits)

    def sympy(self) -> sympy.Expr:
        """The SymPy form, over plain symbols named like the variables."""
        return sympy_bridge.sympy_form(self.root)

    def latex(self, digits: int = 4) -> str:
        """LaTeX, numbers to ``digits`` significant digits."""

        def rounded(value: float) -> float:
            return float(f"{value:.{digits}g}")

        form = self.with_constants([rounded(c) for c in self.constants]).sympy()
        # SymPy multiplies constants with each other, which brings new digits.
        floats = {f: sympy.Float(rounded(float(f)), digits) for f in form.atoms(sympy.Float)}
        return str(sympy.latex(form.xreplace(floats)))

    def mathml(self, digits: int = 4) -> str:
        """A MathML element, numbers to ``digits`` significant digits; the form as it is.

        >>> Expression.parse("x/2").mathml()
        '<math><mfrac><mi>x</mi><mn data-constant="0">2</mn></mfrac></math>'
        """
        return mathml.mathml(self.root, digits)

    def _repr_html_(self) -> str:
        return self.mathml()

    def _repr_latex_(self) -> str | None:
        if self.complexity() > _TYPESET:
            return None
        try:
            return rf"$\displaystyle {self.latex()}$"
        except InputError:  # a form that SymPy cannot hold
            return None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that occur, sorted by first occurrence."""
        names = (node.name for node in walk(self.root) if isinstance(node, Variable))
        return tuple(dict.fromkeys(names))

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators that occur, by first occurrence."""
        called = (node.operator for node in walk(self.root) if isinstance(node, Call))
        return tuple(dict.fromkeys(called))

    @property
    def constants(self) -> tuple[float, ...]:
        """The constants that can be tuned, left to right (not integer exponents)."""
        return tuple(free_constants(self.root))

    def with_constants(self, values: Sequence[float]) -> Expression:
        """The same form with other constants.

        >>> Expression.parse("2*x + 1").with_constants([5, 6])
        Expression('5*x + 6')

        Raises:
            InputError: not as many values as `constants`.
        """
        count = len(self.constants)
        if len(values) != count:
            raise InputError(f"'{self.pretty()}' has {count} constants; got {len(values)} values")
        return Expression(replace_constants(self.root, iter(values)))

    def complexity(self, rule: ComplexityRule | None = None) -> int:
        """Number of nodes, or their weighted sum under a `ComplexityRule`."""
        return (rule or ComplexityRule()).of(self)

    def simplify(
        self, rule: ComplexityRule | None = None, operators: Collection[str] | None = None
    ) -> Expression:
        """The shortest equal form found, or this one where there is none shorter.

        >>> Expression.parse("1.0*x + 0*y + x*2 + 3*(1 - 1)").simplify()
        Expression('3*x')

        Args:
            rule: what counts as short; every node 1 by default.
            operators: names that may be used beside those it has; ``+ - *`` by default.
        """
        return Expression(simplify.simplify(self.root, (rule or ComplexityRule()).of, operators))

    def __call__(self, variables: Mapping[str, Values]) -> Values:
        """Evaluate on columns, tensors or arrays alike.

        >>> Expression.parse("x*y")({"x": torch.ones(3, 1), "y": torch.ones(4)}).shape
        torch.Size([3, 4])

        Args:
            variables: a value per variable, all tensors or all arrays, broadcastable.
                More than needed are fine; they count for the shape. The result has
                their floating type, whole numbers are taken as the default one.

        Raises:
            InputError: a variable is missing, or shapes do not broadcast.
            UnsupportedTypeError: values that are not real numbers, or tensors and arrays
                mixed.
        """
        missing = [name for name in self.variables if name not in variables]
        if missing:
            raise InputError(f"'{self.pretty()}' needs {missing}; got {sorted(variables)}")
        tensors = [isinstance(value, torch.Tensor) for value in variables.values()]
        if any(tensors) and not all(tensors):
            raise UnsupportedTypeError("variables mix tensors and arrays; pass one kind")
        shapes = {name: tuple(np.shape(column)) for name, column in variables.items()}
        try:
            shape = np.broadcast_shapes(*shapes.values())
        except ValueError:
            raise InputError(f"shapes do not broadcast: {shapes}") from None
        on_kind: Callable[..., Any] = _on_tensors if any(tensors) else _on_arrays
        return cast(Values, on_kind(self.root, variables, shape))


def _on_tensors(
    root: Node, variables: Mapping[str, torch.Tensor], shape: tuple[int, ...]
) -> torch.Tensor:
    dtype = functools.reduce(torch.promote_types, (v.dtype for v in variables.values()))
    if dtype.is_complex:
        raise UnsupportedTypeError("variables are complex; equations are over real numbers")
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    device = next(iter(variables.values())).device
    columns = {name: value.to(dtype) for name, value in variables.items()}
    result: torch.Tensor = evaluate(
        root, columns, "torch", lambda value: torch.tensor(value, dtype=dtype, device=device)
    )
    # A copy, for an expanded tensor cannot be written to.
    return result if result.shape == shape else result.expand(shape).clone()


def _on_arrays(
    root: Node, variables: Mapping[str, npt.ArrayLike], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    arrays = {name: np.asarray(value) for name, value in variables.items()}
    dtype = np.result_type(*arrays.values()) if arrays else np.dtype(np.float64)
    if dtype.kind not in "fiub":
        raise UnsupportedTypeError(f"variables are of type {dtype}; need real numbers")
    if dtype.kind != "f":
        dtype = np.dtype(np.float64)
    columns = {name: array.astype(dtype, copy=False) for name, array in arrays.items()}
    # Outside an operator's domain the answer is nan or inf, as in torch: no warning.
    with np.errstate(all="ignore"):
        result = np.asarray(evaluate(root, columns, "numpy", dtype.type), dtype)
    return result if result.shape == shape else np.broadcast_to(result, shape).copy()
