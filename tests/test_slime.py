"""explain() and SLIME on wrapped blocks: known local laws, rows asked about, edge cases."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import Law, randn, state_of_the_world
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from symtorch import Explanation, InputError, StateError, SymbolicModel, explain
from symtorch.errors import UnsupportedTypeError
from symtorch.slime.columns import Columns, fit_names
from symtorch.slime.fidelity import r_squared
from symtorch.slime.link import Identity, Logit
from symtorch.slime.neighbourhood import Locality, Neighbourhood

TABLE = np.random.default_rng(0).uniform(0, 2, (400, 3))
X = np.array([1.0, 0.9, 1.1])


def quietly(f, x=X, data=TABLE, **arguments) -> Explanation:
    """`explain` where a poor or partial explanation is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return explain(f, x, data, **arguments)


def product(rows):
    return np.sin(rows[:, 0]) * rows[:, 1]


class Watched:
    """A function that keeps the rows it was asked about."""

    def __init__(self, function) -> None:
        self.function = function
        self.rows: list = []

    def __call__(self, rows):
        self.rows.append(rows)
        return self.function(rows)


# ------------------------------------------------------------------ laws that are known


def test_a_square_near_one():
    found = explain(lambda rows: rows[:, 0] ** 2, X, TABLE)
    assert found.equation.pretty() == "x0**2"
    assert found.value == found.prediction == 1.0
    assert found.gradient == pytest.approx({"x0": 2.0, "x1": 0.0, "x2": 0.0})
    assert list(found.effects) == ["x0"]
    assert found.fidelity.weighted_r2 == found.fidelity.r2 == 1.0


def test_a_step():
    found = explain(lambda rows: 3.0 * (rows[:, 0] > 1.05), X, TABLE)
    assert "greater" in {operator.name for operator in found.equation.operators}
    height, place = found.equation.constants
    assert height == pytest.approx(3)
    assert place == pytest.approx(1.05, abs=0.01)
    # The slope at x says nothing; the effect does.
    assert found.gradient["x0"] == 0
    assert found.effects["x0"] > 0.5


def test_a_product():
    found = explain(product, X, TABLE)
    assert found.equation.pretty() == "sin(x0)*x1"
    expected = {"x0": math.cos(1) * 0.9, "x1": math.sin(1), "x2": 0}
    assert found.gradient == pytest.approx(expected)


def test_a_sum_of_two_terms_of_which_neither_is_good_alone():
    found = explain(lambda rows: rows[:, 0] ** 2 + np.exp(rows[:, 2]), X, TABLE)
    assert found.equation.pretty() == "x0**2 + exp(x2)"


def test_a_constant_function():
    found = explain(lambda rows: np.full(len(rows), 7.0), X, TABLE)
    assert found.equation.pretty() == "7"
    assert found.effects == {}
    assert found.fidelity.weighted_r2 == 1


def test_laws_in_single_precision():
    net = nn.Sequential(nn.Linear(3, 1, bias=False))
    net[0].weight.data = torch.tensor([[2.0, 0.0, -1.0]])
    data = torch.from_numpy(TABLE).float()
    found = explain(net, data[0], data)
    assert found.equation.pretty() == "2*x0 - x2"


def test_signs_of_effects_and_slopes():
    found = explain(lambda rows: 2 * rows[:, 0] - 5 * rows[:, 1], X, TABLE)
    assert list(found.effects) == ["x1", "x0"]
    assert found.effects["x1"] < 0 < found.effects["x0"]


