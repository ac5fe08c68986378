"""SymbolicModel: the wrapper people use. It keeps the state; others do the work."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .blocks import FunctionBlock
from .capture import Data, Recorder, Recording, run_recorders
from .distilling import ProgressArgument, as_list, chosen_outputs, distill_outputs
from .errors import InputError, StateError, SymTorchError, UnsupportedTypeError
from .expression import Expression
from .features import Features, Transform
from .front import Front
from .layout import FeatureDim, Layout, LayoutRequest, as_tensor, signature_of
from .oracle import oracle_for
from .search import SearchOptions
from .switch import Distilled, Switch

_FORMAT = "symtorch.block"
_VERSION = 1


class SymbolicModel(nn.Module):
    """A block of a model that can be distilled to equations and replaced by them.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1))
    >>> net[1] = SymbolicModel(net[1], block_name="head")
    >>> x = torch.randn(200, 2)                                      # [rows, features]
    >>> fronts = net[1].distill(x, parent_model=net, sr_params={"niterations": 2})
    >>> list(fronts)
    [0]
    >>> with net[1].symbolic():
    ...     net(x).shape
    torch.Size([200, 1])

    Wrapping is transparent: until `switch_to_symbolic` the block is called as before,
    with the same arguments.

    Args:
        block: any `nn.Module`, or any function on arrays or tensors (such as the
            ``predict`` of a scikit-learn model).
        block_name: what messages call it; its class or function name by default.
        inputs: names of its forward's parameters that are input columns; by default all
            that hold tensors of numbers.
        output: position or key of the table, for a block that returns a tuple or dict.
        feature_dim: axis of the features in inputs and output: the last by default; 1
            for channels first (``[B, C, H, W]``); None when every argument is one column
            and has no such axis.

    Raises:
        UnsupportedTypeError: ``block`` cannot be called.
    """

    def __init__(
        self,
        block: nn.Module | Callable[..., Any],
        block_name: str | None = None,
        *,
        inputs: Sequence[str] | None = None,
        output: int | str | None = None,
        feature_dim: FeatureDim = "auto",
    ) -> None:
        super().__init__()
        if not callable(block):
            hint = "; pass its predict method" if hasattr(block, "predict") else ""
            raise UnsupportedTypeError(
                f"a block must be an nn.Module or a function; got {type(block).__name__}{hint}"
            )
        name = getattr(block, "__name__", None) or type(block).__name__
        self.block_name = block_name or name
        # Registered by hand because `block` is a property: for a function it gives the
        # function back, not the module it is dressed in.
        self._modules["block"] = block if isinstance(block, nn.Module) else FunctionBlock(block)
        self.request = LayoutRequest(
            tuple(inputs) if inputs is not None else None, output, feature_dim
        )
        self._distilled: dict[int, Distilled] = {}
        self._layout: Layout | None = None
        self._signature = signature_of(block)
        self.switch: Switch | None = None
        self.training = self._module.training

    @property
    def block(self) -> Any:
        """The original, as it was handed in."""
        module = self._module
        return module.function if isinstance(module, FunctionBlock) else module

    @property
    def _module(self) -> nn.Module:
        module = self._modules["block"]
        assert module is not None
        return module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the block, or its equations when switched."""
        if self.switch is None:
            return self._module(*args, **kwargs)
        return self.switch(self._module, self._signature, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Whatever the wrapper has not comes from the block: ``weight``, ``in_features``."""
        # Models read such attributes of their parts; wrapping must not break them.
        block = self.__dict__.get("_modules", {}).get("block")
        try:
            return super().__getattr__(name)
        except AttributeError:
            if block is None or isinstance(block, FunctionBlock) or name.startswith("_"):
                raise
            return getattr(block, name)

    def __getstate__(self) -> dict[str, Any]:
        # A signature can hold annotations that do not pickle, and is soon made again.
        return {**self.__dict__, "_signature": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._signature = signature_of(self.block)

    # ---------------------------------------------------------------- distilling

    def record(
        self,
        inputs: Data,
        *,
        parent_model: nn.Module | Callable[..., Any] | None = None,
        max_samples: int | None = 10_000,
        input_of: Callable[[Any], Any] | None = None,
        random_state: int = 0,
    ) -> Recording:
        """Record what the block does; arguments as for `distill`."""
        recorder = Recorder(self._module, self.block_name, self.request, max_samples, random_state)
        model = self._module if parent_model is None else parent_model
        with self._as_block():
            run_recorders(model, [recorder], inputs, input_of, random_state)
        return recorder.recording()

    def distill(
        self,
        inputs: Data | Recording,
        *,
        parent_model: nn.Module | Callable[..., Any] | None = None,
        output_dim: int | Sequence[int] | None = None,
        variable_names: Sequence[str] | None = None,
        variable_transforms: Mapping[str, Transform] | Sequence[Transform] | None = None,
        weights: Any = None,
        engine: str = "auto",
        sr_params: Mapping[str, Any] | SearchOptions | None = None,
        fit_params: Mapping[str, Any] | None = None,
        max_samples: int | None = 10_000,
        validation_fraction: float = 0.25,
        input_of: Callable[[Any], Any] | None = None,
        random_state: int = 0,
        n_jobs: int = 1,
        progress: ProgressArgument = None,
        save_path: str | os.PathLike[str] | None = None,
    ) -> dict[int, Front]:
        """Find equations for what the block does.

        Records the block afresh on every call, unless handed a `Recording`. Outputs that
        were distilled before and are not asked for now keep their fronts.

        Args:
            inputs: what to run the model on: a tensor or array; a tuple of positional or
                a dict of keyword inputs; an iterable of such batches (a DataLoader); or
                a `Recording`.
            parent_model: the model that the block is a part of and that takes
                ``inputs``; None when the block takes them itself. A module runs in eval
                mode; of a plain function only the block does.
            output_dim: output number, a list of them, or None for all.
            variable_names: names for the input columns (or for a list of transforms).
            variable_transforms: variables in place of the columns, by name:
                ``{"r": "sqrt(dx**2 + dy**2)"}`` or functions [rows, columns] -> [rows].
            weights: [rows], one per row that passes the block, not negative.
            engine: ``"auto"``, or the name of a search engine.
            sr_params: options of the search, in PySR's names (see `SearchOptions`).
            fit_params: ``{"variable_names": ..., "weights": ...}``, the old spelling.
            max_samples: rows to keep, uniformly sampled; None for all.
            validation_fraction: share of rows held out, to judge by.
            input_of: takes a batch to the model's input, ``lambda batch: batch[0]``.
            random_state: seed of the sample and the search.
            n_jobs: outputs searched side by side; results do not depend on it.
            progress: True for a bar on stderr, or a callback taking a `Progress`; silent
                with ``n_jobs`` above 1.
            save_path: folder for one JSON file an output, ``<block>.<output>.json``.

        Returns:
            A front for each output asked for.

        Raises:
            InputError: data, names or options that cannot be used; nothing is changed.
            StateError: the block was not called by ``parent_model``.
        """
        variable_names, weights, random_state, options = _old_spellings(
            fit_params, sr_params, variable_names, weights, random_state
        )
        if isinstance(inputs, Recording):
            recording = inputs
        else:
            recording = self.record(
                inputs,
                parent_model=parent_model,
                max_samples=max_samples,
                input_of=input_of,
                random_state=random_state,
            )
        dims = chosen_outputs(output_dim, recording.layout.output.width, self.block_name)
        self._check_layout(recording.layout, dims)
        features = Features.plan(recording.names, variable_names, variable_transforms)
        paths = _front_paths(save_path, self.block_name, dims)
        fronts = distill_outputs(
            recording,
            dims,
            features,
            weights=weights,
            engine=engine,
            options=options,
            oracle_of=lambda dim: oracle_for(self._module, recording, dim),
            validation_fraction=validation_fraction,
            random_state=random_state,
            n_jobs=n_jobs,
            progress=progress,
        )
        self._adopt(recording.layout, {d: Distilled(f, features) for d, f in fronts.items()})
        for dim, path in paths.items():
            path.write_text(fronts[dim].to_json())
        return fronts

    def _check_layout(self, layout: Layout, dims: Sequence[int]) -> None:
        others = set(self._distilled) - set(dims)
        if others and self._layout is not None and layout != self._layout:
            raise InputError(
                f"block '{self.block_name}' is called in another way than when its outputs "
                f"{sorted(others)} were distilled ({layout.inputs.names} now, "
                f"{self._layout.inputs.names} then); clear_fronts() drops the old ones"
            )

    def _adopt(self, layout: Layout, found: Mapping[int, Distilled]) -> None:
        """Take over new fronts; a switched block goes on with the best of them."""
        switch = self.switch
        self._commit()
        # Out of force while the new fronts come in, or its equations would be laid over them.
        self.switch = None
        self._layout = layout
        self._distilled.update(found)
        if switch is not None:
            kept = {d: c for d, c in switch.chosen.items() if d not in found}
            fresh = {d: found[d].front.get_best().complexity for d in switch.chosen if d in found}
            self.switch = self._make_switch(
                kept | fresh, switch.trainable_constants, compile=switch.compiled
            )

    def clear_fronts(self) -> None:
        """Forget everything that was distilled, and call the block again."""
        self.switch = None
        self._distilled = {}
        self._layout = None

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each distilled output, trained constants included."""
        fronts = {dim: found.front for dim, found in sorted(self._distilled.items())}
        if self.switch is not None:
            for dim, expression in self.switch.expressions.items():
                # Constants that training drove to nan stay in the parameter: an equation
                # with such numbers could be neither read nor saved.
                if all(map(math.isfinite, expression.constants)):
                    fronts[dim] = fronts[dim].with_expression(self.switch.chosen[dim], expression)
        return fronts

    def _commit(self) -> None:
        """Make trained constants part of the stored fronts."""
        self._distilled = {
            dim: Distilled(front, self._distilled[dim].features)
            for dim, front in self.fronts.items()
        }

    # ---------------------------------------------------------------- looking

    def front(self, dim: int) -> Front:
        """The front of one output.

        Raises:
            StateError: it has not been distilled.
        """
        fronts = self.fronts
        if dim not in fronts:
            outputs = f" has outputs 0-{self._layout.output.width - 1};" if self._layout else ":"
            raise StateError(
                f"block '{self.block_name}'{outputs} asked for output {dim}; distilled so "
                f"far: {sorted(fronts)}; call distill(...) first"
            )
        return fronts[dim]

    def show_symbolic_expression(
        self, dim: int | None = None, complexity: int | None = None
    ) -> EquationTable:
        """Print the equations as a table, ``>`` before the one `get_best` chooses.

        Args:
            dim: one output; None for all.
            complexity: only the equation of this complexity.

        Returns:
            The table; ``str()`` of it is the printed text.
        """
        dims = sorted(self._distilled) if dim is None else [dim]
        if not dims:
            self.front(0)  # raises what is to be done
        parts = []
        for number in dims:
            state = ""
            if self.switch is not None and number in self.switch.chosen:
                state = f" (switched in: complexity {self.switch.chosen[number]})"
            heading = f"{self.block_name}, output {number}{state}"
            parts.append(f"{heading}\n{self.front(number).table(complexity=complexity)}")
        table = EquationTable("\n\n".join(parts))
        print(table)
        return table

    def get_symbolic_function(
        self, dim: int = 0, complexity: int | None = None
    ) -> SymbolicFunction:
        """An equation as a function of the block's input columns.

        Args:
            dim: output.
            complexity: which equation; None for `get_best`.

        Returns:
            A function [rows, columns] -> [rows], on tensors or arrays.
        """
        row = self.front(dim).select(complexity)
        return SymbolicFunction(row.expression, self._distilled[dim].features)

    # ---------------------------------------------------------------- switching

    def switch_to_symbolic(
        self,
        complexity: int | Sequence[int] | Mapping[int, int] | None = None,
        dims: int | Sequence[int] | None = None,
        *,
        trainable_constants: bool = False,
        compile: bool = False,
    ) -> None:
        """Compute outputs from equations from now on.

        Args:
            complexity: of the equations: one for all outputs, a list in the order of
                ``dims``, or by output; None chooses by `Front.get_best`.
            dims: outputs to switch; all distilled ones by default. The others keep
                coming from the block.
            trainable_constants: whether the equations' constants are an `nn.Parameter`.
            compile: whether the equations, and nothing else, run through `torch.compile`,
                which then works at the next call, some seconds, until `switch_to_block`.

        Raises:
            StateError: an output was not distilled. InputError: no equation of that
                complexity. Either way nothing changes.
        """
        chosen = self._choose(complexity, dims)
        switch = self._make_switch(chosen, trainable_constants, compile=compile)
        self._commit()
        self.switch = switch

    def _choose(
        self,
        complexity: int | Sequence[int] | Mapping[int, int] | None,
        dims: int | Sequence[int] | None,
    ) -> dict[int, int]:
        if dims is None and isinstance(complexity, Mapping):
            dims = list(complexity)
        if dims is None:
            dims = sorted(self._distilled) or [0]
        dims = as_list(dims)
        if not dims:
            raise InputError(f"block '{self.block_name}': dims is empty; None switches all")
        wanted: Mapping[int, int | None]
        if isinstance(complexity, Mapping):
            unknown = sorted(set(complexity) - set(dims))
            if unknown:
                raise InputError(f"complexity given for outputs {unknown}, not among dims {dims}")
            wanted = {dim: complexity.get(dim) for dim in dims}
        elif complexity is None or isinstance(complexity, int | np.integer):
            wanted = dict.fromkeys(dims, complexity)
        elif len(complexity) == len(dims):
            wanted = dict(zip(dims, complexity, strict=True))
        else:
            raise InputError(
                f"{len(complexity)} complexities {[*complexity]} for {len(dims)} outputs {dims}"
            )
        chosen = {}
        for dim, value in wanted.items():
            try:
                chosen[dim] = self.front(dim).select(value).complexity
            except InputError as error:
                raise InputError(f"block '{self.block_name}', output {dim}: {error}") from None
        return chosen

    def _make_switch(
        self, chosen: Mapping[int, int], trainable_constants: bool, *, compile: bool = False
    ) -> Switch:
        assert self._layout is not None
        fronts = self.fronts
        like = next((p for p in self._module.parameters() if p.is_floating_point()), None)
        switch = Switch(
            {dim: Distilled(fronts[dim], self._distilled[dim].features) for dim in chosen},
            chosen,
            self._layout,
            self.block_name,
            trainable_constants=trainable_constants,
            device=None if like is None else like.device,
            # Half precision is for activations; a constant trained in it would not move.
            dtype=like.dtype if like is not None and like.dtype.itemsize >= 4 else None,
            compile=compile,
        )
        return switch.train(self.training)

    def switch_to_block(self) -> None:
        """Call the block again; trained constants stay in the fronts."""
        self._commit()
        self.switch = None

    @contextmanager
    def symbolic(
        self,
        complexity: int | Sequence[int] | Mapping[int, int] | None = None,
        dims: int | Sequence[int] | None = None,
    ) -> Iterator[SymbolicModel]:
        """Switched inside, as before after, also when something raises.

        Only when equations that were in force before are gone after, because the block
        was distilled again inside, does it go back to the block.
        """
        before = self.switch
        self.switch_to_symbolic(complexity, dims)
        try:
            yield self
        finally:
            self._commit()
            # What was distilled inside may have replaced the equations of before.
            kept = before is None or all(
                dim in self._distilled and value in self._distilled[dim].front.complexities
                for dim, value in before.chosen.items()
            )
            self.switch = before if kept else None

    @contextmanager
    def _as_block(self) -> Iterator[None]:
        before, self.switch = self.switch, None
        try:
            yield
        finally:
            self.switch = before

    @property
    def is_symbolic(self) -> bool:
        """Whether equations are in force."""
        return self.switch is not None

    def set_variable_transforms(self, transforms: Mapping[str, Transform]) -> None:
        """Hand over transforms that are Python functions again, after loading.

        Raises:
            InputError: no distilled output has a transform of that name.
        """
        known = {name for found in self._distilled.values() for name in found.features.names}
        for name in transforms:
            if name not in known:
                raise InputError(
                    f"block '{self.block_name}' has no variable '{name}'; it has {sorted(known)}"
                )
        switch = self.switch
        self._commit()
        self._distilled = {
            dim: Distilled(found.front, found.features.with_functions(transforms))
            for dim, found in self._distilled.items()
        }
        if switch is not None:
            self.switch = self._make_switch(
                switch.chosen, switch.trainable_constants, compile=switch.compiled
            )

    # ---------------------------------------------------------------- saving

    def get_extra_state(self) -> torch.Tensor:
        """Fronts, chosen equations and mode, as JSON in a uint8 tensor.

        Constants in training are not in it: they are a parameter beside it.

        Tensors of bytes are what every reader of state dicts copes with, and what
        ``torch.load(weights_only=True)`` lets through.
        """
        for dim, found in self._distilled.items():
            if found.features.unsaved:
                warnings.warn(
                    f"block '{self.block_name}', output {dim}: variable transforms "
                    f"{found.features.unsaved} are Python functions and are not saved; after "
                    f"loading hand them over with set_variable_transforms, or write them as "
                    f"text, {{'r': 'sqrt(dx**2 + dy**2)'}}",
                    stacklevel=2,
                )
        switch = self.switch
        state = {
            "format": _FORMAT,
            "version": _VERSION,
            "layout": self._layout and self._layout.to_json(),
            "outputs": {
                str(dim): {"front": found.front.to_json(), "features": found.features.to_json()}
                for dim, found in self._distilled.items()
            },
            "chosen": switch and {str(dim): value for dim, value in switch.chosen.items()},
            "trainable_constants": switch is not None and switch.trainable_constants,
        }
        return torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Read what `get_extra_state` wrote; nothing in it is executed.

        Raises:
            InputError: not such a state; the block is left as it was.
        """
        data = _read_state(state, self.block_name)
        layout = Layout.from_json(data["layout"]) if data["layout"] is not None else None
        distilled = _read_outputs(data["outputs"], layout)
        chosen = None
        if data["chosen"] is not None:
            chosen = {int(dim): value for dim, value in data["chosen"].items()}
            for dim, complexity in chosen.items():
                if dim not in distilled:
                    raise InputError(f"output {dim} is switched but has no equations")
                distilled[dim].front.select(complexity)
        self._layout, self._distilled, self.switch = layout, distilled, None
        if chosen:
            # Built now, because torch loads children (the trained constants) next.
            self.switch = self._make_switch(chosen, data["trainable_constants"])

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        try:
            super()._load_from_state_dict(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        except SymTorchError as error:
            # Collected, as torch does: its final error lists all that is wrong at once.
            error_msgs.append(f"block '{self.block_name}': {error}")

    def extra_repr(self) -> str:
        """Name and mode."""
        mode = f"symbolic {self.switch.chosen}" if self.switch is not None else "block"
        return f"'{self.block_name}', {mode}, distilled outputs {sorted(self._distilled)}"


class SymbolicFunction:
    """An equation as a function of a block's columns: [rows, columns] -> [rows].

    Args:
        expression: over the variables of ``features``.
        features: the variables as functions of the columns.
    """

    def __init__(self, expression: Expression, features: Features) -> None:
        self.expression = expression
        self.features = features

    def __call__(self, table: Any) -> Any:
        """Evaluate on a tensor or an array [rows, columns]; the same kind comes back."""
        columns = as_tensor(table)
        if columns.ndim != 2 or columns.shape[1] != len(self.features.columns):
            raise InputError(
                f"need [rows, {len(self.features.columns)}] with columns "
                f"{[*self.features.columns]}; got {[*columns.shape]}"
            )
        variables = self.features(columns).unbind(-1)
        result = self.expression(dict(zip(self.features.names, variables, strict=True)))
        return result if isinstance(table, torch.Tensor) else result.numpy()

    def __repr__(self) -> str:
        return f"SymbolicFunction({self.expression.pretty()!r})"


class EquationTable:
    """A table of equations; ``str()`` is the text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        # Short: at a prompt the table has just been printed.
        return f"<table of {self.text.count(chr(10))} lines>"


def _old_spellings(
    fit_params: Mapping[str, Any] | None,
    sr_params: Mapping[str, Any] | SearchOptions | None,
    variable_names: Sequence[str] | None,
    weights: Any,
    random_state: int,
) -> tuple[Sequence[str] | None, Any, int, SearchOptions]:
    """Let names and weights come by the ways PySR's and the predecessor's users know."""
    given = dict(fit_params or {})
    unknown = set(given) - {"variable_names", "weights"}
    if unknown:
        raise InputError(f"fit_params takes variable_names and weights; got {sorted(unknown)}")
    if isinstance(sr_params, SearchOptions):
        options = sr_params
    else:
        params = dict(sr_params or {})
        for name in ("variable_names", "weights", "random_state"):
            if name in params:
                given.setdefault(name, params.pop(name))
        options = SearchOptions.from_params(params)
    if variable_names is None:
        variable_names = given.get("variable_names")
    if weights is None:
        weights = given.get("weights")
    seed = given.get("random_state")
    return variable_names, weights, random_state if seed is None else int(seed), options


def _front_paths(
    folder: str | os.PathLike[str] | None, name: str, dims: Sequence[int]
) -> dict[int, Path]:
    """The file of each output, in a folder that is made now: before the search, not after."""
    if folder is None:
        return {}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {dim: Path(folder) / f"{name.replace('/', '_')}.{dim}.json" for dim in dims}


def _read_state(state: Any, name: str) -> dict[str, Any]:
    if not isinstance(state, torch.Tensor) or state.dtype != torch.uint8:
        raise InputError(f"block '{name}': its saved state is no tensor of bytes")
    try:
        data = json.loads(bytes(state.cpu().tolist()).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"block '{name}': its saved state is not JSON ({error})") from None
    keys = {"format", "version", "layout", "outputs", "chosen", "trainable_constants"}
    if not isinstance(data, dict) or data.get("format") != _FORMAT or set(data) != keys:
        raise InputError(f"block '{name}': not the saved state of a SymbolicModel")
    if data["version"] != _VERSION:
        raise InputError(
            f"block '{name}': saved by version {data['version']}; this symtorch reads {_VERSION}"
        )
    chosen = data["chosen"]
    sound = (
        isinstance(data["outputs"], dict)
        and all(map(_is_number, data["outputs"]))
        and isinstance(data["trainable_constants"], bool)
        and (
            chosen is None
            or (
                isinstance(chosen, dict)
                and len(chosen) > 0
                and all(_is_number(k) and type(v) is int for k, v in chosen.items())
            )
        )
    )
    if not sound:
        raise InputError(f"block '{name}': saved outputs or choices are malformed")
    return data


def _is_number(key: str) -> bool:
    """Whether a key is an output's number, and none of the many ways to almost write one."""
    return len(key) < 10 and key.isascii() and key.isdecimal()


def _read_outputs(outputs: Mapping[str, Any], layout: Layout | None) -> dict[int, Distilled]:
    distilled = {}
    for key, saved in outputs.items():
        if layout is None or int(key) >= layout.output.width:
            raise InputError(f"saved equations for an output {key!r} that the block has not")
        if not isinstance(saved, dict) or set(saved) != {"front", "features"}:
            raise InputError(f"saved output {key} must hold a front and its features")
        features = Features.from_json(saved["features"])
        front = Front.from_json(saved["front"])
        if len(features.columns) != layout.inputs.count or front.variables != features.names:
            raise InputError(f"saved output {key}: its equations do not fit the block's columns")
        distilled[int(key)] = Distilled(front, features)
    return distilled
