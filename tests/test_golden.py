"""One file of each format, as it was written once: it is read for as long as the version stands.

After a change of a format that gives it another version: ``python tests/test_golden.py`` from the
repository's root writes them anew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import QUICK, Law, randn
from torch import nn

from symtorch import Explanation, Front, Recording, Reduction, explain, load_hybrid, record
from symtorch import SymbolicModel as Block

GOLDEN = Path(__file__).parent / "golden"
X = randn(300, 2)
WIDE = randn(200, 5)


def wide():
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh())


def state(name):
    return torch.load(GOLDEN / name, weights_only=True)


def test_a_block():
    block = load_hybrid(Law(gain=0.0), state("block.pt"))
    assert block.block_name == "law"
    assert float(block.block.gain) == 2.0
    assert block.fronts[0].variables == ("mass", "speed")
    assert block.fronts[1].variables == ("s", "d")
    assert block.local_fronts.keys() == {0}
    assert block.get_active_dimensions() == [0, 1]
    assert block.is_symbolic
    torch.testing.assert_close(block(X), Law()(X), rtol=1e-2, atol=1e-2)


def test_a_reduced_block():
    block = load_hybrid(wide(), state("reduced.pt"))
    assert block.fronts[0].variables == ("z0", "z1")
    assert block.symbolic_state.reduction.shape.rank == 1
    assert block(WIDE).shape == (200, 4)
    assert float((block(WIDE) - block.block(WIDE)).square().mean()) < 0.1


def test_a_front():
    front = Front.from_json((GOLDEN / "front.json").read_text())
    s, d = X[:, 0] + X[:, 1], X[:, 0] - X[:, 1]
    torch.testing.assert_close(
        front.predict(torch.stack([s, d], 1)), X[:, 0] * X[:, 1], rtol=1e-2, atol=1e-2
    )


def test_a_recording():
    recording = Recording.load(GOLDEN / "recording.pt")
    torch.testing.assert_close(recording.outputs, Law()(recording.inputs))
    assert (len(recording), recording.rows_seen, recording.names) == (5, 300, ("x0", "x1"))


def test_an_explanation():
    found = Explanation.from_json((GOLDEN / "explanation.json").read_text())
    assert found.equation.pretty() in ("x0*x1", "x1*x0")
    assert found.fidelity.weighted_r2 == pytest.approx(1)


FILES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_no_document_holds_another_as_text(name):
    def texts(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value:
                yield from texts(item)
        elif isinstance(value, str):
            yield value

    if name.endswith(".json"):
        data = json.loads((GOLDEN / name).read_text())
    else:
        data = state(name)
        if "_extra_state" in data:
            data = json.loads(bytes(data["_extra_state"].tolist()))
    assert data["format"].startswith("symtorch.")
    assert isinstance(data["version"], int)
    found = list(texts(data))
    assert found
    assert not any("{" in text for text in found)


def write_anew():
    """All golden files, from short searches."""
    torch.manual_seed(0)
    block = Block(Law(), "law")
    block.distill(X, 0, variable_names=["mass", "speed"], sr_params=QUICK)
    block.distill(X, 1, variable_transforms={"s": "x0 + x1", "d": "x0 - x1"}, sr_params=QUICK)
    block.explain(X[0], X, 0, n_synthetic=40, sr_params={"niterations": 2})
    block.setup_pruning(2, 1, 10)
    block.switch_to_symbolic(trainable_constants=True)
    (GOLDEN / "front.json").write_text(block.front(1).to_json())
    torch.save(block.state_dict(), GOLDEN / "block.pt")
    reduced = Block(wide(), "wide")
    reduced.distill(WIDE, reduce=Reduction(2, 1, linear=1), sr_params=QUICK)
    reduced.switch_to_symbolic()
    torch.save(reduced.state_dict(), GOLDEN / "reduced.pt")
    record(nn.Sequential(Law()), "0", X, max_samples=5)["0"].save(GOLDEN / "recording.pt")
    data = np.random.default_rng(0).uniform(0, 2, (60, 2))
    found = explain(lambda rows: rows[:, 0] * rows[:, 1], data[0], data, n_synthetic=20)
    (GOLDEN / "explanation.json").write_text(found.to_json())


if __name__ == "__main__":
    write_anew()