def test_a_forest_better_than_a_plane_on_the_same_rows():
    targets = product(TABLE) + (TABLE[:, 2] > 1)
    forest = RandomForestRegressor(30, random_state=0).fit(TABLE, targets)
    found = explain(forest, X, TABLE)
    columns = Columns.of(TABLE)
    near = Neighbourhood.around(X, TABLE, columns, Locality())
    points = near.draw(500, np.random.default_rng(5))
    plane = LinearRegression().fit(points.rows, forest.predict(points.rows), points.weights)
    fresh = near.draw(500, np.random.default_rng(6))
    answers = forest.predict(fresh.rows)
    ours = r_squared(answers, found.predict(fresh.rows), fresh.weights)
    assert ours > r_squared(answers, plane.predict(fresh.rows), fresh.weights) + 0.1
    assert found.fidelity.weighted_r2 == pytest.approx(ours, abs=0.1)


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from(["abs", "floor", "tanh", "noise"]))
def test_every_equation_of_the_front_passes_through_x(seed, kind):
    generator = np.random.default_rng(seed)
    tilt = generator.normal(size=3)

    def f(rows):
        along = rows @ tilt
        return {
            "abs": lambda: np.abs(along - 1),
            "floor": lambda: np.floor(3 * along),
            "tanh": lambda: np.tanh(along) * rows[:, 0],
            "noise": lambda: np.sin(1e4 * along),
        }[kind]()

    x = generator.uniform(0, 2, 3)
    found = quietly(f, x, n_synthetic=40, random_state=seed, sr_params={"niterations": 4})
    for complexity in found.front.complexities:
        one = found.with_complexity(complexity)
        assert one.value == pytest.approx(found.prediction, rel=1e-9, abs=1e-9)
        assert one.fidelity.error_at_x == pytest.approx(0, abs=1e-8)


# ------------------------------------------------------------------ probabilities


def test_probabilities_are_explained_through_log_odds():
    weights = np.array([1.5, -2.0, 0.0])

    def predict_proba(rows):
        positive = 1 / (1 + np.exp(-(rows @ weights)))
        return np.column_stack([1 - positive, positive])

    found = explain(predict_proba, X, TABLE, output=1)
    assert found.link == Logit()
    assert found.value == pytest.approx(predict_proba(X[None])[0, 1])
    p = found.prediction
    slopes = {"x0": 1.5 * p * (1 - p), "x1": -2 * p * (1 - p)}
    for name, slope in slopes.items():
        assert found.gradient[name] == pytest.approx(slope, rel=0.05)
    assert found.fidelity.weighted_r2 > 0.99
    assert "log-odds" in str(found)
    assert "logit" in found.to_latex()


def test_probabilities_of_nought_and_one():
    tree = DecisionTreeClassifier(random_state=0).fit(TABLE, TABLE[:, 0] > 1)
    for x in ([0.95, 1, 1], [1.05, 1, 1]):
        found = explain(tree, np.array(x), TABLE, output=1)
        assert found.prediction in (0.0, 1.0)
        assert found.value == found.prediction
        said = found.predict(TABLE)
        assert said.min() >= 0
        assert said.max() <= 1
        assert found.fidelity.weighted_r2 > 0.95
    certain = quietly(lambda rows: np.column_stack([0 * rows[:, 0], 0 * rows[:, 0] + 1]))
    assert certain.link == Logit()
    assert certain.value == certain.prediction == 0


@given(st.floats(0, 1))
def test_log_odds_and_back(probability):
    link = Logit()
    back = link.inverse(link.forward(np.array([probability])))
    assert back[0] == pytest.approx(probability, abs=1e-12)


def test_slope_of_the_way_back():
    values = np.linspace(-5, 5, 21)
    step = 1e-6
    differences = (Logit().inverse(values + step) - Logit().inverse(values - step)) / (2 * step)
    np.testing.assert_allclose(Logit().slope(values), differences, atol=1e-6)


def test_which_scale():
    classifier = LogisticRegression().fit(TABLE, TABLE[:, 0] > 1)
    assert explain(classifier.predict_proba, X, TABLE).link == Logit()
    assert explain(classifier, X, TABLE).link == Logit()
    softmax = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=-1))
    assert explain(softmax, X, TABLE).link == Logit()
    assert explain(classifier.decision_function, X, TABLE).link == Identity()
    assert quietly(classifier.predict_proba, link="identity").link == Identity()
    with pytest.raises(InputError, match="log-odds need probabilities; f answered between"):
        explain(lambda rows: rows[:, 0] * 3, X, TABLE, link="logit")
    with pytest.raises(InputError, match="unknown link 'log'"):
        explain(product, X, TABLE, link="log")


# ------------------------------------------------------------------ rows that are asked about


