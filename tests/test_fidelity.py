"""The fidelity card: figures against known truths, and warnings where they are due."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from symtorch import Expression, record
from symtorch.errors import InputError
from symtorch.recording import Recording
from symtorch.recording.features import Features
from symtorch.trust.fidelity import FidelityCard, fidelity
from symtorch.trust.fidelity.agreement import Agreement, gradient_agreement, linear_surrogate
from symtorch.trust.fidelity.card import Loss
from symtorch.trust.fidelity.constants import intervals_of
from symtorch.trust.fidelity.terms import summands, terms_of


class Law(nn.Module):
    """``x0 * exp(-x1)`` and ``2*x0 - x1`` in float64."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0] * torch.exp(-x[:, 1]), 2 * x[:, 0] - x[:, 1]], dim=1)


def rows(count: int = 600, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64) * 2 - 1


@pytest.fixture
def recording() -> Recording:
    return record(nn.Sequential(Law()), "0", rows())["0"]


def card_of(text: str, recording: Recording, **options: object) -> FidelityCard:
    return fidelity(Expression.parse(text), Law(), recording, **options)  # type: ignore[arg-type]


# -- agreement --------------------------------------------------------------------------------


def test_agreement_is_what_numpy_says() -> None:
    points = rows(50)
    found = Agreement.of(lambda x: 2 * x[:, 0] - x[:, 1] + 0.1, lambda x: Law()(x)[:, 1], points)
    assert found is not None
    assert found.rows == 50
    assert found.rms == pytest.approx(0.1)
    assert found.largest == pytest.approx(0.1)
    assert found.r2 == pytest.approx(1 - 0.01 / float(Law()(points)[:, 1].var(correction=0)))


def test_rows_where_only_the_equation_fails_are_counted() -> None:
    found = Agreement.of(lambda x: x[:, 0].log(), lambda x: x[:, 0], rows(100))
    assert found is not None
    assert found.undefined == int((rows(100)[:, 0] <= 0).sum())
    assert found.rows + found.undefined == 100


def test_a_block_that_is_nowhere_finite_is_no_measure() -> None:
    assert Agreement.of(lambda x: x[:, 0], lambda x: x[:, 0] / 0, rows(5)) is None


def test_the_linear_surrogate_is_least_squares_whatever_the_units() -> None:
    X = rows(200) * torch.tensor([1e9, 1e-9], dtype=torch.float64)
    y = 3e-9 * X[:, 0] - 2e9 * X[:, 1] + 5
    torch.testing.assert_close(linear_surrogate(X, y)(X), y)


def test_gradients_tell_a_wiggle_from_a_law() -> None:
    def block(x: Tensor) -> Tensor:
        return x[:, 0] * torch.exp(-x[:, 1])

    def wiggly(x: Tensor) -> Tensor:
        return block(x) + 0.01 * torch.sin(200 * x[:, 0])

    assert gradient_agreement(block, block, rows()) == pytest.approx(1.0)
    assert gradient_agreement(wiggly, block, rows()) < 0.5
    assert math.isnan(gradient_agreement(lambda x: block(x.detach()), block, rows()))


# -- terms and constants ----------------------------------------------------------------------


def test_summands_keep_their_signs() -> None:
    found = summands(Expression.parse("x - (y - 3*z) + -w").root)
    assert [(sign, str(Expression(node))) for sign, node in found] == [
        (1, "x"),
        (-1, "y"),
        (1, "3*z"),
        (-1, "w"),
    ]


def test_terms_that_cancel_have_shares_above_one() -> None:
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    terms = terms_of(Expression.parse("100*x - 99*x"), {"x": x})
    assert [round(term.share) for term in terms] == [100, 99]
    assert terms_of(Expression.parse("3.5"), {"x": x}) == ()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    expression = Expression.parse("2*x + 1")
    hits = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(100, generator=generator, dtype=torch.float64)
        y = 2 * x + 1 + 0.3 * torch.randn(100, generator=generator, dtype=torch.float64)
        table = torch.stack([x, torch.ones_like(x)], 1)
        slope, offset = torch.linalg.lstsq(table, y[:, None]).solution[:, 0].tolist()
        fitted = expression.with_constants([slope, offset])
        residual = fitted({"x": x}) - y
        first = intervals_of(fitted, {"x": x}, residual, x[:, None])[0]
        hits += first.low <= 2 <= first.high
    assert 175 <= hits <= 200


def test_constants_that_only_their_product_fixes_are_not_determined() -> None:
    x = rows()[:, 0]
    expression = Expression.parse("2.5*(3.1*x)")
    noise = 0.01 * torch.randn(len(x), generator=torch.Generator().manual_seed(0)).double()
    found = intervals_of(expression, {"x": x}, noise, rows())
    assert len(found) == 2
    assert not any(interval.determined for interval in found)


