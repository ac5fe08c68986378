import json
import math
import random

import numpy as np
import pandas as pd
import pytest
import sympy
import torch
from helpers import GAUSS, HYPOTENUSE, expressions
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch.errors import InputError
from symtorch.search.front import Candidate, Front
from symtorch.symbolic.expression import Expression


def candidate(text, complexity, loss, validation_loss=None):
    held_out = loss if validation_loss is None else validation_loss
    expression = Expression.parse(text, operators={"gauss": GAUSS})
    return Candidate(expression, complexity, loss, held_out)


# complexity, loss -> score by PySR's formula, worked out by hand:
#   1: 8                        -> 0
#   3: 2     log(4)/2           = 0.693147
#   4: 1.9   log(2/1.9)/1       = 0.051293
#   8: 0.01  log(190)/4         = 1.311756
#  10: 0.009 log(10/9)/2        = 0.052680
ROWS = [
    candidate("3", 1, 8.0, 8.5),
    candidate("2*x", 3, 2.0, 2.2),
    candidate("2*sin(x)", 4, 1.9, 2.1),
    candidate("2*x + 0.5*sin(y)", 8, 0.01, 0.012),
    candidate("2*x + 0.5*sin(y) + 0.001", 10, 0.009, 0.011),
]
SCORES = [0.0, 0.693147, 0.051293, 1.311756, 0.052680]


@pytest.fixture
def front():
    return Front.pareto(ROWS, variables=["x", "y"])


class TestPareto:
    def test_keeps_what_is_better_and_sorts(self):
        mixed = [*ROWS, candidate("x", 1, 9.0), candidate("x*y", 3, 2.5), candidate("y", 5, 1.9)]
        for seed in range(5):
            random.Random(seed).shuffle(mixed)
            assert Front.pareto(mixed, variables=["x", "y"]).candidates == tuple(ROWS)

    def test_drops_overfits_that_only_fit_the_training_rows(self):
        rows = [candidate("1", 1, 4.0, 4.0), candidate("x", 3, 1.0, 4.1)]
        assert Front.pareto(rows, variables=["x"]).complexities == [1]

    def test_one_row_per_complexity(self):
        rows = [candidate("x", 1, 2.0), candidate("y", 1, 1.0), candidate("1", 1, 3.0)]
        assert [c.equation for c in Front.pareto(rows, variables=["x", "y"])] == ["y"]

    def test_order_of_discovery_does_not_show(self):
        rows = [candidate("x", 1, 1.0), candidate("y", 1, 1.0), candidate("z", 1, 1.0)]
        for order in (rows, rows[::-1]):
            assert Front.pareto(order, variables=["x", "y", "z"])[0].equation == "x"

    def test_an_improvement_in_the_last_digit_is_none(self):
        rows = [candidate("x", 1, 1.0), candidate("x + x", 3, 1.0 - 1e-12)]
        assert len(Front.pareto(rows, variables=["x"])) == 1

    @pytest.mark.parametrize(("floor", "kept"), [(1e-28, [3]), (1e-300, [3, 8])])
    def test_losses_below_the_floor_are_equal(self, floor, kept):
        rows = [candidate("2*x", 3, 1e-32), candidate("2*x + 0*y*x", 8, 1e-33)]
        front = Front.pareto(rows, variables=["x", "y"], loss_floor=floor)
        assert front.complexities == kept

    def test_an_exact_fit_has_a_finite_score(self):
        rows = [candidate("1", 1, 1.0), candidate("x", 3, 0.0)]
        assert Front.pareto(rows, variables=["x"]).scores[1] == pytest.approx(math.log(1e300) / 2)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_candidates_without_a_finite_loss_are_left_out(self, bad):
        rows = [candidate("log(x)", 2, bad), candidate("x", 1, 1.0, bad), candidate("1", 3, 2.0)]
        assert Front.pareto(rows, variables=["x"]).complexities == [3]
        with pytest.raises(InputError, match="at least one equation with a finite loss"):
            Front.pareto(rows[:2], variables=["x"])

    @given(st.lists(st.tuples(st.integers(1, 9), *[st.floats(0, 9)] * 2), min_size=1, max_size=20))
    def test_rules_hold_on_random_candidates(self, numbers):
        rows = [candidate(f"{i}", *row) for i, row in enumerate(numbers)]
        front = Front.pareto(rows, variables=[])
        for a, b in zip(front, front[1:] if len(front) > 1 else (), strict=False):
            assert a.complexity < b.complexity
            assert a.loss > b.loss
            assert a.validation_loss > b.validation_loss
        lowest = front[0].complexity
        assert lowest == min(row.complexity for row in rows)
        assert all(row in rows for row in front)