def test_inputs_keep_to_what_they_are():
    generator = np.random.default_rng(1)
    age = generator.uniform(0, 90, 300)
    children = generator.integers(0, 5, 300)
    smoker = generator.integers(0, 2, 300).astype(bool)
    city = generator.choice(["Rome", "Oslo", "Bonn"], 300)
    data = pd.DataFrame({"age": age, "no. of children": children, "smoker": smoker, "city": city})
    watched = Watched(
        lambda rows: 0.1 * rows["age"] + rows["smoker"] * 2 + (rows["city"] == "Oslo") * 3.0
    )
    x = data[data["city"] == "Oslo"].sort_values("age").iloc[:1]
    found = quietly(watched, x, data, n_neighbors=40)
    (rows,) = watched.rows
    assert list(rows.dtypes) == list(data.dtypes)
    assert rows["age"].min() >= age.min()
    assert set(rows["no. of children"]) <= set(children)
    assert rows["city"].isin(city).all()
    assert found.view.names[1] == "no_of_children"
    assert "city_is_Oslo" in found.equation.variables
    assert found.fidelity.weighted_r2 > 0.99
    assert "smoker" in found.gradient
    assert "city_is_Oslo" not in found.gradient
    assert found.predict(data.iloc[:5]).shape == (5,)
    with pytest.raises(InputError, match="'city' has the value 'Paris', which is not in the data"):
        found.predict(data.iloc[:1].assign(city="Paris"))


def test_numbers_that_are_mere_labels():
    data = np.column_stack([TABLE[:, 0], np.arange(400) % 3])

    def f(rows):
        return rows[:, 0] + 4.0 * (rows[:, 1] == 1)

    found = explain(f, data[1], data, feature_names=["a", "kind"], categorical_features=["kind"])
    assert found.equation.pretty() in ("a + 4*kind_is_1", "4*kind_is_1 + a")


def test_one_call_and_as_many_rows_as_promised():
    watched = Watched(product)
    explain(watched, X, TABLE, n_neighbors=7, n_synthetic=101)
    assert [len(rows) for rows in watched.rows] == [1 + 7 + 101 + 51 + 101]


def test_weights_and_spread_are_those_of_the_method():
    columns = Columns.of(TABLE)
    near = Neighbourhood.around(X, TABLE, columns, Locality(n_neighbors=25))
    standard = (TABLE - X) / TABLE.std(axis=0)
    nearest = TABLE[np.argsort((standard**2).sum(axis=1))[:25]]
    np.testing.assert_allclose(near.variance, nearest.var(axis=0) / 2)
    assert near.width == pytest.approx(math.sqrt(3))
    rows = near.draw(2000, np.random.default_rng(0)).rows
    np.testing.assert_allclose(rows.var(axis=0), near.variance, rtol=0.15)
    expected = np.exp(-((rows - X) ** 2 / near.variance).sum(axis=1) / 3)
    np.testing.assert_allclose(near.weights(rows), expected)


def test_weights_do_not_vanish_in_many_dimensions():
    data = np.random.default_rng(0).normal(size=(200, 60))
    near = Neighbourhood.around(data[0], data, Columns.of(data), Locality())
    weights = near.draw(1000, np.random.default_rng(1)).weights
    assert 0.2 < weights.mean() < 0.6


def test_distances_are_between_standardised_inputs():
    data = np.column_stack([1000 * TABLE[:, 0], TABLE[:, 1]])
    near = Neighbourhood.around(data[0], data, Columns.of(data), Locality())
    spread = near.nearest.std(axis=0) / data.std(axis=0)
    assert spread.max() < 3 * spread.min()


def test_names_fit_for_equations():
    names = ["mean radius", "1st", "sin", "lambda", "a b", "a.b", "", "π"]
    fitted = fit_names(names)
    assert fitted[:6] == ("mean_radius", "x1st", "sin_", "lambda_", "a_b", "a_b_2")
    assert len(set(fitted)) == len(names)


# ------------------------------------------------------------------ kinds of models and data


def test_modules_run_in_eval_mode_and_are_left_as_they_were():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2))
    before = state_of_the_world(net)
    first = quietly(net, output=1)
    assert state_of_the_world(net) == before
    assert str(quietly(net, output=1)) == str(first)
    assert first.prediction == pytest.approx(
        net.eval()(torch.from_numpy(X).float()[None])[0, 1].item(), abs=1e-5
    )


