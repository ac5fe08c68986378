"""Sums and products of hundreds of terms: length is not depth, wherever trees are followed."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import randn

from symtorch import Candidate, Expression, Front, InputError, SymbolicLayer
from symtorch.export import to_c, to_numpy
from symtorch.symbolic.nodes import Call, Constant, Variable, substitute
from symtorch.symbolic.operators import OPERATORS
from symtorch.symbolic.parsing import MAX_DEPTH

TERMS = 1200


def long_one(operator):
    """``x + 0.5*x + sin(1.5*x) + ...``, or a product of factors near 1."""
    tree = Variable("x")
    for i in range(TERMS - 1):
        part = Call(OPERATORS["*"], (Constant(i / TERMS), Variable("x")))
        if operator == "*":
            part = Call(OPERATORS["cos"], (Call(OPERATORS["/"], (part, Constant(50.0))),))
        tree = Call(OPERATORS[operator], (tree, part))
    return Expression(tree)


@pytest.mark.parametrize("operator", ["+", "*"])
def test_long_equations_are_printed_read_compared_copied_and_filled(operator):
    equation = long_one(operator)
    assert Expression.parse(str(equation)) == equation
    assert hash(Expression.parse(str(equation))) == hash(equation)
    assert equation != long_one("*" if operator == "+" else "+")
    assert pickle.loads(pickle.dumps(equation)) == equation
    assert copy.deepcopy(equation) == equation
    assert equation.with_constants(equation.constants) == equation
    assert substitute(equation.root, {"x": Variable("y")}) != equation.root
    assert len(equation.pretty()) > TERMS
    assert equation.complexity() > 2 * TERMS


def test_long_sums_are_computed_everywhere():
    equation = long_one("+")
    x = randn(20, 1, dtype=torch.float64)
    wanted = x * (1 + sum(i / TERMS for i in range(TERMS - 1)))
    torch.testing.assert_close(equation({"x": x}), wanted)
    for trainable in (False, True):
        layer = SymbolicLayer([equation], ["x"], trainable_constants=trainable, dtype=torch.float64)
        torch.testing.assert_close(layer(x), wanted)
        torch.testing.assert_close(pickle.loads(pickle.dumps(layer))(x), wanted)
    np.testing.assert_allclose(to_numpy(layer)(x.numpy()), wanted)
    assert to_c(layer).count("x[0]") >= TERMS


def test_long_sums_are_saved_and_read():
    front = Front.pareto([Candidate(long_one("+"), 5, 1.0, 1.0)], variables=["x"])
    again = Front.from_json(front.to_json())
    assert again.get_best().expression == long_one("+")


@pytest.mark.parametrize("pattern", ["({} + x)*x", "sin({})", "x**({})", "x + (x*{})", "-({})"])
def test_what_is_nested_too_deep_is_refused(pattern):
    text = "x"
    for _ in range(MAX_DEPTH // 3):
        text = pattern.format(text)
    Expression.parse(text)
    for _ in range(MAX_DEPTH):
        text = pattern.format(text)
    with pytest.raises(InputError, match=r"nested deeper|not an equation"):
        Expression.parse(text)


def test_trees_with_leaves_in_different_places_differ():
    x, plus = Variable("x"), OPERATORS["+"]
    tree = Call(plus, (x, x))
    assert tree != x
    assert x != tree
    assert Call(plus, (tree, x)) != Call(plus, (x, tree))
    assert Call(plus, (tree, x)) == Call(plus, (Call(plus, (x, x)), x))
    assert tree != Call(OPERATORS["-"], (x, x))