class TestChecks:
    def test_empty(self):
        with pytest.raises(InputError, match="at least one equation"):
            Front((), ("x",))

    def test_unsorted(self):
        with pytest.raises(InputError, match=r"sorted by complexity; got \[3, 1\]"):
            Front((ROWS[1], ROWS[0]), ("x", "y"))
        with pytest.raises(InputError, match=r"sorted by complexity; got \[1, 1\]"):
            Front((ROWS[0], ROWS[0]), ("x", "y"))

    @pytest.mark.parametrize("floor", [0.0, -1.0, math.nan])
    def test_floor(self, floor):
        with pytest.raises(InputError, match="loss_floor must be positive"):
            Front(tuple(ROWS), ("x", "y"), floor)

    def test_unknown_inputs(self):
        with pytest.raises(InputError, match=r"equation '2\*x' uses 'x', .* inputs \['y'\]"):
            Front.pareto(ROWS[:2], variables=["y"])

    @pytest.mark.parametrize("names", [["x", "x"], ["sin"], ["x y"], ["gauss"], "xy"])
    def test_names(self, names):
        with pytest.raises(InputError):
            Front.pareto([candidate("gauss(1)", 2, 1.0)], variables=names)


def test_scores_by_hand(front):
    assert front.scores == pytest.approx(SCORES, abs=1e-6)


class TestChoice:
    @pytest.mark.parametrize(
        ("strategy", "complexity"), [("accuracy", 10), ("score", 8), ("best", 8)]
    )
    def test_strategies(self, front, strategy, complexity):
        assert front.get_best(strategy).complexity == complexity

    def test_best_looks_only_near_the_lowest_loss(self):
        # Score is highest at 3, yet its loss is beyond 1.5 times the lowest.
        rows = [
            candidate("1", 1, 100.0),
            candidate("x", 3, 0.016),
            candidate("x + 1", 5, 0.0149),
            candidate("x + x*y", 6, 0.01),
        ]
        front = Front.pareto(rows, variables=["x", "y"])
        assert front.get_best("score").complexity == 3
        assert front.get_best("accuracy").complexity == 6
        assert front.get_best("best").complexity == front.get_best().complexity == 6

    def test_best_is_not_outbid_by_ever_longer_equations(self):
        # From a network that learned x0/sqrt(1 - x1^2): the law, and three that follow the
        # network's own errors.
        rows = [
            candidate("x*y", 7, 0.0111),
            candidate("x/sqrt(1 - y^2)", 9, 9.2e-6),
            candidate("x*sin(2.5*y)/sin(3*y)", 13, 7.1e-6),
            candidate("x + y + x*y + x*y*y + x*sin(x*y)", 20, 6.4e-6),
            candidate("x + y + x*y + x*y*y + x*sin(x*y) + sin(y)", 29, 5.5e-6),
        ]
        front = Front.pareto(rows, variables=["x", "y"])
        assert front.get_best("best").complexity == 9

    def test_best_of_one(self):
        front = Front.pareto(ROWS[:1], variables=["x", "y"])
        assert {front.get_best(s).complexity for s in ("best", "score", "accuracy")} == {1}

    def test_losses_below_the_floor_choose_the_simpler(self):
        rows = (candidate("2*x", 3, 1e-30), candidate("2*x + 0*y*x", 8, 1e-33))
        front = Front(rows, ("x", "y"), loss_floor=1e-28)
        assert front.get_best("accuracy").complexity == 3
        assert front.get_best("best").complexity == 3

    def test_unknown_strategy(self, front):
        with pytest.raises(
            InputError, match=r"unknown strategy 'beast'; use 'best', 'pysr', 'score' or"
        ):
            front.get_best("beast")

    def test_select(self, front):
        assert front.select(4) is ROWS[2]
        assert front.select() is front.get_best()
        assert front.select(max_loss=0.5).complexity == 8
        assert front.select(max_loss=8.5).complexity == 1

    def test_select_what_there_is_not(self, front):
        with pytest.raises(InputError) as caught:
            front.select(5)
        assert str(caught.value) == (
            "no equation of complexity 5; there are [1, 3, 4, 8, 10]; the nearest is 4"
        )
        with pytest.raises(InputError) as caught:
            front.select(max_loss=0.001)
        assert str(caught.value) == "no equation with a loss up to 0.001; the lowest is 0.011"
        with pytest.raises(InputError, match="not both"):
            front.select(3, max_loss=1.0)

    def test_behaves_like_a_list(self, front):
        assert len(front) == 5
        assert list(front) == ROWS
        assert front[-1] is ROWS[-1]
        assert front.complexities == [1, 3, 4, 8, 10]