def test_functions_get_the_kind_of_table_that_was_given():
    single = TABLE.astype(np.float32)
    for data, kind in (
        (single, np.ndarray),
        (torch.from_numpy(single), torch.Tensor),
        (pd.DataFrame(single, columns=["a", "b", "c"]), pd.DataFrame),
    ):
        watched = Watched(lambda rows: np.asarray(rows)[:, 0] * 2)
        found = explain(watched, single[0], data)
        assert isinstance(watched.rows[0], kind)
        assert found.predict(data[:4]).shape == (4,)


def test_variable_transforms():
    table = TABLE + 0.5

    def f(rows):
        return 2 * np.sqrt(rows[:, 0] ** 2 + rows[:, 1] ** 2)

    transforms = {"r": "sqrt(x0**2 + x1**2)", "z": lambda rows: rows[:, 2]}
    found = explain(f, table[0], table, variable_transforms=transforms)
    assert found.equation.pretty() == "2*r"
    r = math.hypot(*table[0, :2])
    assert found.gradient["x0"] == pytest.approx(2 * table[0, 0] / r)
    with pytest.raises(InputError, match="not finite on 510 of 510 rows"):
        explain(f, table[0], table, variable_transforms={"l": "log(x0 - 100)"})


def test_all_of_the_data():
    found = explain(product, None, TABLE)
    assert found.equation.pretty() == "sin(x0)*x1"
    assert math.isnan(found.value)
    assert math.isnan(found.fidelity.error_at_x)
    assert found.fidelity.rows == 80
    with pytest.raises(InputError, match="data has 5 rows; a global explanation needs"):
        explain(product, None, TABLE[:5])


# ------------------------------------------------------------------ seeds


def test_seeds():
    def f(rows):
        return np.sin(5 * rows[:, 0]) + rows[:, 1] * rows[:, 2]

    before = state_of_the_world()
    first, again, other = (explain(f, X, TABLE, random_state=seed) for seed in (3, 3, 4))
    assert state_of_the_world() == before
    assert first.to_json() == again.to_json()
    assert not np.array_equal(first.fresh.points.rows, other.fresh.points.rows)
    assert first.fidelity.weighted_r2 == pytest.approx(other.fidelity.weighted_r2, abs=0.1)


# ------------------------------------------------------------------ poor places to explain


def test_duplicates_around_x_give_a_warning():
    data = np.vstack([np.repeat(X[None], 20, axis=0), TABLE])
    with pytest.warns(UserWarning, match="rows nearest to x are equal; the variance is"):
        found = explain(product, X, data)
    assert found.equation.pretty() == "sin(x0)*x1"
    with pytest.raises(InputError, match="all rows of data equal x"):
        quietly(product, X, np.repeat(X[None], 20, axis=0))


def test_a_constant_input_gives_a_warning():
    data = TABLE.copy()
    data[:, 2] = 5
    with pytest.warns(UserWarning, match=r"1 of 3 inputs do not vary .* held there \(x2\)"):
        found = explain(product, [1, 0.9, 5], data)
    assert found.equation.pretty() == "sin(x0)*x1"
    assert "x2" not in found.effects


def test_x_outside_of_the_data_gives_a_warning():
    with pytest.warns(UserWarning, match=r"x lies outside of the data.*x0=4 \(data: 0\.0"):
        found = explain(product, [4, 1, 1], TABLE)
    assert found.value == found.prediction == pytest.approx(math.sin(4))


def test_a_poor_explanation_gives_a_warning():
    with pytest.warns(UserWarning, match="the equation explains .* of how the model varies"):
        explain(lambda rows: np.sin(1e5 * rows.sum(axis=1)), X, TABLE)


