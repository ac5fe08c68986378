"""The spellings of SymTorch's first release, translated into those of this one; all of them here.

`accepts_published` hands calls that use an old word on in the new ones. Old attributes are found
by `published_attribute`, after the block's own, so that they shadow nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ..errors import InputError, StateError, did_you_mean

if TYPE_CHECKING:
    from .model import SymbolicModel
    from .stateful import StatefulWrapper

P = ParamSpec("P")
R = TypeVar("R")

_LOCALITY = {
    "J_nn": "n_neighbors",
    "num_synthetic": "n_synthetic",
    "real_weighting": "real_weight",
    "nn_metric": "metric",
    "var": "variance",
}

_WITHOUT_EFFECT = ("validation_fraction", "n_jobs", "progress")
"""Of `distill`, on equations around a row: half of the synthetic rows choose, by one search."""

_GONE = {
    "distill_data": "data are not kept: distill records the block anew on every call; "
    "block.record(...) gives a Recording to hand over several times",
    "distill_data_slime": "data are not kept: explain records the block anew on every call",
    "current_dim": "len(block.get_active_dimensions()) says how many outputs are active",
}


def accepts_published(
    method: Callable[Concatenate[SymbolicModel, P], R],
) -> Callable[Concatenate[SymbolicModel, P], R]:
    """A method of `SymbolicModel` that takes the old words beside its own."""

    @functools.wraps(method)
    def accepting(self: SymbolicModel, *args: Any, **kwargs: Any) -> Any:
        around_a_row = kwargs.pop("SLIME", False)
        # The old second argument of switching was SLIME, which would pass for output 1.
        if method.__name__ == "switch_to_symbolic" and len(args) > 1 and isinstance(args[1], bool):
            around_a_row, args = args[1], args[:1]
        if method.__name__ == "distill":
            kwargs = _distill_words(kwargs, around_a_row)
            if around_a_row:
                return _explain(self, *args, **kwargs)
        if "dim" in kwargs and method.__name__ in ("show_symbolic_expression", "equations_table"):
            kwargs["dims"] = kwargs.pop("dim")
        if not around_a_row:
            return method(self, *args, **kwargs)
        if method.__name__ == "show_symbolic_expression":
            table = self.explained.equations_table(*args, **kwargs)
            print(table)
            return table
        return getattr(self.explained, method.__name__)(*args, **kwargs)

    return accepting  # type: ignore[return-value]


def _distill_words(kwargs: dict[str, Any], around_a_row: bool) -> dict[str, Any]:
    given = dict(kwargs)
    if "output_dim" in given:
        given["dims"] = given.pop("output_dim")
    for name, value in dict(given.pop("fit_params", None) or {}).items():
        if name not in ("variable_names", "weights"):
            raise InputError(f"fit_params takes variable_names and weights; got ['{name}']")
        if given.get(name) is None:
            given[name] = value
    if not around_a_row and given.pop("slime_params", None) is not None:
        raise InputError("slime_params are for explain, or distill(..., SLIME=True)")
    return given


def _explain(model: SymbolicModel, inputs: Any, *args: Any, **given: Any) -> Any:
    """``distill(..., SLIME=True)``."""
    if given.pop("reduce", None) is not None:
        raise StateError(
            f"block '{model.block_name}': SLIME explains the block's own columns, not reduced ones"
        )
    engine = given.pop("engine", "auto")
    if engine not in ("auto", "local"):
        raise InputError(f"local equations are searched by the engine 'local'; got '{engine}'")
    if given.pop("weights", None) is not None:
        raise InputError("local equations weight rows by their nearness to x; leave weights out")
    for name in _WITHOUT_EFFECT:
        given.pop(name, None)
    params: Mapping[str, Any] = given.pop("slime_params", None) or {}
    known = ["x", *_LOCALITY]
    for name, value in params.items():
        if name not in known:
            raise InputError(f"unknown slime parameter '{name}'{did_you_mean(name, known)}")
        if name != "x" and value is not None:  # None stood for the default
            given[_LOCALITY[name]] = value
    return model.explain(params.get("x"), inputs, *args, **given)


def published_attribute(model: StatefulWrapper, name: str) -> Any:
    """An attribute of the old wrapper, by its name.

    Raises:
        AttributeError: there was no such attribute, or it has no use any more; the message
            says what replaced it.
    """
    state = model.symbolic_state
    pruning = state.pruning
    if name == "symtorch_block":
        return model.block
    if name == "pysr_regressor":
        return state.trained("distilled").fronts
    if name == "SLIME_pysr_regressor":
        return state.trained("explained").fronts
    if name == "output_dims" and state.results["distilled"].layout is not None:
        return state.results["distilled"].layout.output.width
    if pruning is not None:
        if name == "pruning_mask":
            return pruning.active
        if name == "pruning_schedule":
            return pruning.schedule
        if name in ("initial_dim", "target_dim"):
            return getattr(pruning.schedule, name)
    if name in _GONE:
        raise AttributeError(f"block '{model.block_name}' has no '{name}': {_GONE[name]}")
    raise AttributeError(f"'{type(model).__name__}' object has no attribute '{name}'")