class TestPredict:
    X = torch.tensor([[1.0, 0.0], [2.0, math.pi / 2], [3.0, 0.0]])
    expected = (2.0, 4.5, 6.0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_tensor(self, front, dtype):
        value = front.predict(self.X.to(dtype))
        assert (value.dtype, value.shape) == (dtype, (3,))
        torch.testing.assert_close(value, torch.tensor(self.expected, dtype=dtype))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_array(self, front, dtype):
        value = front.predict(self.X.numpy().astype(dtype))
        assert isinstance(value, np.ndarray)
        assert (value.dtype, value.shape) == (dtype, (3,))
        np.testing.assert_allclose(value, self.expected, rtol=1e-6)

    def test_frame_by_name_else_by_position(self, front):
        x, y = self.X.double().numpy().T
        for frame in (
            pd.DataFrame({"x": x, "y": y}),
            pd.DataFrame({"y": y, "other": "text", "x": x}),
            pd.DataFrame({"left": x, "right": y}),
        ):
            np.testing.assert_allclose(front.predict(frame), self.expected, rtol=1e-6)

    def test_whole_numbers(self, front):
        assert front.predict(np.array([[1, 0], [2, 0]])).tolist() == [2.0, 4.0]

    def test_each_complexity(self, front):
        assert front.predict(self.X, complexity=1).tolist() == [3.0, 3.0, 3.0]
        assert front.predict(self.X, complexity=3).tolist() == [2.0, 4.0, 6.0]

    def test_gradients_flow(self, front):
        X = self.X.clone().requires_grad_()
        front.predict(X).sum().backward()
        torch.testing.assert_close(X.grad[:, 0], torch.full((3,), 2.0))

    @pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (1, 3, 2), ()])
    def test_wrong_shape(self, front, shape):
        with pytest.raises(InputError) as caught:
            front.predict(np.zeros(shape))
        assert str(caught.value) == (f"need [rows, 2] with columns ['x', 'y']; got {[*shape]}")

    def test_no_rows(self, front):
        assert front.predict(torch.zeros(0, 2)).shape == (0,)


class TestShown:
    def test_equations_are_a_table_like_pysrs(self, front):
        table = front.equations_
        assert [*table.columns] == [
            *("complexity", "loss", "score", "equation", "sympy_format"),
            *("validation_loss", "r2"),
        ]
        assert table["complexity"].dtype == np.int64
        assert table["loss"].dtype == table["score"].dtype == np.float64
        assert table["validation_loss"].tolist() == [8.5, 2.2, 2.1, 0.012, 0.011]
        assert table["r2"].isna().all()
        assert table["equation"].tolist() == [row.equation for row in ROWS]
        assert table["score"].tolist() == pytest.approx(SCORES, abs=1e-6)
        x, y = sympy.symbols("x y")
        assert table["sympy_format"][3] == 2 * x + 0.5 * sympy.sin(y)

    def test_a_candidate_answers_to_the_columns_of_that_table(self, front):
        best = front.get_best()
        for column, value in dict(best).items():
            assert value == getattr(best, column)
            table = front.equations_.set_index("complexity", drop=False)
            assert table.loc[best.complexity, column] == value
        with pytest.raises(KeyError, match="did you mean 'equation'"):
            best["equatoin"]
        with pytest.raises(KeyError, match=r"front\.scores"):
            best["score"]

    def test_a_dict_of_fronts_is_readable(self, front):
        (line,) = str({0: front}).splitlines()
        assert line == "{0: " + repr(front) + "}"
        assert f"<Front of {len(front)} equations in x" in line
        assert front.get_best().expression.pretty() in line
        assert f"(complexity {front.get_best().complexity}, loss" in line

    def test_forms(self, front):
        x = sympy.Symbol("x")
        assert front.sympy(3) == 2 * x
        assert front.latex(3) == "2 x"
        assert front.latex() == r"2 x + 0.5 \sin{\left(y \right)}"
        assert front.latex(10, digits=1) == r"2 x + 0.5 \sin{\left(y \right)} + 0.001"

    def test_table(self, front):
        assert (
            str(front)
            == front.table()
            == (
                "  complexity        loss    held out      R2    score  equation\n"
                "           1           8         8.5       -    0.000  3\n"
                "           3           2         2.2       -    0.693  2*x\n"
                "           4         1.9         2.1       -    0.051  2*sin(x)\n"
                ">          8        0.01       0.012       -    1.312  2*x + 0.5*sin(y)\n"
                "          10       0.009       0.011       -    0.053  2*x + 0.5*sin(y) + 0.001"
            )
        )

    def test_table_of_one(self, front):
        assert front.table(complexity=3).splitlines()[1:] == [
            "           3           2         2.2       -    0.693  2*x"
        ]