# ------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors must be at least 1; got 0"),
        ({"n_neighbors": 500}, "n_neighbors=500, but data has 400 rows"),
        ({"n_synthetic": 5}, "n_synthetic must be at least 20; got 5"),
        ({"real_weight": -1}, "real_weight must not be negative"),
        ({"kernel_width": 0}, "kernel_width must be positive"),
        ({"metric": "nearby"}, "metric='nearby' cannot be used"),
        ({"variance": [1, 2]}, r"variance must be one number or \[3\]; got \[2\]"),
        ({"variance": -1.0}, "variance must not be negative"),
        ({"feature_names": ["a"]}, "1 feature_names for 3 columns"),
        ({"categorical_features": ["a"]}, "no column 'a' among"),
        ({"output": 1}, "f has outputs 0-0; asked for output 1"),
        ({"sr_params": {"max_size": 3}}, "did you mean 'maxsize'"),
        ({"sr_params": {"populations": 3}}, "engine 'local' cannot honour 'populations'"),
        ({"x": [1, 2]}, r"need \[rows, 3\]; got \[1, 2\]"),
        ({"x": TABLE[:2]}, "x must be one row; got 2"),
        ({"x": [1, 2, math.nan]}, "'x2' has values that are missing or infinite"),
        ({"data": TABLE[0]}, r"data must be \[rows, inputs\]; got \[3\]"),
        ({"data": np.where(TABLE > 1.9, np.nan, TABLE)}, "missing or infinite"),
        ({"f": lambda rows: rows[:3, 0]}, "asked about .* rows and answered with shape"),
        ({"f": lambda rows: rows[:, 0] * np.nan}, "with nan or inf"),
        ({"f": lambda rows: np.array(["a"] * len(rows))}, "pass its predict_proba"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"f": product, "x": X, "data": TABLE, **arguments}
    with pytest.raises(InputError, match=message):
        explain(**arguments)


def test_arguments_of_a_wrong_type():
    with pytest.raises(UnsupportedTypeError, match="f must be a module, a function"):
        explain(3, X, TABLE)
    with pytest.raises(UnsupportedTypeError, match="n_neighbors must be a whole number"):
        explain(product, X, TABLE, n_neighbors=2.5)
    with pytest.raises(UnsupportedTypeError, match="output must be a number"):
        explain(product, X, TABLE, output="yes")


# ------------------------------------------------------------------ the Explanation


@pytest.fixture(scope="module")
def found():
    return explain(lambda rows: np.sin(3 * rows[:, 0]) + rows[:, 1] * rows[:, 2], X, TABLE)


def test_other_equations_of_the_front(found):
    shorter = found.with_complexity(found.front.complexities[1])
    assert shorter.fidelity.weighted_r2 < found.fidelity.weighted_r2
    assert shorter.front is found.front
    with pytest.raises(InputError, match="no equation of complexity 999"):
        found.with_complexity(999)


def test_gradient_against_differences(found):
    step = 1e-6
    for i, name in enumerate(("x0", "x1", "x2")):
        shift = step * np.eye(3)[i]
        up, down = found.predict(X + shift)[0], found.predict(X - shift)[0]
        assert found.gradient[name] == pytest.approx((up - down) / (2 * step), abs=1e-4)


def test_options_of_the_search():
    def f(rows):
        return np.sin(3 * rows[:, 0]) + rows[:, 1] * rows[:, 2]

    short = quietly(f, sr_params={"niterations": 2, "maxsize": 15})
    assert max(short.front.complexities) <= 15
    plain = quietly(f, sr_params={"binary_operators": ["+", "*", "-"], "unary_operators": []})
    assert {op.name for row in plain.front for op in row.expression.operators} <= {"+", "*", "-"}
    few = quietly(f, sr_params={"select_k_features": 1})
    assert {name for row in few.front for name in row.expression.variables} == {"x0"}


def test_text_and_html(found):
    text = str(found)
    assert text.startswith("prediction = ")
    assert "R^2 on 500 fresh rows" in text
    assert "x0: " in text
    assert repr(found).startswith("Explanation(")
    page = found._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 1
    assert "\\hat{y}" in page
    assert found.to_latex().startswith("\\hat{y} = ")


def test_saved_and_loaded(found):
    loaded = Explanation.from_json(found.to_json())
    assert str(loaded) == str(found)
    assert loaded.to_json() == found.to_json()
    np.testing.assert_array_equal(loaded.predict(TABLE), found.predict(TABLE))
    with pytest.raises(StateError, match="does not know its model; hand it over"):
        loaded.plot()


