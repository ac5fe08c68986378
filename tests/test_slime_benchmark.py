"""benchmarks/slime_vs_lime.py in its smallest size: one model, two points, all rivals."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from support.figures import Figures


def test_all_rivals_at_two_points(tmp_path, monkeypatch):
    pytest.importorskip("lime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import local_models
        import local_rivals
        import slime_vs_lime

        assert len(local_models.SOURCES) >= 8
        small = GradientBoostingClassifier(n_estimators=20, random_state=0)
        monkeypatch.setattr(slime_vs_lime, "models", lambda is_classes: {"boosting": small})
        partial = tmp_path / "partial.jsonl"
        done = slime_vs_lime.pairs(["iris"], 2, partial)
        # What was measured is not measured again.
        monkeypatch.setattr(slime_vs_lime, "explained", None)
        assert slime_vs_lime.pairs(["iris"], 2, partial) == done
    by_pair, overall = slime_vs_lime.tables(done)
    assert {row["method"] for row in overall} == set(local_rivals.METHODS)
    assert by_pair[0]["data"] == "iris"
    point = done[0]["points"][0]
    assert point["SLIME"]["error at x"] == pytest.approx(0, abs=1e-9)
    assert point["quadratic"]["terms"] <= 14
    assert point["tree"]["terms"] <= 8
    assert all(0 <= measures["agreement"] <= 1 for measures in point.values())
    figures = Figures()
    slime_vs_lime.check(figures, done)
    assert len(figures.checks) == 5
    assert "| iris | boosting |" in slime_vs_lime.markdown(by_pair)


def test_points_at_which_nothing_varies_are_left_out():
    pytest.importorskip("lime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from local_rivals import Case
        from slime_vs_lime import explained

    data = np.random.default_rng(0).normal(size=(60, 2))

    def far_step(rows):
        return (rows[:, 0] > 2.0).astype(float)

    found = explained(Case(far_step, far_step, np.array([-1.0, 0.0]), data, None), 0)
    assert all(np.isnan(measures["weighted R2"]) for measures in found.values())