class TestTrained:
    def test_replaces_one_equation(self, front):
        trained = front.with_expression(3, Expression.parse("2.1*x"))
        assert trained.select(3).equation == "2.1*x"
        assert trained.select(3).trained
        assert trained.select(3).loss == 2.0
        assert "2.1*x  (trained since)" in str(trained)
        assert [row for row in trained if row.complexity != 3] == [
            row for row in front if row.complexity != 3
        ]
        assert front.select(3).equation == "2*x"

    def test_the_same_equation_was_not_trained(self, front):
        assert front.with_expression(3, Expression.parse("2*x")) == front

    def test_no_such_complexity(self, front):
        with pytest.raises(InputError, match=r"no equation of complexity 2; there are \[1, 3"):
            front.with_expression(2, Expression.parse("x"))


fronts = st.builds(
    lambda rows, floor: Front(
        tuple(
            Candidate(expression, complexity, loss, held_out, trained)
            for complexity, (expression, loss, held_out, trained) in rows.items()
        ),
        ("y", "unused", "x"),
        floor,
    ),
    st.dictionaries(
        st.integers(0, 99),
        st.tuples(
            expressions(max_leaves=4), st.floats(0, 1e300), st.floats(0, 1e300), st.booleans()
        ),
        min_size=1,
        max_size=4,
    ).map(lambda rows: dict(sorted(rows.items()))),
    st.floats(1e-300, 1),
)


