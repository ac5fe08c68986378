"""C source against the layer: every operator, random equations, numbers and names."""

import ctypes
import random
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from helpers import GAUSS, HYPOTENUSE, random_tree
from test_export import EVERY_OPERATOR, GRID, SHARED, assert_same, layer_of

from symtorch import Expression, InputError, SymbolicLayer
from symtorch.export import to_c
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.operators import OPERATORS

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler (gcc) here")

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def compiled(source, folder, optimise="-O2"):
    """The library of a source, which may hold several functions."""
    file, library = folder / "equations.c", folder / "equations.so"
    file.write_text(source)
    flags = [*WARNINGS, optimise, "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(file), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def called(function, points, outputs=1):
    """Values of a function in C: [points, inputs] -> [points, outputs]."""
    pointer = ctypes.POINTER(ctypes.c_double)
    points = np.ascontiguousarray(points)
    result = np.full((len(points), outputs), 7.0)
    for row, y in zip(points, result, strict=True):
        function(row.ctypes.data_as(pointer), y.ctypes.data_as(pointer))
    return result


@needs_gcc
@pytest.mark.parametrize("equations", [EVERY_OPERATOR, SHARED], ids=["operators", "shared"])
def test_c_computes_what_the_layer_does(equations, tmp_path):
    layer = layer_of(equations)
    law = compiled(to_c(layer, name="law"), tmp_path).law
    for points in (GRID, torch.randn(300, 2, dtype=torch.float64)):
        assert_same(called(law, points.numpy(), len(equations)), layer(points), rtol=1e-9)


IN_INTEGERS = [
    *("3/2*u", "greater(u, 1)/2", "cond(u, 3)/2", "u + 65536*65536", "greater(u, v)/greater(v, u)"),
    *("gauss(u)", "bell(u)", "7/2", "1/3*u/2", "cond(1/2*u, 1/2)", "2**-1*u", "less(u, 3/2)"),
    *("sign(u)/2", "mod(7/2*u, 2)", "max(1, u)/2", "u*3000000*3000000", "-u/2", "floor(u)/2"),
]
FAILED = [
    *("sqrt(abs(1/erf(1)))*u", "less(v**3, cond(u, 3))", "0.6931471805599453*u", "2.718281828*u"),
    *("greater(greater(u, 1), less(u, cond(u, cond(v, greater(u, v)))))", "sqrt(-1)*u", "log(0)*u"),
    " + ".join(f"sin({i}*u)" for i in range(1, 151)),
    "sin(" * 90 + "u" + ")" * 90,
]


@needs_gcc
def test_numbers_are_doubles_everywhere_and_what_works_in_the_layer_works_in_c(tmp_path):
    bell = {"bell": define_operator("bell(x) = exp(-1/2*x^2)"), "gauss": GAUSS}
    layers = [
        SymbolicLayer([Expression.parse(t, ["u", "v"], bell)], ["u", "v"])
        for t in (*IN_INTEGERS, *FAILED)
    ]
    # One output at a time: what two share would be a line of its own, and a double.
    source = "\n".join(to_c(layer, name=f"law{i}") for i, layer in enumerate(layers))
    library = compiled(source, tmp_path)
    points = torch.tensor([[2.0, 1.0], [-1.5, 3.0], [0.25, 0.5], [0.0, 0.0]], dtype=torch.float64)
    for i, layer in enumerate(layers):
        found = called(getattr(library, f"law{i}"), points.numpy())
        np.testing.assert_allclose(found, layer(points), rtol=1e-12, err_msg=str(layer))


SIGNS = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)


