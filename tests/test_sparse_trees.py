"""The sparse engine's light trees: the same equation as the rest of the package sees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symtorch.search.engines.sparse.trees.tree import Tree, to_node, values_of
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.nodes import Call, Constant, Variable
from symtorch.symbolic.operators import OPERATORS

NAMES = ["mass", "speed"]
FUNCTIONS = {name: operator.torch for name, operator in OPERATORS.items()}

numbers = st.floats(-3, 3).map(lambda value: ("c", value)) | st.integers(-3, 3).map(
    lambda value: ("k", float(value))
)
trees = st.recursive(
    st.sampled_from([("x", 0), ("x", 1)]) | numbers,
    lambda inner: (
        st.tuples(st.sampled_from(["sin", "neg", "inv", "square", "tanh"]), inner)
        | st.tuples(st.sampled_from(["+", "-", "*", "/", "max"]), inner, inner)
        | st.tuples(st.just("^"), inner, st.just(("k", 2.0)))
    ),
    max_leaves=12,
)


@given(trees)
def test_a_tree_and_its_equation_have_the_same_values(tree: Tree) -> None:
    X = torch.linspace(0.3, 2.1, 14, dtype=torch.float64).view(7, 2)
    equation = Expression(to_node(tree, NAMES, OPERATORS))
    values = equation({"mass": X[:, 0], "speed": X[:, 1]})
    assert torch.equal(
        torch.nan_to_num(values.expand(7)),
        torch.nan_to_num(values_of(tree, X, FUNCTIONS).expand(7)),
    )


@given(trees)
def test_an_equation_is_what_its_text_says(tree: Tree) -> None:
    equation = Expression(to_node(tree, NAMES, OPERATORS))
    assert Expression.parse(str(equation), NAMES) == equation


def test_numbers_and_powers() -> None:
    tree: Tree = ("-", ("^", ("x", 1), ("k", 2.0)), ("c", -0.0))
    node = to_node(tree, NAMES, OPERATORS)
    power = Call(OPERATORS["^"], (Variable("speed"), Constant(2.0)))
    assert node == Call(OPERATORS["-"], (power, Constant(0.0)))
    assert str(node.args[1].value) == "0.0"


def test_operators_of_the_user_and_unknown_ones() -> None:
    gauss = define_operator("gauss(x) = exp(-x^2)")
    node = to_node(("gauss", ("x", 0)), NAMES, {**OPERATORS, "gauss": gauss})
    assert node == Call(gauss, (Variable("mass"),))
    with pytest.raises(KeyError):
        to_node(("gauss", ("x", 0)), NAMES, OPERATORS)
