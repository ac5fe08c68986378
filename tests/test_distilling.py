"""distill(): its arguments, each held against a known law, and its errors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import QUICK, Law, law, randn

from symtorch import (
    Expression,
    Front,
    InputError,
    Recording,
    SearchOptions,
    SymbolicModel,
    UnsupportedTypeError,
    record,
    register_engine,
)
from symtorch.search.engine import Progress
from symtorch.search.registry import _ENGINES

X = randn(300, 2)
FRESH = randn(100, 2, seed=9, dtype=torch.float64)


@pytest.fixture
def block():
    return SymbolicModel(Law(), "law")


def finds_the_law(fronts, dims=(0, 1), gain=2.0, transform=lambda x: x):
    """Whether the chosen equations agree with the law on points that no search saw."""
    table, expected = transform(FRESH), law(FRESH, gain)
    return all(
        torch.allclose(fronts[dim].predict(table), expected[:, dim], rtol=1e-3, atol=1e-3)
        for dim in dims
    )


# ---------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    ("asked", "dims"),
    [
        (None, [0, 1]),
        (0, [0]),
        (1, [1]),
        ([1], [1]),
        ([1, 0], [1, 0]),
        ((0, 0), [0]),
        (np.int64(1), [1]),
        (np.arange(2), [0, 1]),
        (range(1), [0]),
    ],
    ids=str,
)
def test_output_dim(block, asked, dims):
    fronts = block.distill(X, output_dim=asked, sr_params=QUICK)
    assert list(fronts) == dims
    assert sorted(block.fronts) == sorted(dims)
    assert finds_the_law(fronts, dims)


@pytest.mark.parametrize("asked", [2, -1, [0, 7], []], ids=str)
def test_output_dim_that_is_not_there(block, asked):
    with pytest.raises(InputError, match=r"block 'law'.*(has outputs 0-1; asked|is empty)"):
        block.distill(X, output_dim=asked)
    assert block.fronts == {}


def test_distilling_again_adds_and_replaces(block):
    first = block.distill(X, output_dim=0, sr_params=QUICK)[0]
    second = block.distill(X, output_dim=1, sr_params=QUICK)[1]
    assert block.fronts == {0: first, 1: second}
    third = block.distill(X[:50], output_dim=0, sr_params={**QUICK, "maxsize": 1})[0]
    assert third != first
    assert block.fronts == {0: third, 1: second}


def test_outputs_that_do_not_depend_on_the_inputs():
    block = SymbolicModel(lambda x: x * 0 + torch.tensor([2.5, 0.0]), "flat")
    fronts = block.distill(X, sr_params=QUICK)
    assert [fronts[dim].get_best().expression.constants for dim in (0, 1)] == [(2.5,), (0.0,)]
    block.switch_to_symbolic()
    assert torch.equal(block(X), torch.tensor([2.5, 0.0]).expand(300, 2))


# ---------------------------------------------------------------- no stale data


def test_a_changed_block_gives_another_law(block):
    assert finds_the_law(block.distill(X, sr_params=QUICK))
    block.block.gain.data.fill_(-3.0)
    assert finds_the_law(block.distill(X, sr_params=QUICK), gain=-3.0)


def test_a_switched_block_is_recorded_as_it_is_unswitched(block):
    block.distill(X, output_dim=0, sr_params={**QUICK, "maxsize": 1})
    block.switch_to_symbolic()
    assert finds_the_law(block.distill(X, sr_params=QUICK))
    assert block.is_symbolic


def test_a_recording_is_kept_as_it_was(block):
    recording = block.record(X)
    block.block.gain.data.fill_(-3.0)
    assert finds_the_law(block.distill(recording, sr_params=QUICK), gain=2.0)


def test_a_recording_from_a_file_serves_several_calls(block, tmp_path):
    block.record(X).save(tmp_path / "law.pt")
    recording = Recording.load(tmp_path / "law.pt")
    for dim in (0, 1):
        assert finds_the_law(block.distill(recording, output_dim=dim, sr_params=QUICK), [dim])
    assert sorted(block.fronts) == [0, 1]


def test_a_recording_of_record_serves_too(block):
    model = torch.nn.Sequential(block.block)
    assert finds_the_law(block.distill(record(model, "0", X)["0"], sr_params=QUICK))


def test_the_same_call_gives_the_same_fronts(block):
    assert block.distill(X, sr_params=QUICK) == block.distill(X, sr_params=QUICK)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_does_not_matter(block, mode):
    with mode():
        x = X.clone()
        recording = block.record(x)
        assert finds_the_law(block.distill(recording, sr_params=QUICK))
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)
    assert finds_the_law(block.distill(recording, sr_params=QUICK))


# ---------------------------------------------------------------- variables

NAMES = {"variable_names": ["mass", "speed"]}
POLAR = {"variable_transforms": {"s": "x0 + x1", "d": "x0 - x1"}}


@pytest.mark.parametrize(
    "options",
    [NAMES, {"fit_params": NAMES}, {"sr_params": {**QUICK, **NAMES}}],
    ids=["variable_names", "fit_params", "sr_params"],
)
def test_variable_names_old_and_new(block, options):
    fronts = block.distill(X, **{"sr_params": QUICK, **options})
    assert fronts[0].variables == ("mass", "speed")
    assert finds_the_law(fronts)


@pytest.mark.parametrize(
    "transforms",
    [
        {"s": "x0 + x1", "d": "x0 - x1"},
        {"s": lambda t: t.sum(1), "d": lambda t: t[:, 0] - t[:, 1]},
        {"s": "x0 + x1", "d": lambda t: t[:, :1] - t[:, 1:]},
    ],
    ids=["text", "functions", "both"],
)
def test_variable_transforms(block, transforms):
    fronts = block.distill(X, output_dim=1, variable_transforms=transforms, sr_params=QUICK)
    # x*y = ((x + y)**2 - (x - y)**2)/4
    assert fronts[1].variables == ("s", "d")
    assert finds_the_law(
        fronts, [1], transform=lambda x: torch.stack([x.sum(1), x[:, 0] - x[:, 1]], 1)
    )


def test_a_switched_block_computes_its_transforms(block):
    block.distill(X, output_dim=1, sr_params=QUICK, **POLAR)
    expected = block(X)
    block.switch_to_symbolic()
    torch.testing.assert_close(block(X), expected, rtol=1e-4, atol=1e-4)


def test_outputs_may_have_variables_of_their_own(block):
    block.distill(X, output_dim=1, sr_params=QUICK, **POLAR)
    block.distill(X, output_dim=0, sr_params=QUICK)
    expected = block(X)
    block.switch_to_symbolic()
    torch.testing.assert_close(block(X), expected, rtol=1e-4, atol=1e-4)


def test_an_old_spelling_nobody_knows(block):
    with pytest.raises(InputError, match=r"fit_params takes .*; got \['colour'\]"):
        block.distill(X, fit_params={"colour": "red"})


# ---------------------------------------------------------------- weights


class Halves(torch.nn.Module):
    """``3*x`` in the first 150 rows and ``-x`` in the others."""

    def forward(self, x):
        return torch.where(torch.arange(len(x))[:, None] < 150, 3 * x, -x)


FIRST_HALF = np.repeat([1.0, 0.0], 150)


@pytest.mark.parametrize(
    "weights",
    [FIRST_HALF, torch.tensor(FIRST_HALF), FIRST_HALF.tolist(), pd.Series(FIRST_HALF)],
    ids=["array", "tensor", "list", "series"],
)
@pytest.mark.parametrize("max_samples", [None, 100])
def test_weights_follow_their_rows_into_the_sample(weights, max_samples):
    block = SymbolicModel(Halves(), "halves")
    front = block.distill(X[:, :1], weights=weights, sr_params=QUICK, max_samples=max_samples)[0]
    assert front.get_best().expression.pretty() == "3*x0"


@pytest.mark.parametrize("spelling", ["fit_params", "sr_params"])
def test_weights_in_the_old_spellings(spelling):
    params = {"weights": 1 - FIRST_HALF}
    options = {"sr_params": QUICK, "fit_params": params}
    if spelling == "sr_params":
        options = {"sr_params": {**QUICK, **params}}
    front = SymbolicModel(Halves(), "halves").distill(X[:, :1], **options)[0]
    assert front.get_best().expression.pretty() == "-x0"


def test_weights_may_be_those_of_a_samples_rows():
    block = SymbolicModel(Halves(), "halves")
    recording = block.record(X[:, :1], max_samples=100)
    weights = FIRST_HALF[recording.row_index]
    front = block.distill(recording, weights=weights, sr_params=QUICK)[0]
    assert front.get_best().expression.pretty() == "3*x0"


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.ones(299), r"299 weights, but 300 rows passed block 'law' \(300 were kept\)"),
        (-np.ones(300), "weights must be finite and not negative"),
        (np.full(300, np.nan), "weights must be finite"),
        (np.zeros(300), "all weights are zero"),
        (np.eye(300)[0], r"from 1 row\(s\) with a weight"),
    ],
)
def test_weights_that_cannot_be_used(block, weights, text):
    with pytest.raises(InputError, match=text):
        block.distill(X, weights=weights)


# ---------------------------------------------------------------- options of the search


@pytest.mark.parametrize("engine", ["auto", "operon"])
def test_engines_by_name(block, engine):
    assert finds_the_law(block.distill(X, sr_params=QUICK, engine=engine))


def test_options_may_be_an_object(block):
    assert finds_the_law(block.distill(X, sr_params=SearchOptions.from_params(QUICK)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sr_params": {"niteration": 5}}, "'niteration'; did you mean 'niterations'"),
        ({"sr_params": {"unary_operators": ["sine"]}}, "did you mean 'sin'"),
        ({"engine": "operron"}, "unknown engine 'operron'; did you mean 'operon'"),
        ({"variable_names": ["a"]}, r"1 variable_names \['a'\] for 2 input columns"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be in \[0, 1\)"),
        ({"max_samples": 0}, "max_samples must be at least 1"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_arguments_that_cannot_be_used_change_nothing(block, options, text):
    fronts = block.distill(X, output_dim=0, sr_params=QUICK)
    with pytest.raises(InputError, match=text):
        block.distill(X, **options)
    assert block.fronts == fronts


def test_the_complexity_of_every_equation_is_within_maxsize(block):
    fronts = block.distill(X, sr_params={**QUICK, "maxsize": 5})
    assert max(front.complexities[-1] for front in fronts.values()) <= 5


def test_only_operators_asked_for_occur(block):
    fronts = block.distill(X, sr_params=QUICK)
    names = {op.name for f in fronts.values() for row in f for op in row.expression.operators}
    assert names <= {"+", "*", "square"}


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
def test_held_out_rows_judge(block, fraction):
    row = block.distill(X, validation_fraction=fraction, sr_params=QUICK)[1][0]
    assert (row.loss == row.validation_loss) == (fraction == 0)


def test_searches_side_by_side_give_the_same_fronts(block):
    alone = block.distill(X, sr_params=QUICK)
    assert block.distill(X, sr_params=QUICK, n_jobs=2) == alone


class OneIdea:
    """An engine of a user's own."""

    name = "one idea"
    honours = frozenset()

    def require(self):
        pass

    def search(self, problem, options, run):
        return [Expression.parse("x0*x1"), Expression.parse("2*x0 + x1*x1")]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_engine_of_ones_own(block, n_jobs):
    register_engine("mine", OneIdea)
    try:
        fronts = block.distill(X, engine="mine", n_jobs=n_jobs)
        with pytest.raises(InputError, match=r"'one idea' cannot honour 'niterations'; .*operon"):
            block.distill(X, engine="mine", sr_params={"niterations": 3})
    finally:
        del _ENGINES["mine"]
    assert finds_the_law(fronts)