@needs_gcc
def test_random_equations_compute_what_the_layer_does(tmp_path):
    rng = random.Random(5)
    operators = [*OPERATORS.values(), GAUSS, HYPOTENUSE]
    layers = [
        SymbolicLayer(
            [Expression(random_tree(rng, rng.randint(3, 20), ("u", "v"), operators))], ["u", "v"]
        )
        for _ in range(400)
    ]
    source = "\n".join(to_c(layer, name=f"law{i}") for i, layer in enumerate(layers))
    library = compiled(source, tmp_path, "-O0")
    # Which of two zeros is the smaller is for each library to say.
    points = torch.cat([GRID[::3] + 0.0, torch.randn(60, 2, dtype=torch.float64)])
    judged_points = 0
    for i, layer in enumerate(layers):
        expected = layer(points)
        judged = torch.ones_like(expected, dtype=torch.bool)
        # Where rounding or the sign of a zero decides, libraries differ.
        for moved in (
            layer(points * (1 - 1e-12)),
            layer(points * (1 + 1e-12)),
            *(layer(torch.where(points == 0, points * sign, points)) for sign in SIGNS),
        ):
            close = torch.isclose(moved, expected, rtol=1e-9, atol=1e-11, equal_nan=True)
            judged &= close
        found = torch.as_tensor(called(getattr(library, f"law{i}"), points.numpy()))
        same = torch.isclose(found, expected, rtol=1e-8, atol=1e-10, equal_nan=True)
        assert bool((same | ~judged).all()), (str(layer), points[~(same | ~judged)[:, 0]])
        judged_points += int(judged.sum())
    assert judged_points > 0.8 * 400 * len(points)


def test_c_computes_shared_parts_once():
    source = to_c(layer_of(["sin(u*v)", "exp(sin(u*v))", "2*sin(u*v)"]))
    assert source.count("sin(") == 1


@needs_gcc
def test_c_of_equations_without_variables_compiles(tmp_path):
    library = compiled(to_c(layer_of(["2.5", "1/3"])), tmp_path)
    assert_same(called(library.equations, np.zeros((1, 2)), 2), [[2.5, 1 / 3]])


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        *("", "2x", "a b", "int", "f(", "größe", "sin", "sinf", "y0", "j1", "gamma", "exit"),
        *("M_LN2", "M_PI", "NAN", "isnan", "_Bool", "__law", "printf", "main", "FP_NAN", "inline"),
    ],
)
def test_names_that_c_does_not_take_are_explained(name):
    with pytest.raises(InputError, match="cannot be the name of a function in C"):
        to_c(layer_of(["u"]), name=name)


@needs_gcc
def test_no_name_of_the_mathematical_library_collides(tmp_path):
    header = tmp_path / "header.c"
    header.write_text("#include <math.h>\n#include <stdlib.h>\n")
    texts = [
        subprocess.run(
            ["gcc", "-std=gnu99", "-E", *flags, str(header)], check=True, capture_output=True
        ).stdout.decode()
        for flags in ([], ["-dM"])
    ]
    declared = re.findall(r"^\s*extern[^;]*?\b(\w+) \(", texts[0], re.MULTILINE)
    macros = re.findall(r"^#define (\w+)", texts[1], re.MULTILINE)
    assert {"sin", "strtod"} <= {*declared}
    assert "M_PI" in macros
    taken = []
    for name in sorted({*declared, *macros}):
        try:
            taken.append(to_c(layer_of(["sin(u)"]), name=name))
        except InputError:
            continue
    assert len(taken) < len({*declared, *macros})
    file = tmp_path / "taken.c"
    file.write_text("\n".join(taken))
    subprocess.run(["gcc", *WARNINGS, "-c", str(file), "-o", str(tmp_path / "x.o")], check=True)


def test_names_of_variables_cannot_break_the_source():
    source = to_c(SymbolicLayer(["größe + int_"], ["größe", "int_"]))
    assert source.isascii()
    assert "y[0] = x[0] + x[1];" in source


def test_source_reads_as_it_was_written():
    source = to_c(layer_of(["2*u - 3*v*v + 1", "-u/(v + 1)", "0.5*u*v"]))
    text = source.replace("x[0]", "u").replace("x[1]", "v")
    assert "y[0] = 2.0*u - 3.0*v*v + 1.0;" in text
    assert "y[2] = 0.5*u*v;" in text
    assert "y[1] = -u/(v + 1.0);" in text