def test_saved_and_loaded_with_labels_and_without_x():
    data = pd.DataFrame({"a": TABLE[:, 0], "kind": np.where(TABLE[:, 1] > 1, "hot", "cold")})

    def f(rows):
        return rows["a"] + (rows["kind"] == "hot")

    for x in (data.iloc[[0]], None):
        once = explain(f, x, data)
        loaded = Explanation.from_json(once.to_json())
        assert str(loaded) == str(once)
        np.testing.assert_array_equal(loaded.predict(data), once.predict(data))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 99},
        {"link": "eval"},
        {"front": "{}"},
        {"weights": [1]},
        {"rows": [["a"]]},
        {"center": [1.0]},
        {"center": [math.inf, 1, 1]},
        {"complexity": 10_000},
        {"features": "[]"},
        {"columns": [{"name": "import os"}] * 3},
    ],
)
def test_tampered_files_are_refused(found, change):
    text = json.dumps({**json.loads(found.to_json()), **change})
    with pytest.raises(InputError):
        Explanation.from_json(text)
    with pytest.raises(InputError, match="not a saved explanation"):
        Explanation.from_json("[" * 100_000)


def test_plot(found):
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    figure = found.plot(inputs=2)
    bars, first, second = figure.axes
    strongest = list(found.effects)[:2]
    assert [first.get_xlabel(), second.get_xlabel()] == strongest
    assert len(bars.patches) == 3
    model, equation, x = first.get_lines()
    assert model.get_ydata() == pytest.approx(equation.get_ydata(), abs=0.5)
    assert x.get_ydata()[0] == found.prediction
    assert dict(matplotlib.rcParams) == before


def test_plot_of_labels_and_few_values():
    pytest.importorskip("matplotlib")
    data = pd.DataFrame({"n": np.arange(400) % 4, "kind": np.where(TABLE[:, 1] > 1, "hot", "cold")})
    found = quietly(lambda rows: rows["n"] + 2.0 * (rows["kind"] == "hot"), data.iloc[[0]], data)
    figure = found.plot()
    labels = {label.get_text() for axes in figure.axes for label in axes.get_xticklabels()}
    assert {"hot", "cold"} <= labels


# ------------------------------------------------------------------ the old spelling


class Local(nn.Module):
    """[..., 3] -> [..., 2]: ``sin(x0)*x1``, ``x0**2 + x2``."""

    def forward(self, x):
        return torch.stack([x[..., 0].sin() * x[..., 1], x[..., 0] ** 2 + x[..., 2]], dim=-1)


POINTS = torch.from_numpy(TABLE).float()
SLIME = {
    "x": POINTS[0],
    "J_nn": 12,
    "num_synthetic": 300,
    "real_weighting": 1.0,
    "nn_metric": "euclidean",
    "var": None,
}


@pytest.fixture
def block():
    block = SymbolicModel(Local(), "local")
    block.distill(POINTS, SLIME=True, slime_params=SLIME)
    return block


def equations(block):
    return {d: front.get_best().expression.pretty() for d, front in block.local_fronts.items()}


def test_blocks_are_explained_and_switched(block, capsys):
    assert equations(block) == {0: "sin(x0)*x1", 1: "x0**2 + x2"}
    assert block.fronts == {}
    block.show_symbolic_expression(SLIME=True)
    assert "sin(x0)*x1" in capsys.readouterr().out
    block.switch_to_symbolic(SLIME=True)
    torch.testing.assert_close(block(POINTS), block.block(POINTS))
    assert "switched in: complexity" in str(block.show_symbolic_expression(SLIME=True))
    block.switch_to_block()
    with block.symbolic(dims=1, SLIME=True):
        assert block.symbolic_state.switch.chosen.keys() == {1}
    function = block.get_symbolic_function(1, SLIME=True)
    torch.testing.assert_close(function(POINTS), block(POINTS)[:, 1])


def test_local_and_global_equations_stand_side_by_side(block):
    options = {"niterations": 1, "unary_operators": ["square"]}
    block.switch_to_symbolic(SLIME=True)
    block.distill(POINTS, output_dim=1, sr_params=options)
    assert block.symbolic_state.switch.kind == "explained"
    assert set(block.fronts) == {1}
    assert set(block.local_fronts) == {0, 1}
    block.switch_to_symbolic(dims=1)
    assert block.symbolic_state.switch.kind == "distilled"
    block.distill(POINTS, output_dim=0, SLIME=True, slime_params={"x": POINTS[1]})
    assert block.symbolic_state.switch.kind == "distilled"
    with pytest.raises(StateError, match="distilled so far: \\[1\\]"):
        block.switch_to_symbolic(dims=0)
    block.clear_fronts()
    assert block.local_fronts == block.fronts == {}


