"""Every way out of PyTorch against the layer, on random inputs, poles and domain edges."""

import math
import sys

import numpy as np
import pytest
import sympy
import torch
from helpers import GAUSS, HYPOTENUSE

from symtorch import Candidate, Expression, Front, InputError, MissingDependencyError, SymbolicLayer
from symtorch.errors import UnsupportedTypeError
from symtorch.export import to_c, to_latex, to_numpy, to_onnx, to_program, to_sympy
from symtorch.symbolic.nodes import Call, Variable
from symtorch.symbolic.operators import OPERATORS

EDGES = [-math.inf, -3.7, -2.0, -1.0, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.5, 1.0, 2.0, 40.0, math.inf]
GRID = torch.cartesian_prod(*[torch.tensor([*EDGES, math.nan], dtype=torch.float64)] * 2)
"""[points, 2]: where operators have poles, ends of their domains and values without end."""

NAMES = ("u", "v")
EVERY_OPERATOR = [
    Expression(Call(operator, (Variable("u"), Variable("v"))[: operator.arity]))
    for operator in (*OPERATORS.values(), GAUSS, HYPOTENUSE)
]
SHARED = [
    Expression.parse(text)
    for text in (
        *("u/u", "sqrt(u)*sqrt(u)", "log(exp(u))", "1/(u - v)", "u*v/v", "3", "u", "0*u"),
        *("2.5*sin(u*v) + 1", "sin(u*v)**2 + cos(v)", "u**3 + u**-2", "(u - v)**0.7 + 1e-20*u"),
    )
]


def layer_of(equations, **options):
    return SymbolicLayer(equations, NAMES, **options)


def assert_same(found, expected, rtol=1e-12, atol=1e-14):
    """Equal numbers, infinities and nan."""
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=atol)


# ---------------------------------------------------------------- NumPy, SymPy, LaTeX


@pytest.mark.parametrize("equations", [EVERY_OPERATOR, SHARED], ids=["operators", "shared"])
def test_numpy_computes_what_the_layer_does(equations):
    layer = layer_of(equations)
    values = to_numpy(layer)(GRID.numpy())
    assert type(values) is np.ndarray
    expected = layer(GRID).numpy()
    assert_same(values, expected, rtol=1e-12)
    assert to_numpy(layer)(GRID.numpy().reshape(5, -1, 2)).shape == (5, 45, len(equations))


def test_numpy_explains_another_width():
    with pytest.raises(
        InputError, match=r"need \[\.\.\., 2\] with columns \['u', 'v'\]; got \[3\]"
    ):
        to_numpy(layer_of(["u"]))(np.zeros(3))


def test_sympy_and_latex():
    layer = layer_of(["2.5*u**2 + v", "sqrt(u)"])
    u, v = sympy.symbols("u v")
    assert to_sympy(layer) == [2.5 * u**2 + v, sympy.sqrt(u)]
    assert to_latex(layer, digits=2) == ["2.5 u^{2} + v", r"\sqrt{u}"]


def test_trained_constants_are_exported():
    layer = layer_of(["2*u + 1"], trainable_constants=True)
    layer.constants.data = torch.tensor([3.0, 0.5])
    assert_same(to_numpy(layer)([[2.0, 0.0]]), [[6.5]])
    assert "3.0*x[0] + 0.5" in to_c(layer)


def front_of(*texts):
    rows = [
        Candidate(Expression.parse(text, NAMES), i + 1, 10.0**-i, 2 * 10.0**-i)
        for i, text in enumerate(texts)
    ]
    return Front.pareto(rows, variables=NAMES)


def test_fronts_export_the_equation_chosen_or_asked_for():
    fronts = {1: front_of("u", "u + v"), 0: front_of("v", "v*v")}
    assert_same(to_numpy(fronts)([[2.0, 3.0]]), [[9.0, 5.0]])
    assert_same(to_numpy(fronts, complexity=1)([[2.0, 3.0]]), [[3.0, 2.0]])
    assert_same(to_numpy(fronts[1])([[2.0, 3.0]]), [[5.0]])


def test_what_cannot_be_exported_is_explained():
    other = Front.pareto([Candidate(Expression.parse("w"), 1, 1.0, 1.0)], variables=["w"])
    with pytest.raises(InputError, match="the same variables"):
        to_numpy({0: front_of("u"), 1: other})
    with pytest.raises(InputError, match="a layer has its equations"):
        to_numpy(layer_of(["u"]), complexity=3)
    with pytest.raises(UnsupportedTypeError, match="got str"):
        to_numpy("u + v")


def test_latex_table_shows_what_is_asked_for():
    front = front_of("u", "u + 1.23456*v", "u + 1.23456*v**2")
    assert front.latex_table([2], digits=3, columns=["complexity", "equation", "loss"]) == (
        "\\begin{tabular}{lll}\n\\toprule\nComplexity & Equation & Loss \\\\\n\\midrule\n"
        "$2$ & $u + 1.23 v$ & $0.1$ \\\\\n\\bottomrule\n\\end{tabular}"
    )
    assert front.latex_table().count(r"\\") == 4
    with pytest.raises(InputError, match="did you mean 'loss'"):
        front.latex_table(columns=["los"])
    with pytest.raises(InputError, match="no equation of complexity 9"):
        front.latex_table([9])


# ---------------------------------------------------------------- torch.export, ONNX


@pytest.mark.parametrize("trainable", [False, True])
def test_programs_are_saved_loaded_and_take_any_number_of_rows(trainable, tmp_path):
    layer = layer_of(EVERY_OPERATOR + SHARED, trainable_constants=trainable, dtype=torch.float64)
    path = tmp_path / "equations.pt2"
    torch.export.save(to_program(layer, dtype=torch.float64), path)
    program = torch.export.load(path).module()
    for points in (GRID, GRID[:1], torch.randn(7, 2, dtype=torch.float64)):
        with torch.no_grad():
            assert_same(program(points), layer(points), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's exporter warns of itself
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx_computes_what_the_layer_does(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    pytest.importorskip("onnxscript", reason="the extra [onnx] is not installed")
    layer = layer_of(EVERY_OPERATOR + SHARED)
    path = tmp_path / "equations.onnx"
    to_onnx(layer, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for points in (GRID, GRID[:1], torch.randn(50, 2)):
        x = points.float()
        (values,) = session.run(["y"], {"x": x.numpy()})
        expected = layer(x).numpy()
        on_edges = len(points) != 50
        for i, equation in enumerate(EVERY_OPERATOR + SHARED):
            loose = {operator.name for operator in equation.operators} & {"mod", "atan2", "sign"}
            # The exporter writes these by way of others, which differ at infinity, nan and 0.
            if not (loose and on_edges):
                np.testing.assert_allclose(
                    values[:, i], expected[:, i], rtol=1e-4, atol=1e-5, err_msg=str(equation)
                )


def test_a_missing_package_is_explained(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'symtorch\[onnx\]'"):
        to_onnx(layer_of(["u"]), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