# ---------------------------------------------------------------- progress and files


def test_progress_is_reported(block):
    reports = []
    block.distill(X, sr_params=QUICK, progress=reports.append)
    assert all(isinstance(report, Progress) for report in reports)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    assert {report.message.split(":")[0] for report in reports} == {"output 0", "output 1"}


def test_a_bar_is_shown_on_stderr_only_when_asked_for(block, capsys):
    block.distill(X, sr_params=QUICK)
    assert capsys.readouterr() == ("", "")
    block.distill(X, sr_params=QUICK, progress=True)
    shown = capsys.readouterr()
    assert "output 1" in shown.err
    assert shown.out == ""


def test_an_error_in_a_callback_is_the_callers(block):
    def stop(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block.distill(X, sr_params=QUICK, progress=stop)
    assert block.fronts == {}


def test_saved_fronts_are_the_fronts(block, tmp_path):
    fronts = block.distill(X, sr_params=QUICK, save_path=tmp_path / "new" / "folder")
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [file.name for file in files] == ["law.0.json", "law.1.json"]
    assert [Front.from_json(file.read_text()) for file in files] == list(fronts.values())
    assert json.loads(files[0].read_text())["format"] == "symtorch.front"


def test_each_name_has_a_file_of_its_own(tmp_path):
    names = ["a/b", "a_b", "a%2Fb", "a\0b", "Schicht für x", "..", "a\\b", "a:b"]
    recording = SymbolicModel(Law(), "law").record(X)
    for name in names:
        SymbolicModel(Law(), name).distill(recording, 0, sr_params=QUICK, save_path=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(names)
    assert {"a%2Fb.0.json", "a_b.0.json", "Schicht für x.0.json"} <= {
        file.name for file in tmp_path.iterdir()
    }


def test_a_name_too_long_for_a_file_is_noticed_before_the_search(tmp_path):
    block = SymbolicModel(Law(), "layer" * 60)
    with pytest.raises(InputError, match="too long for the name of a file; 255 bytes"):
        block.distill(X, sr_params={"niterations": 10**6}, save_path=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_noticed_before_the_search(block, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        block.distill(X, sr_params={"niterations": 10**6}, save_path=tmp_path / "file")


# ---------------------------------------------------------------- data without a law


def spoiled(value, row=3, column=1):
    table = X.clone()
    table[row, column] = value
    return table


BAD = {
    "nan": (spoiled(float("nan")), {}, r"input column 'x1' has 1 value\(s\) that are NaN"),
    "inf": (spoiled(float("inf")), {}, "input column 'x1' has 1 value"),
    "named": (spoiled(float("nan")), NAMES, "input column 'speed' has 1 value"),
    "one row": (X[:1], {}, "block 'law': a law cannot be found from 1 row"),
    "no rows": (X[:0], {}, "block 'law' was called with no rows"),
    "no batches": ([], {}, "the data is empty"),
    "bad transform": (X, {"variable_transforms": {"l": "log(x0)"}}, "input column 'l' has"),
}


@pytest.mark.parametrize(("data", "options", "text"), BAD.values(), ids=BAD)
def test_data_that_cannot_be_used_is_named(block, data, options, text):
    with pytest.raises(InputError, match=text):
        block.distill(data, **options)
    assert block.fronts == {}


def test_inputs_that_do_not_vary_while_outputs_do():
    block = SymbolicModel(Halves(), "halves")
    with pytest.raises(InputError, match=r"block 'halves': every input column is constant.*\(x0\)"):
        block.distill(torch.ones(300, 1))


def test_one_constant_column_among_others_is_no_matter(block):
    x = X.clone()
    x[:, 1] = 2.0
    front = block.distill(x, output_dim=0, sr_params=QUICK)[0]
    assert torch.allclose(front.predict(x), law(x)[:, 0], atol=1e-3)


def test_outputs_that_are_not_finite_are_named():
    block = SymbolicModel(lambda x: torch.stack([x[:, 0], x[:, 0] / 0], 1), "ratio")
    with pytest.raises(InputError, match=r"block 'ratio', output 1: output column .* 300 value"):
        block.distill(X)


def test_columns_taken_for_features_of_one_row_are_explained():
    block = SymbolicModel(lambda t: 2 * t, "double")
    with pytest.raises(InputError, match=r"300 features x0, .* of one row: .* feature_dim=None"):
        block.distill(X[:, 0])


@pytest.mark.parametrize("text", ["hello", 3, None])
def test_data_of_another_kind(block, text):
    with pytest.raises(UnsupportedTypeError, match="inputs must be a tensor"):
        block.distill(text)


def test_outputs_distilled_in_another_way_are_not_mixed():
    block = SymbolicModel(lambda x: torch.stack([x.sum(-1), x.prod(-1)], -1), "both")
    block.distill(X, output_dim=0, sr_params=QUICK)
    with pytest.raises(InputError, match=r"called in another way .* clear_fronts\(\) drops"):
        block.distill(randn(300, 3), output_dim=1, sr_params=QUICK)
    block.clear_fronts()
    block.distill(randn(300, 3), output_dim=1, sr_params=QUICK)
    assert list(block.fronts) == [1]