def test_blocks_with_transforms(block):
    transforms = {"s": "sin(x0)", "q": lambda rows: rows[:, 0] ** 2, "x1": "x1", "x2": "x2"}
    block.distill(POINTS, SLIME=True, slime_params=SLIME, variable_transforms=transforms)
    assert set(equations(block).values()) == {"s*x1", "q + x2"}
    block.switch_to_symbolic(SLIME=True)
    torch.testing.assert_close(block(POINTS), block.block(POINTS))
    with pytest.warns(UserWarning, match="are Python functions and are not saved"):
        state = block.state_dict()
    loaded = SymbolicModel(Local(), "local")
    loaded.load_state_dict(state)
    with pytest.raises(StateError, match="hand it over again"):
        loaded(POINTS)
    with pytest.raises(InputError, match="has no variable 'nobody'"):
        loaded.set_variable_transforms({"nobody": "x0"})
    loaded.set_variable_transforms({"q": lambda rows: rows[:, 0] ** 2})
    assert loaded.symbolic_state.switch.kind == "explained"
    torch.testing.assert_close(loaded(POINTS), block.block(POINTS))


def test_blocks_that_are_pruned():
    block = SymbolicModel(Local(), "local")
    block.setup_pruning(2, 1, total_steps=10)
    block.prune(10, POINTS)
    (active,) = block.get_active_dimensions()
    block.distill(POINTS, SLIME=True, slime_params=SLIME)
    assert equations(block) == {active: ["sin(x0)*x1", "x0**2 + x2"][active]}
    block.switch_to_symbolic(SLIME=True)
    expected = block.block(POINTS)
    expected[:, 1 - active] = 0
    torch.testing.assert_close(block(POINTS), expected)


def test_blocks_are_saved_and_loaded(block, tmp_path):
    block.switch_to_symbolic(SLIME=True, trainable_constants=True)
    torch.save(block.state_dict(), tmp_path / "block.pt")
    loaded = SymbolicModel(Local(), "local")
    loaded.load_state_dict(torch.load(tmp_path / "block.pt", weights_only=True))
    assert loaded.local_fronts == block.local_fronts
    assert loaded.symbolic_state.switch.kind == "explained"
    torch.testing.assert_close(loaded(POINTS), block(POINTS))


def test_several_inputs_functions_and_activations():
    def f(a, b):
        return (a**2 * b)[:, 0]

    block = SymbolicModel(f, "f")
    a, b = TABLE[:, :1], TABLE[:, 1:2]
    block.distill((a, b), SLIME=True, slime_params={"x": TABLE[0, :2]}, variable_names=["a", "b"])
    assert equations(block) == {0: "a**2*b"}
    deep = SymbolicModel(Law(), "law")
    deep.distill(randn(20, 15, 2), SLIME=True, slime_params={"x": [0.5, -0.5]})
    assert equations(deep) == {0: "2*x0 + x1**2", 1: "x0*x1"}


def test_x_of_none_means_all_rows():
    block = SymbolicModel(Local(), "local")
    block.distill(POINTS, SLIME=True)
    assert equations(block) == {0: "sin(x0)*x1", 1: "x0**2 + x2"}


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(dim=0)


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (Local(), {"slime_params": {"x": [1, 1, 1], "J_n": 3}}, "did you mean 'J_nn'"),
        (Local(), {"slime_params": {"x": [1.0]}}, r"need \[rows, 3\]"),
        (Local(), {"engine": "operon"}, "searched by the engine 'local'; got 'operon'"),
        (Local(), {"weights": np.ones(400)}, "weight rows by their nearness"),
        (Mixing(), {}, "answers differently when it is asked about its rows alone"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*depends on other rows:UserWarning")
def test_what_cannot_be_explained_leaves_the_block_as_it_was(module, arguments, message):
    block = SymbolicModel(module, "block")
    with pytest.raises(InputError, match=message):
        block.distill(POINTS, SLIME=True, **arguments)
    assert block.local_fronts == {}