# -- the card ---------------------------------------------------------------------------------


def test_an_exact_law_has_a_clean_card(recording: Recording) -> None:
    card = card_of("x0*exp(-x1)", recording)
    assert card.warnings == ()
    assert set(card.places) == {"recorded", "held out", "inside the box", "widened box"}
    assert all(place.r2 == pytest.approx(1.0) for place in card.places.values())
    assert card.gradients == pytest.approx(1.0)
    assert all(poles is not None and poles.status == "none" for poles in card.poles.values())
    assert card.surrogates.linear > 0.1


def test_a_pole_in_the_box_is_named_with_its_row(recording: Recording) -> None:
    card = card_of("x0*exp(-x1) + 1e-9/(x0 - 0.25)", recording)
    found = card.poles["recorded box"]
    assert found is not None
    assert found.status == "found"
    assert found.row["x0"] == pytest.approx(0.25)
    assert "not finite in the recorded box, at x0 = 0.25" in card.warnings[0]


def test_what_breaks_down_just_outside_is_said(recording: Recording) -> None:
    card = card_of("x0*exp(-x1) + 0*sqrt(1.05 - x0)", recording)
    assert card.places["widened box"].undefined > 0
    assert any("outside of the recorded box" in warning for warning in card.warnings)
    inside, outside = card.poles["recorded box"], card.poles["widened box"]
    assert inside is not None
    assert outside is not None
    assert (inside.status, outside.status) == ("none", "found")


def test_a_line_that_is_as_good_is_named(recording: Recording) -> None:
    card = card_of("2*x0 - x1 + 1e-3*x0**3", recording, dim=1)
    assert any("a line" in warning for warning in card.warnings)


def test_a_wrong_region_is_named(recording: Recording) -> None:
    card = card_of("x0*exp(-x1) + 2*max(0, x0 - 0.8)", recording)
    assert any("wrong by more than 10% for x0 > " in warning for warning in card.warnings)


def test_a_poor_equation_is_called_poor(recording: Recording) -> None:
    assert "worse than a constant on rows held out" in card_of("9*x1", recording).warnings
    assert "explains less than half" in card_of("0.1*x0", recording).warnings[0]


def test_variables_of_the_users_own_are_written_out(recording: Recording) -> None:
    features = Features.plan(("a", "b"), transforms={"r": "a*exp(-b)"})
    card = fidelity(Expression.parse("r"), Law(), recording, features=features)
    assert card.places["held out"].r2 == pytest.approx(1.0)
    assert card.names == ("a", "b")


def test_variables_that_are_functions_prove_nothing(recording: Recording) -> None:
    features = Features.plan(("a", "b"), transforms={"r": lambda t: t[:, 0] * torch.exp(-t[:, 1])})
    card = fidelity(Expression.parse("1/r"), Law(), recording, features=features)
    assert card.poles == {"recorded box": None, "widened box": None}
    assert "not known, a variable is a Python function" in str(card)


def test_a_block_that_cannot_be_asked_leaves_its_rows(recording: Recording) -> None:
    class Refuses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("only on Mondays")

    card = fidelity(Expression.parse("x0*exp(-x1)"), Refuses(), recording)
    assert set(card.places) == {"recorded", "held out"}
    assert math.isnan(card.gradients)


def test_the_text_and_json_hold_everything(recording: Recording) -> None:
    card = card_of("x0*exp(-x1) + 0.5", recording, loss=Loss(0.1, 0.2), stability=0.75)
    text = str(card)
    for part in ("held out", "widened box", "75%", "0.2 with the equation", "proved none"):
        assert part in text
    data = json.loads(card.to_json())
    assert data["places"]["held out"]["rows"] == card.places["held out"].rows
    assert "held_out_r2" in card.row()


def test_names_are_escaped_in_notebooks(recording: Recording) -> None:
    named = replace(recording, block_name="<script>alert(1)</script>")
    html = card_of("x0", named)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_the_same_seed_gives_the_same_card_and_moves_no_generator(recording: Recording) -> None:
    before = torch.random.get_rng_state()
    one, other = card_of("x0", recording), card_of("x0", recording)
    assert str(one) == str(other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("text", "dim", "message"),
    [
        ("x0", 7, "block '0' has outputs 0-1; asked for output 7"),
        ("y", 0, r"uses \['y'\], which block '0' does not have"),
    ],
)
def test_questions_without_an_answer(
    recording: Recording, text: str, dim: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        card_of(text, recording, dim=dim)
