"""The spellings of SymTorch's first release: they work, or say what replaced them."""

import pytest
import torch
from helpers import QUICK, Law, law, randn
from torch import nn

from symtorch import InputError, StateError, SymbolicModel

X = randn(300, 2)
PARAMS = {"sr_params": QUICK}
NEAR = {"niterations": 3}


@pytest.fixture
def block():
    return SymbolicModel(Law(), "law")


def test_a_positional_output(block):
    assert list(block.distill(X, 1, **PARAMS)) == [1]
    assert list(block.distill(X, None, **PARAMS)) == [0, 1]


def test_a_positional_parent(block):
    net = nn.Sequential(nn.Identity(), block)
    assert list(block.distill(X, 0, net, **PARAMS)) == [0]


@pytest.mark.parametrize("words", [{"output_dim": 1}, {"dims": 1}, {"output_dim": [1]}])
def test_words_for_outputs(block, words):
    assert list(block.distill(X, **words, **PARAMS)) == [1]


def test_tables(block, capsys):
    block.distill(X, **PARAMS)
    sizes = [front.complexities for front in block.fronts.values()]
    table = block.equations_table(1, sizes[1][0])
    assert not capsys.readouterr().out
    assert str(block.show_symbolic_expression(dim=1, complexity=[sizes[1][0]])) == str(table)
    assert capsys.readouterr().out == f"{table}\n"
    both = block.equations_table(dim=[1, 0], complexity=[sizes[1][0], sizes[0][0]])
    assert str(both).startswith(str(table))
    with pytest.raises(InputError, match=r"complexity 99; there are .*; the nearest is"):
        block.show_symbolic_expression(dim=1, complexity=[99])
    with pytest.raises(InputError, match=r"2 complexities \[1, 2\] for 1 outputs \[0\]"):
        block.show_symbolic_expression(dim=0, complexity=[1, 2])


def test_attributes_of_the_old_wrapper(block):
    assert block.symtorch_block is block.block
    assert block.pysr_regressor == block.SLIME_pysr_regressor == {}
    assert not hasattr(block, "output_dims")
    assert not hasattr(block, "pruning_mask")
    block.distill(X, **PARAMS)
    assert block.output_dims == 2
    assert block.pysr_regressor[0].get_best()["equation"] == block.front(0).get_best().equation
    block.clear_cache()
    assert block.pysr_regressor == block.fronts != {}
    block.setup_pruning(2, 1, total_steps=4)
    block.prune(4, X)
    assert block.pruning_mask.sum() == 1
    assert torch.where(block.pruning_mask)[0].tolist() == block.get_active_dimensions()
    assert (block.initial_dim, block.target_dim) == (2, 1)
    assert block.pruning_schedule.dimensions_at(4) == 1


def test_what_is_gone_says_what_replaced_it(block):
    with pytest.raises(AttributeError, match=r"'law' has no 'distill_data': .*block\.record"):
        _ = block.distill_data
    assert not hasattr(block, "distill_data_slime")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = block.nothing


def test_the_blocks_own_attributes_come_first(block):
    block.block.pruning_mask = "the block's"
    block.setup_pruning(2, 1, total_steps=4)
    assert block.pruning_mask == "the block's"


# ---------------------------------------------------------------- SLIME


@pytest.fixture
def explained(block):
    block.distill(X, SLIME=True, slime_params={"x": X[0], "num_synthetic": 60}, sr_params=NEAR)
    return block


def test_slime_is_explain(explained):
    other = SymbolicModel(Law(), "law")
    found = other.explain(X[0], X, n_synthetic=60, sr_params=NEAR)
    assert found == explained.local_fronts == explained.explained.fronts
    assert explained.fronts == {}


def test_the_second_argument_of_switching_was_slime(explained):
    explained.switch_to_symbolic(None, True)
    assert explained.symbolic_state.switch.kind == "explained"
    with explained.symbolic(SLIME=True) as inside:
        assert inside is explained
    with pytest.raises(StateError, match="distilled so far"):
        explained.switch_to_symbolic(None, False)


def test_both_sets_stand_side_by_side(explained):
    explained.distill(X, **PARAMS)
    assert explained.distilled.fronts == explained.fronts
    for found in (explained.distilled, explained.explained):
        found.switch_to_symbolic(trainable_constants=True)
        assert found.in_force
        assert "switched in" in str(found.equations_table())
        torch.testing.assert_close(explained(X), law(X), rtol=0.1, atol=0.1)
        assert found.kind in repr(found)
    assert not explained.distilled.in_force
    assert "switched in" not in str(explained.equations_table())


def test_explaining_a_switched_block(explained):
    explained.distill(X, **PARAMS)
    explained.switch_to_symbolic()
    explained.explain(X[1], X, n_synthetic=60, sr_params=NEAR)
    assert explained.symbolic_state.switch.kind == "distilled"
    explained.explained.switch_to_symbolic()
    before = explained.symbolic_state.switch
    explained.explain(X[2], X, n_synthetic=60, sr_params=NEAR)
    assert explained.symbolic_state.switch is not before
    assert explained.symbolic_state.switch.kind == "explained"


def test_a_nested_context_goes_back_to_the_other_kind(explained):
    explained.distill(X, **PARAMS)
    explained.explained.switch_to_symbolic()
    with explained.symbolic():
        assert explained.distilled.in_force
    assert explained.explained.in_force


def test_explained_fronts_have_files_too(block, tmp_path):
    block.explain(X[0], X, 0, n_synthetic=60, save_path=tmp_path, sr_params=NEAR)
    assert [file.name for file in tmp_path.iterdir()] == ["law.0.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fit_params": {"colour": 1}}, r"fit_params takes .*; got \['colour'\]"),
        ({"slime_params": {"x": X[0]}}, "slime_params are for explain"),
    ],
)
def test_words_that_cannot_be(block, arguments, message):
    with pytest.raises(InputError, match=message):
        block.distill(X, **arguments)
