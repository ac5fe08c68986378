"""The command `symtorch`, as a shell sees it: stdout, stderr, exit codes, files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from symtorch import Candidate, Expression, Front, SymbolicModel
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.numpy_source import numpy_source
from symtorch.symbolic.operators import OPERATORS
from symtorch_cli.arguments import parser
from symtorch_cli.main import main

COMMAND = [sys.executable, "-m", "symtorch_cli"]
SHORT = ["--niterations", "3", "--maxsize", "9", "--timeout", "120", "--engine", "sparse"]


@pytest.fixture(autouse=True)
def _leave_ctrl_c_alone():
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    a, b = random.uniform(-2, 2, (2, 200))
    path = tmp_path / "data.csv"
    pd.DataFrame(
        {"mass (kg)": a, "b": b, "who": ["me"] * 200, "y": 2.5 * a * b - 1, "z": a + b}
    ).to_csv(path, index=False)
    return path


@pytest.fixture
def front() -> Front:
    rows = [
        Candidate(Expression.parse("3"), 1, 4.0, 4.1),
        Candidate(Expression.parse("2*u + sin(v)"), 6, 0.01, 0.012),
    ]
    return Front.pareto(rows, variables=["u", "v"])


def shell(*words: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=300, **options
    )


# ------------------------------------------------------------------ the shell


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom symtorch_cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n"
        "    print(end.code, sorted({'torch', 'numpy', 'symtorch', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "distill" in done.stdout


@pytest.mark.parametrize("words", [[], ["distil"], ["distill", "d.csv"], ["export", "f"]])
def test_a_wrong_command_line_exits_with_2(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: symtorch")


def test_results_come_on_stdout_and_all_else_on_stderr(table: Path, tmp_path: Path) -> None:
    done = shell("distill", table, "--target", "y", "--inputs", "mass (kg),b", *SHORT, "--json")
    assert done.returncode == 0, done.stderr
    assert Front.from_json(done.stdout).get_best().expression.pretty() == "2.5*b*mass_kg - 1"
    assert "column 'mass (kg)' is called mass_kg in equations" in done.stderr
    assert " %  loss " in done.stderr


def test_commands_can_be_piped_into_each_other(table: Path) -> None:
    distill = [*COMMAND, "distill", "-", "--target", "y", "--inputs", "b,mass (kg)", *SHORT]
    with (
        table.open() as data,
        subprocess.Popen(
            [*distill, "--json", "--quiet"],
            stdin=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as first,
    ):
        second = shell("export", "-", "--to", "latex", stdin=first.stdout)
        assert second.stdout.strip() == r"2.5 b mass_{kg} - 1"
        assert first.wait(60) == 0


def test_a_reader_that_leaves_early_sees_no_traceback(front: Front, tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    # More than a pipe holds, so that writing has to wait for the reader.
    path.write_text("\n".join([front.to_json()] * 2_000))
    with subprocess.Popen(
        [*COMMAND, "show", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_ctrl_c_prints_what_was_found_and_exits_with_130(table: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "distill", str(table), "--target", "y", "--target", "z", "--timeout", "600",
         "--engine", "operon", "--niterations", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        while not lines or " %  loss " not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert "Traceback" not in rest
        assert "interrupted; this is what was found so far" in rest
        assert "complexity" in process.stdout.read()
        assert process.wait(60) == 130


def test_ctrl_c_before_there_is_anything(monkeypatch, capsys) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symtorch_cli.commands.show.read_saved", interrupted)
    assert main(["show", "x"]) == 130
    assert capsys.readouterr().err == "symtorch: interrupted\n"


def test_bugs_are_not_hidden(monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("symtorch_cli.commands.show.read_saved", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["show", "x"])


# ------------------------------------------------------------------ distill


def test_several_targets_and_a_folder_of_them(table: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "deep" / "fronts"
    words = ["distill", str(table), "--target", "y", "--target", "z", *SHORT]
    assert main([*words, "--save", str(folder), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("y\n")
    assert "\n\nz\n" in out
    assert "left out, for they hold no numbers: who" in err
    assert main(["show", str(folder)]) == 0
    assert capsys.readouterr().out == out
    assert main(["show", str(folder), "--latex"]) == 0
    assert capsys.readouterr().out.count(r"\begin{tabular}") == 2


@pytest.mark.parametrize("kind", ["parquet", "npz", "semicolons", "no header"])
def test_every_kind_of_table(kind: str, table: Path, tmp_path: Path, capsys) -> None:
    frame = pd.read_csv(table)[["mass (kg)", "b", "y"]]
    path, more, target = tmp_path / "data.csv", [], "y"
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        path = tmp_path / "data.parquet"
        frame.to_parquet(path)
    elif kind == "npz":
        path = tmp_path / "data.npz"
        np.savez(path, x=frame[["mass (kg)", "b"]].to_numpy(), y=frame[["y"]].to_numpy())
    elif kind == "semicolons":
        frame.to_csv(path, index=False, sep=";")
    else:
        frame.to_csv(path, index=False, header=False)
        more, target = ["--no-header"], "x2"
    assert main(["distill", str(path), "--target", target, *SHORT, *more, "--quiet"]) == 0
    names = {"npz": "x_0*x_1", "no header": "x0*x1"}.get(kind, "b*mass_kg")
    assert f"{names} - 1" in capsys.readouterr().out.replace("x1*x0", "x0*x1").replace(
        "x_1*x_0", "x_0*x_1"
    )


def test_missing_numbers(table: Path, capsys) -> None:
    frame = pd.read_csv(table)
    frame.loc[3, "b"] = np.nan
    frame.to_csv(table, index=False)
    words = ["distill", str(table), "--target", "y", *SHORT, "--quiet"]
    assert main(words) == 1
    assert "column 'b' lacks a number in 1 of 200 rows; --drop-missing" in capsys.readouterr().err
    assert main([*words, "--drop-missing"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "yy"], "no column 'yy'; did you mean 'y'?; there are mass_kg, b, who"),
        (["--target", "who"], "column 'who' holds no numbers, such as 'me'"),
        (["--target", "y", "--inputs", "b,y"], "'y' is both a target and an input"),
        (["--target", "y", "--unary", "sinn"], "unknown operator 'sinn'; did you mean 'sin'?"),
        (["--target", "y", "--engine", "pysir"], "unknown engine 'pysir'; did you mean 'pysr'?"),
        (["--target", "y", "--maxsize", "0"], "maxsize must be at least 1; got 0"),
        (["--target", "y", "--held-out", "1"], "validation_fraction must be in [0, 1)"),
        (["--target", "y", "--weights", "who"], "column 'who' holds no numbers"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, table: Path, capsys) -> None:
    assert main(["distill", str(table), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("symtorch: ")
    assert message in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "data.csv: "),
        (b"1,2\n3,4\n", "holds numbers where names were expected"),
        (b"\xff\xfe\x00\x01", "data.csv: "),
    ],
)
def test_files_that_are_no_tables(content: bytes, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    assert main(["distill", str(path), "--target", "y"]) == 1
    assert message in capsys.readouterr().err


def test_missing_files(tmp_path: Path, capsys) -> None:
    assert main(["distill", str(tmp_path / "no.csv"), "--target", "y"]) == 1
    assert capsys.readouterr().err == f"symtorch: {tmp_path / 'no.csv'}: no such file\n"
    assert main(["show", str(tmp_path / "no.json")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_operators_with_definitions_are_one_word() -> None:
    words = ["distill", "d", "--target", "y", "--binary", "+,f(x, y) = x*y^2,max"]
    assert parser().parse_args(words).binary == ["+", "f(x, y) = x*y^2", "max"]


# ------------------------------------------------------------------ saved equations


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 3), SymbolicModel(nn.Linear(3, 2), "head"))


@pytest.mark.parametrize("inside", [False, True])
def test_a_state_dict_is_shown(inside: bool, tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    net = Net()
    net[1].distill(
        torch.randn(100, 2), parent_model=net, sr_params={"niterations": 1, "maxsize": 5}
    )
    path = tmp_path / "net.pt"
    state = net.state_dict()
    torch.save({"epoch": 3, "state_dict": state} if inside else state, path)
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1, output 0\n")
    assert str(net[1].front(1)) in out
    assert main(["show", str(path), "--block", "2"]) == 1
    assert "no distilled equations for block '2'; state dicts of blocks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "'format' is missing"),
        (b'{"format": "symtorch.front"', "not a saved front"),
        (b"garbage", "neither a front (JSON) nor a state dict"),
        (b"", "neither a front"),
    ],
)
def test_files_without_equations(content: bytes, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert main(["show", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_a_pickle_is_not_run(tmp_path: Path, capsys) -> None:
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was run"),)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    assert main(["show", str(tmp_path / "evil.pt")]) == 1
    assert not (tmp_path / "was run").exists()


def test_json_may_be_laid_out(front: Front, tmp_path: Path, capsys) -> None:
    path = tmp_path / "front.json"
    path.write_text(json.dumps(json.loads(front.to_json()), indent=2))
    assert main(["show", str(path), "--json"]) == 0
    assert Front.from_json(capsys.readouterr().out) == front


def test_export(front: Front, tmp_path: Path, capsys) -> None:
    path = tmp_path / "front.json"
    path.write_text(front.to_json())
    assert main(["export", str(path), "--to", "c", "--name", "law"]) == 0
    assert "void law(const double *x, double *y)" in capsys.readouterr().out
    assert main(["export", str(path), "--to", "latex", "--complexity", "1"]) == 0
    assert capsys.readouterr().out == "3\n"
    assert main(["export", str(path), "--to", "numpy", "-o", str(tmp_path / "law.py")]) == 0
    assert capsys.readouterr().out == ""
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    function = compiled((tmp_path / "law.py").read_text(), "equations")
    np.testing.assert_array_equal(
        function(x)[..., 0], front.predict(x.reshape(-1, 2)).reshape(4, 5)
    )
    assert main(["export", str(path), "--to", "onnx"]) == 1
    assert "add --output model.onnx" in capsys.readouterr().err
    assert main(["export", str(path), "--to", "c", "--complexity", "2"]) == 1
    assert "no equation of complexity 2; there are [1, 6]" in capsys.readouterr().err


def test_reports(table: Path, front: Front, tmp_path: Path, capsys) -> None:
    saved, page = tmp_path / "front.json", tmp_path / "report.html"
    saved.write_text(front.to_json())
    assert main(["report", str(saved), str(page)]) == 0
    assert "<title>Equations in front.json</title>" in page.read_text()
    words = ["distill", str(table), "--target", "y", "--target", "z", *SHORT, "--quiet"]
    assert main([*words, "--report", str(page)]) == 0
    text = page.read_text()
    assert "<title>Equations for y, z</title>" in text
    assert "<th>engine</th><td>sparse</td>" in text
    assert text.count("root mean square difference") == 2
    assert main(["report", str(saved), str(tmp_path / "no" / "folder.html")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_engines(capsys) -> None:
    assert main(["engines"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["sparse"] == "available"
    assert set(lines) >= {"auto", "operon", "local", "quadratic", "pysr"}


def test_demo(tmp_path: Path) -> None:
    done = shell("demo", "--report", tmp_path / "demo.html")
    assert done.returncode == 0, done.stderr
    assert "root mean square difference" in (tmp_path / "demo.html").read_text()
    [chosen] = re.findall(r"^>.*", done.stdout, re.MULTILINE)
    assert re.search(r"x0\*\*2 \+ (3|2\.9\d+|3\.0\d+)\*sin\(x2\) - (4|3\.9\d+|4\.0\d+)$", chosen)
    assert done.stdout.endswith("Swapped back: outputs identical.\n")


# ------------------------------------------------------------------ NumPy source


def compiled(source: str, name: str):
    names: dict[str, object] = {}
    exec(source, names)
    return names[name]


@pytest.mark.parametrize("name", OPERATORS)
def test_numpy_source_of_every_operator(name: str) -> None:
    operator = OPERATORS[name]
    variables = ["x", "np"][: operator.arity]
    symbol = {"^": "**"}.get(name, name)
    text = f"{symbol}({', '.join(variables)})"
    if not name.isalnum():
        text = f"x {symbol} np"
    expression = Expression.parse(text)
    points = np.array([-np.inf, -2.5, -1.0, -0.5, 0.0, 0.3, 1.0, 2.0, 40.0, 800.0, np.inf, np.nan])
    grid = np.stack(np.meshgrid(*[points] * operator.arity), axis=-1)
    found = compiled(numpy_source([expression, expression], variables), "equations")(grid)
    with np.errstate(all="ignore"):
        expected = operator.numpy(*np.moveaxis(grid, -1, 0))
    np.testing.assert_allclose(found[..., 1], expected, rtol=1e-12)


def test_numpy_source_of_own_operators_and_constants() -> None:
    gauss = define_operator("gauss(x) = exp(-cube(x))")
    expression = Expression.parse("gauss(u)/2", operators={"gauss": gauss})
    source = numpy_source([expression, Expression.parse("3")], ["u", "exp_", "stack"])
    x = np.array([[0.5, 1, 1], [1.5, 2, 2]])
    np.testing.assert_allclose(
        compiled(source, "equations")(x),
        np.stack([np.exp(-(x[:, 0] ** 3)) / 2, [3.0, 3.0]], axis=-1),
        rtol=1e-15,
    )
    with pytest.raises(ValueError, match="'gauss' is an operator of the equations"):
        numpy_source([expression], ["u"], "gauss")
