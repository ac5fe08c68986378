"""SearchOptions: what users may ask of a search, in PySR's vocabulary."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any

from ..errors import InputError, UnsupportedTypeError, did_you_mean, warn_user
from ..symbolic.complexity import ComplexityRule
from ..symbolic.definitions import define_operator
from ..symbolic.operators import Operator, operator_named
from .foreign import without_foreign

Limits = Mapping[str, int | tuple[int, int]]

APPROXIMATIONS = ("max", "min", "greater", "tanh")
"""Operators that readable approximations may use by default: ramps, steps, saturation."""

WAVES = ("sin", "cos", "tan")
"""Operators that stay out of each other's arguments by default. No textbook law needs one in
another, and with a free frequency in each, two of them follow the noise of any table."""


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search; every name is PySR's.

    >>> options = SearchOptions.from_params({"unary_operators": ["gauss(x) = exp(-x^2)"]})
    >>> [operator.name for operator in options.unary]
    ['gauss']
    >>> SearchOptions.from_params({"max_size": 10})
    Traceback (most recent call last):
    symtorch.errors.InputError: unknown search parameter 'max_size'; did you mean 'maxsize'?

    Args:
        binary_operators: names from the operator table, or definitions
            ``"f(x, y) = ..."``.
        unary_operators: likewise, ``"inv(x) = 1/x"``. The defaults differ from the
            published ``inv, sin, exp``: with log, sqrt and square most textbook laws are
            within reach.
        approximation_operators: what only readable approximations may use besides, where no
            law is found: ramps, steps and saturation. None gives ``max``, ``min``, ``greater``
            and ``tanh`` where the two lists above are left as they are, and nothing where
            one of them is given.
        maxsize: largest complexity of an equation.
        maxdepth: deepest nesting; None for no limit but ``maxsize``.
        niterations: how much work; a search that finishes it ends before its timeout
            and is then the same on every run. None lets the engine decide.
        populations: how many populations evolve (evolutionary engines); None: engine's.
        population_size: individuals in each; None: engine's.
        parsimony: loss an extra unit of complexity must earn; 0 for none.
        timeout_in_seconds: wall-clock budget of the whole call; None gives
            20 s to each output.
        complexity_of_operators: what an operator counts, ``{"sin": 3}``; 1 otherwise.
        complexity_of_constants: what a constant counts.
        complexity_of_variables: what a variable counts: one number, or one per column.
        constraints: largest complexity of an operator's arguments, ``{"sin": 5}`` or
            ``{"^": (-1, 3)}``; -1 is no limit.
        nested_constraints: how deep operators may nest, ``{"sin": {"sin": 0}}``. None keeps
            sin, cos and tan out of each other's arguments and tanh out of tanh's; ``{}`` is no
            limit.
        select_k_features: keep only the k inputs that matter most.
        batching: judge candidates on random batches (evolutionary engines on many rows).
        batch_size: rows of a batch.
    """

    binary_operators: tuple[str, ...] = ("+", "-", "*", "/")
    unary_operators: tuple[str, ...] = ("inv", "square", "sqrt", "exp", "log", "sin", "cos")
    approximation_operators: tuple[str, ...] | None = None
    maxsize: int = 30
    maxdepth: int | None = None
    niterations: int | None = None
    populations: int | None = None
    population_size: int | None = None
    parsimony: float = 0.0
    timeout_in_seconds: float | None = None
    complexity_of_operators: Mapping[str, int] = field(default_factory=dict)
    complexity_of_constants: int = 1
    complexity_of_variables: int | tuple[int, ...] = 1
    constraints: Limits = field(default_factory=dict)
    nested_constraints: Mapping[str, Mapping[str, int]] | None = None
    select_k_features: int | None = None
    batching: bool = False
    batch_size: int = 50

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | SearchOptions | None) -> SearchOptions:
        """Options from a user's ``sr_params``; PySR's that have no effect are warned about.

        Raises:
            InputError: unknown names, unknown operators, values out of range.
        """
        if isinstance(params, SearchOptions):
            return params
        given = without_foreign(params or {})
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(f"unknown search parameter '{name}'{did_you_mean(name, known)}")
        return cls(**given)

    def __post_init__(self) -> None:
        for name in ("binary_operators", "unary_operators", "approximation_operators"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _names(name, getattr(self, name)))
        if isinstance(self.complexity_of_variables, Sequence):
            weights = tuple(self.complexity_of_variables)
            object.__setattr__(self, "complexity_of_variables", weights)
        _check_arity("binary_operators", self.binary, 2)
        _check_arity("unary_operators", self.unary, 1)
        if not (self.binary or self.unary):
            raise InputError("no operators: give binary_operators or unary_operators")
        self._leave_out_unused()
        _at_least("maxsize", self.maxsize, 1)
        for name in ("maxdepth", "niterations", "populations", "population_size"):
            _at_least(name, getattr(self, name), 1)
        _at_least("select_k_features", self.select_k_features, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("complexity_of_constants", self.complexity_of_constants, 0)
        timeout = self.timeout_in_seconds
        if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
            raise InputError(f"timeout_in_seconds must be positive and finite; got {timeout}")
        if self.parsimony < 0:
            raise InputError(f"parsimony must not be negative; got {self.parsimony}")

    def _leave_out_unused(self) -> None:
        """Drop limits and weights of operators that the search does not use, with a warning.

        Raises:
            InputError: a name of no operator at all.
        """
        used = {row.name for row in (*self.binary, *self.unary, *self.approximations)}
        unused = []
        for name in _OF_OPERATORS:
            kept = self._limits(name, used)
            if kept is not None and len(kept) < len(given := getattr(self, name)):
                unused += [f"{name}[{key!r}]" for key in given if key not in kept]
                object.__setattr__(self, name, kept)
        if unused:
            warn_user(
                f"search options for operators that the search does not use: "
                f"{', '.join(unused)}; it uses {', '.join(sorted(used))}",
                UserWarning,
            )

    def _limits(self, name: str, used: Collection[str]) -> Mapping[str, Any] | None:
        """What an option says of the operators used."""
        given = getattr(self, name)
        if given is None:
            return None
        return {
            key: value
            for key, value in given.items()
            if operator_named(key, self.custom).name in used
        }

    def restricted(self, usable: Callable[[Operator], bool]) -> SearchOptions:
        """The options with only some of the operators, and what is said of these.

        Raises:
            InputError: none is left.
        """
        rows = [row for row in (*self.binary, *self.unary) if usable(row)]
        used = {row.name for row in rows}
        return self.replace(
            binary_operators=_texts(rows, 2),
            unary_operators=_texts(rows, 1),
            **{name: self._limits(name, used) for name in _OF_OPERATORS},
        )

    @cached_property
    def binary(self) -> tuple[Operator, ...]:
        """The binary operators as rows of the table."""
        return tuple(_operator(text) for text in self.binary_operators)

    @cached_property
    def unary(self) -> tuple[Operator, ...]:
        """The unary operators as rows of the table."""
        return tuple(_operator(text) for text in self.unary_operators)

    @cached_property
    def approximations(self) -> tuple[Operator, ...]:
        """The operators that only readable approximations may use, as rows of the table."""
        names = self.approximation_operators
        if names is None:
            given = (self.binary_operators, self.unary_operators)
            usual = given == (SearchOptions.binary_operators, SearchOptions.unary_operators)
            names = APPROXIMATIONS if usual else ()
        return tuple(_operator(text) for text in names)

    @cached_property
    def nesting(self) -> Mapping[str, Mapping[str, int]]:
        """The ``nested_constraints`` in force, by the operators' names in the table."""
        if self.nested_constraints is None:
            waves = [operator.name for operator in self.unary if operator.name in WAVES]
            # What saturates once has saturated: tanh of tanh bends no further.
            return {outer: dict.fromkeys(waves, 0) for outer in waves} | {"tanh": {"tanh": 0}}
        return {
            operator_named(outer, self.custom).name: {
                operator_named(inner, self.custom).name: most for inner, most in limits.items()
            }
            for outer, limits in self.nested_constraints.items()
        }

    def widened(self) -> SearchOptions:
        """The options with the approximations' operators among the others.

        >>> SearchOptions().widened().unary_operators[-1]
        'tanh'
        """
        return self.replace(
            binary_operators=_texts((*self.binary, *self.approximations), 2),
            unary_operators=_texts((*self.unary, *self.approximations), 1),
            approximation_operators=(),
        )

    def select(self, columns: Sequence[int]) -> SearchOptions:
        """The options for a problem with only some of the input columns."""
        weights = self.complexity_of_variables
        if isinstance(weights, int):
            return self
        return self.replace(complexity_of_variables=tuple(weights[i] for i in columns))

    @cached_property
    def custom(self) -> Mapping[str, Operator]:
        """The operators the user defined, by name."""
        rows = (*self.binary, *self.unary, *self.approximations)
        return {op.name: op for op in rows if op.definition is not None}

    def complexity_rule(self, names: Sequence[str]) -> ComplexityRule:
        """How equations over these input columns are counted.

        Raises:
            InputError: ``complexity_of_variables`` has another number of columns.
        """
        weights: int | Mapping[str, int]
        if isinstance(self.complexity_of_variables, int):
            weights = self.complexity_of_variables
        elif len(self.complexity_of_variables) == len(names):
            weights = dict(zip(names, self.complexity_of_variables, strict=True))
        else:
            raise InputError(
                f"complexity_of_variables has {len(self.complexity_of_variables)} entries "
                f"for {len(names)} columns {[*names]}"
            )
        operators = {
            operator_named(name, self.custom).name: int(count)
            for name, count in self.complexity_of_operators.items()
        }
        return ComplexityRule(operators, self.complexity_of_constants, weights)

    def changed(self) -> frozenset[str]:
        """Names of the options that differ from their defaults."""
        default = _DEFAULT
        return frozenset(
            f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)
        )

    def replace(self, **changes: Any) -> SearchOptions:
        """A copy with some options changed."""
        return dataclasses.replace(self, **changes)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise UnsupportedTypeError(f"{name} must be a list of names; got {value!r}")
    return tuple(dict.fromkeys(value))


def _texts(operators: Sequence[Operator], arity: int) -> tuple[str, ...]:
    """What a user types for those of the operators that take so many arguments."""
    chosen = [operator for operator in operators if operator.arity == arity]
    return tuple(dict.fromkeys(operator.definition or operator.name for operator in chosen))


@cache
def _operator(text: str) -> Operator:
    # Cached because SymPy compares a definition with the table's row, which takes a while.
    return define_operator(text) if "=" in text else operator_named(text)


def _check_arity(option: str, operators: Sequence[Operator], arity: int) -> None:
    for operator in operators:
        if operator.arity != arity:
            other = "unary_operators" if operator.arity == 1 else "binary_operators"
            raise InputError(
                f"'{operator.name}' takes {operator.arity} argument(s); "
                f"it belongs in {other}, not {option}"
            )


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnsupportedTypeError(f"{name} must be a whole number; got {value!r}")
    if value < least:
        raise InputError(f"{name} must be at least {least}; got {value}")


_OF_OPERATORS = ("complexity_of_operators", "constraints", "nested_constraints")
"""Options with an entry an operator."""

_DEFAULT = SearchOptions()
