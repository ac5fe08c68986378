"""Options that people bring with them, in the spellings they are used to."""

import warnings

import numpy as np
import pytest
import torch

from symtorch import InputError, SymbolicModel, UnsupportedTypeError
from symtorch.search import Problem, SearchOptions, search
from symtorch.search.foreign import PYSR_ONLY
from symtorch.search.spellings import jobs_of, seed_of

QUICK = {"niterations": 1, "timeout_in_seconds": 60}
X = torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def law() -> SymbolicModel:
    return SymbolicModel(lambda x: x[:, :1] * 2, "law")


def test_what_has_no_effect_is_named_in_one_warning():
    brought = {"verbosity": 0, "procs": 4, "elementwise_loss": "L2DistLoss()", "turbo": True}
    with pytest.warns(UserWarning, match="verbosity, procs, elementwise_loss, turbo") as caught:
        law().distill(X, sr_params={**QUICK, **brought, "parsimony": 0.0})
    assert len(caught) == 1
    assert "n_jobs" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_parsimony_is_pysrs_alone():
    with pytest.warns(UserWarning, match="engine 'sparse' ignores 'parsimony'") as caught:
        law().distill(X, engine="sparse", sr_params={**QUICK, "parsimony": 0.01})
    assert len(caught) == 1


def test_unknown_names_still_get_a_suggestion():
    with pytest.raises(InputError, match="'verbosty'"):
        SearchOptions.from_params({"verbosty": 0})
    assert not PYSR_ONLY & set(vars(SearchOptions()))


def test_weights_of_operators_that_are_not_in_use():
    with pytest.warns(UserWarning, match=r"constraints\['tan'\].* uses .*, sin") as caught:
        options = SearchOptions(
            unary_operators=["sin"], constraints={"tan": 3, "sin": 4}, nested_constraints={}
        )
    assert len(caught) == 1
    assert options.constraints == {"sin": 4}
    with pytest.raises(InputError, match="unknown operator 'sine'"):
        SearchOptions(constraints={"sine": 3})


def test_one_name_and_lists_are_tuples():
    options = SearchOptions(unary_operators="sin", binary_operators=["+"])
    assert (options.unary_operators, options.binary_operators) == (("sin",), ("+",))
    assert SearchOptions(complexity_of_variables=[1, 2]).complexity_of_variables == (1, 2)
    with pytest.raises(UnsupportedTypeError, match="unary_operators must be a list of names"):
        SearchOptions(unary_operators=3)


@pytest.mark.parametrize("seed", [None, -1, 2**64, 2**70 + 3, np.int64(4)])
def test_any_whole_number_is_a_seed(seed):
    problem = Problem.split(X, 2 * X[:, 0])
    options = SearchOptions(**QUICK)
    assert search(problem, options, random_state=seed) == search(
        problem, options, random_state=seed
    )
    law().distill(X, sr_params={**QUICK, "random_state": seed})


def test_what_is_no_seed():
    with pytest.raises(UnsupportedTypeError, match="random_state must be a whole number"):
        seed_of(np.random.default_rng(0))


@pytest.mark.parametrize("jobs", [0, 1.5, True])
def test_no_jobs_at_all_are_refused_before_anything_runs(jobs):
    block = law()
    with pytest.raises(InputError, match="n_jobs must be a whole number"):
        block.distill(X, n_jobs=jobs)
    assert (jobs_of(None), jobs_of(-1)) == (1, -1)


def test_the_usual_call_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law().distill(X, sr_params=QUICK)
