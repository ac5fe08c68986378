"""The operator table, row by row: all meanings of a row agree, and a row is all it takes."""

import shutil

import numpy as np
import pytest
import sympy
import torch
from helpers import points, randn
from scipy import special
from test_export_c import called, compiled
from test_layer_range import all_ways

from symtorch import Expression, SymbolicLayer
from symtorch.export import to_c, to_numpy
from symtorch.layer.planning.graph import kernel_of
from symtorch.symbolic import operators
from symtorch.symbolic.nodes import Call, Variable
from symtorch.symbolic.numpy_source import numpy_source
from symtorch.symbolic.operators import OPERATORS, Operator, SympyFunction, operator_named
from symtorch.symbolic.pullbacks import factor

ARGUMENTS = ("x", "y")


def layer_of(operator):
    names = ARGUMENTS[: operator.arity]
    return SymbolicLayer([Expression(Call(operator, tuple(map(Variable, names))))], names)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """All rows as C functions ``row0``, ``row1``, ...; None without a compiler."""
    if shutil.which("gcc") is None:
        return None
    sources = [to_c(layer_of(row), name=f"row{i}") for i, row in enumerate(OPERATORS.values())]
    return compiled("\n".join(sources), tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("name", list(OPERATORS))
def test_all_meanings_of_a_row_are_one_function(name, in_c):
    row = OPERATORS[name]
    arguments = points(row, count=12)
    table = np.stack(arguments, axis=1)
    exact = [
        float(row.sympy(*(sympy.Float(value, 30) for value in point)).evalf(30)) for point in table
    ]
    meanings = {
        "numpy": row.numpy(*arguments),
        "torch": row.torch(*map(torch.as_tensor, arguments)),
        "layer": layer_of(row)(torch.as_tensor(table))[:, 0],
        "layer to NumPy": to_numpy(layer_of(row))(table)[:, 0],
    }
    if in_c is not None:
        function = getattr(in_c, f"row{[*OPERATORS].index(name)}")
        meanings["C"] = called(function, table)[:, 0]
    for meaning, values in meanings.items():
        np.testing.assert_allclose(values, exact, rtol=1e-12, atol=1e-14, err_msg=meaning)


@pytest.mark.parametrize("name", [name for name, row in OPERATORS.items() if row.pullback])
def test_pullbacks_are_the_derivatives_of_the_sympy_meaning(name):
    row = OPERATORS[name]
    symbols = sympy.symbols(ARGUMENTS[: row.arity], real=True)
    arguments = [torch.as_tensor(values)[None] for values in points(row, count=12)]
    into = [torch.zeros_like(value) for value in arguments]
    result = kernel_of(name).function(*arguments)
    row.pullback(into, torch.ones_like(result), result, arguments)
    for symbol, found in zip(symbols, into, strict=True):
        slope = row.sympy(*symbols).diff(symbol)
        for i in range(12):
            at = {
                s: sympy.Float(float(v[0, i]), 30) for s, v in zip(symbols, arguments, strict=True)
            }
            assert float(found[0, i]) == pytest.approx(float(slope.subs(at).evalf(30)), rel=1e-9)


@pytest.mark.parametrize("name", [name for name, row in OPERATORS.items() if row.comes_back])
def test_what_comes_back_from_sympy_comes_back(name):
    row = OPERATORS[name]
    names = ARGUMENTS[: row.arity]
    tree = Expression(Call(row, tuple(map(Variable, names))))
    again = Expression.from_sympy(tree.sympy(), {name, "+", "*", "/", "^", "-", "neg"})
    columns = {n: torch.as_tensor(v) for n, v in zip(names, points(row), strict=True)}
    torch.testing.assert_close(again(columns), tree(columns))
    if not row.is_algebraic:
        assert again == tree


# ---------------------------------------------------------------- a new operator is one row

MADE_UP = Operator(
    "lgamma",
    1,
    torch.lgamma,
    lambda x: special.gammaln(x),
    SympyFunction("loggamma"),
    "lgamma(a)",
    head="loggamma",
    pullback=factor(lambda x, y: torch.digamma(x)),
    python="special.gammaln(x)",
    domain=((0.0, np.inf),),
)
WITHOUT_NAMESAKE = Operator(
    "damped",
    2,
    lambda x, y: x * torch.exp(-y * y),
    lambda x, y: x * np.exp(-y * y),
    lambda x, y: x * sympy.exp(-(y**2)),
    "a*exp(-b*b)",
    python="x*np.exp(-y*y)",
    domain=((-np.inf, np.inf),) * 2,
)


@pytest.fixture
def made_up(monkeypatch):
    for row in (MADE_UP, WITHOUT_NAMESAKE):
        monkeypatch.setitem(operators._TABLE, row.name, row)


@pytest.mark.usefixtures("made_up")
def test_a_row_is_all_that_a_new_operator_takes(tmp_path):
    text = "2*lgamma(x) + damped(y, x) - lgamma(x + 1)*z"
    equation = Expression.parse(text, ["x", "y", "z"])
    assert operator_named("lgamma") is MADE_UP
    assert str(equation) == text
    assert equation.complexity() == 15

    table = randn(9, 3, dtype=torch.float64).abs() + 0.5
    x, y, z = table.unbind(1)
    wanted = 2 * torch.lgamma(x) + y * torch.exp(-x * x) - torch.lgamma(x + 1) * z
    for found in all_ways([text], table):
        torch.testing.assert_close(found[:, 0], wanted)
    layer = SymbolicLayer([text] * 12, ["x", "y", "z"])
    torch.autograd.gradcheck(layer, table.clone().requires_grad_())
    np.testing.assert_allclose(to_numpy(layer)(table)[:, 3], wanted)

    again = Expression.from_sympy(equation.sympy())
    assert {"lgamma", "exp"} <= {row.name for row in again.operators}
    columns = {"x": x, "y": y, "z": z}
    torch.testing.assert_close(again(columns), wanted)
    shorter = Expression.parse("lgamma(x) + lgamma(x) + 0*y").simplify()
    assert str(shorter) == "2*lgamma(x)"
    torch.testing.assert_close(equation.simplify()(columns), wanted)
    assert "lgamma(x[0])" in to_c(layer)
    python = {}
    exec(numpy_source([equation], ["x", "y", "z"], "law"), python)  # the test's own text
    np.testing.assert_allclose(python["law"](table.numpy())[:, 0], wanted)
    if shutil.which("gcc") is not None:
        function = compiled(to_c(layer, name="law"), tmp_path).law
        np.testing.assert_allclose(called(function, table.numpy(), 12)[:, 0], wanted)