class TestJson:
    @given(fronts)
    @settings(max_examples=60)
    def test_round_trip(self, front):
        again = Front.from_json(front.to_json())
        assert again == front
        assert again.to_json() == front.to_json()
        assert str(again[0].expression) == str(front[0].expression)

    def test_custom_operators_come_along(self):
        rows = [
            candidate("gauss(x)", 2, 1.0),
            Candidate(Expression.parse("hypot(x, gauss(x))", ["x"], CUSTOM), 5, 0.1, 0.1),
        ]
        front = Front.pareto(rows, variables=["x"])
        data = json.loads(front.to_json())
        assert data["operators"] == ["gauss(x) = exp(-x^2)", "hypot(a, b) = sqrt(a^2 + b^2)"]
        again = Front.from_json(front.to_json())
        assert again == front
        np.testing.assert_allclose(again.predict(np.array([[0.0]]), complexity=5), [1.0])

    def test_trained_mark_survives(self, front):
        trained = front.with_expression(3, Expression.parse("2.1*x"))
        assert Front.from_json(trained.to_json()) == trained

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", '{"format": "other"}'])
    def test_other_files(self, text):
        with pytest.raises(InputError, match="not a saved front"):
            Front.from_json(text)

    @pytest.mark.parametrize("thing", [None, 3, ["x"]])
    def test_other_types(self, thing):
        with pytest.raises(InputError, match="not a saved front"):
            Front.from_json(thing)

    def test_deep_nesting(self):
        with pytest.raises(InputError, match="not a saved front"):
            Front.from_json("[" * 100_000)

    @pytest.mark.parametrize("key", ["version", "variables", "operators", "loss_floor", "rows"])
    def test_missing_key(self, front, key):
        data = json.loads(front.to_json())
        del data[key]
        with pytest.raises(InputError, match=rf"not a saved front: .*'{key}'"):
            Front.from_json(json.dumps(data))

    @pytest.mark.parametrize(
        "key", ["equation", "complexity", "loss", "validation_loss", "trained"]
    )
    def test_missing_key_in_a_row(self, front, key):
        data = json.loads(front.to_json())
        del data["rows"][2][key]
        with pytest.raises(InputError, match=rf"not a saved front: .*'{key}'"):
            Front.from_json(json.dumps(data))

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("version", 4, "saved front of version 4; this symtorch reads 3"),
            ("version", "1", "saved front of version 1"),
            ("version", None, "saved front of version None"),
            ("variables", "xy", "'variables' must be a list; got 'xy'"),
            ("variables", None, "must be a list; got None"),
            ("variables", {"x": 1, "y": 2}, "must be a list; got dict"),
            ("variables", [1, 2], "'variables'[0] must be text; got 1"),
            ("variables", ["x", "y", "x"], "variable name 'x' is there twice"),
            ("variables", ["x", "y", "a b"], "'a b' cannot be the name of a variable"),
            ("variables", ["x", "y", "__import__('os')"], "cannot be the name of a variable"),
            ("variables", ["x", "y", "sin"], "'sin' is an operator"),
            ("variables", ["x", "y", "gauss"], "'gauss' is an operator"),
            ("variables", ["x"], "unknown variable 'y'"),
            ("operators", "gauss(x) = x", "must be a list"),
            ("operators", [3], "must be text"),
            ("operators", ["f(x) = __import__('os').system('true')"], "is not allowed"),
            ("operators", ["sin(x) = cos(x)"], "'sin' already means something else"),
            ("operators", ["f(x) = x", "f(x) = 2*x"], "defines an operator twice"),
            ("loss_floor", "1e-30", "'loss_floor' must be a number; got '1e-30'"),
            ("loss_floor", math.nan, "must be a finite number"),
            ("loss_floor", True, "must be a number; got True"),
            ("loss_floor", 10**400, "must be a finite number; got a huge number"),
            ("loss_floor", 0, "loss_floor must be positive"),
            ("rows", [], "at least one equation"),
            ("rows", {}, "must be a list"),
            ("rows", [3], "'rows'[0] must be an object; got 3"),
        ],
    )
    def test_crafted(self, front, key, value, message):
        data = json.loads(front.to_json())
        data["operators"] = ["gauss(x) = exp(-x^2)"]
        data[key] = value
        with pytest.raises(InputError) as caught:
            Front.from_json(json.dumps(data))
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("equation", "__import__('os').system('true')", "is not allowed in an equation"),
            ("equation", "x.__class__", "'x.__class__' is not allowed"),
            ("equation", "z + 1", "unknown variable 'z'"),
            ("equation", "foo(x)", "unknown operator 'foo'"),
            ("equation", "nan", "unknown variable 'nan'"),
            ("equation", "1e999*x", "number out of range"),
            ("equation", "(" * 10_000, "not an equation"),
            ("equation", 3, "'rows'[2].equation must be text; got 3"),
            ("equation", None, "must be text"),
            ("equation", ["x"], "must be text; got list"),
            ("complexity", 3.5, "complexity must be a whole number; got 3.5"),
            ("complexity", "3", "complexity must be a whole number; got '3'"),
            ("complexity", True, "complexity must be a whole number; got True"),
            ("complexity", -1, "of the saved equation '2*sin(x)' is negative"),
            ("complexity", 8, "sorted by complexity"),
            ("complexity", 99, "sorted by complexity"),
            ("loss", math.nan, "must be a finite number; got nan"),
            ("loss", math.inf, "must be a finite number"),
            ("loss", -1.0, "a loss of the saved equation"),
            ("loss", "0.1", "must be a number"),
            ("validation_loss", -math.inf, "must be a finite number"),
            ("validation_loss", None, "must be a number"),
            ("trained", 1, "'rows'[2].trained must be true or false; got 1"),
            ("trained", "yes", "must be true or false"),
        ],
    )
    def test_crafted_row(self, front, key, value, message):
        data = json.loads(front.to_json())
        data["rows"][2][key] = value
        with pytest.raises(InputError) as caught:
            Front.from_json(json.dumps(data))
        assert message in str(caught.value)
        assert len(str(caught.value)) < 400

    @given(st.data())
    @settings(max_examples=100)
    def test_any_damage_is_an_input_error_or_harmless(self, data):
        saved = json.loads(Front.pareto(ROWS, variables=["x", "y"]).to_json())
        junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        junk |= st.lists(junk, max_size=2) | st.dictionaries(st.text(max_size=3), junk, max_size=2)
        target = data.draw(st.sampled_from([saved, *saved["rows"]]))
        target[data.draw(st.sampled_from(sorted(target)))] = data.draw(junk)
        try:
            front = Front.from_json(json.dumps(saved))
        except InputError:
            return
        assert Front.from_json(front.to_json()) == front


CUSTOM = {"gauss": GAUSS, "hypot": HYPOTENUSE}
