"""SymbolicModel: the wrapper people use. It keeps the state; others do the work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .blocks import FunctionBlock
from .capture import Data, Recorder, Recording, run_recorders
from .distillation import Complexity, Distillation, Distilled, EquationTable
from .distilling import ProgressArgument, chosen_outputs, distill_outputs
from .equation import SymbolicFunction
from .errors import SymTorchError, UnsupportedTypeError
from .features import Features, Transform
from .front import Front
from .layout import FeatureDim, Layout, LayoutRequest, signature_of
from .oracle import oracle_for
from .search import SearchOptions
from .spellings import merge_spellings
from .state import BlockState
from .switch import Switch


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
        self._distillation = Distillation(self.block_name)
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
        variable_names, weights, random_state, options = merge_spellings(
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
        self._distillation.check_layout(recording.layout, dims)
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

    def _adopt(self, layout: Layout, found: Mapping[int, Distilled]) -> None:
        """Take over new fronts; a switched block goes on with the best of them."""
        switch = self.switch
        self._commit()
        # Out of force while the new fronts come in, or its equations would be laid over them.
        self.switch = None
        self._distillation = self._distillation.updated(layout, found)
        if switch is not None:
            kept = {d: c for d, c in switch.chosen.items() if d not in found}
            fresh = {d: found[d].front.get_best().complexity for d in switch.chosen if d in found}
            self.switch = self._make_switch(
                kept | fresh, switch.trainable_constants, compile=switch.compiled
            )

    def clear_fronts(self) -> None:
        """Forget everything that was distilled, and call the block again."""
        self.switch = None
        self._distillation = Distillation(self.block_name)

    @property
    def _trained(self) -> Distillation:
        """What was found, the constants as training has made them."""
        if self.switch is None:
            return self._distillation
        return self._distillation.with_expressions(self.switch.chosen, self.switch.expressions)

    def _commit(self) -> None:
        """Make trained constants part of the stored fronts."""
        self._distillation = self._trained

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each distilled output, trained constants included."""
        return self._trained.fronts

    # ---------------------------------------------------------------- looking

    def front(self, dim: int) -> Front:
        """The front of one output.

        Raises:
            StateError: it has not been distilled.
        """
        return self._trained.output(dim).front

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
        chosen = {} if self.switch is None else self.switch.chosen
        table = self._trained.table(dim, complexity, chosen)
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
        found = self._trained.output(dim)
        return SymbolicFunction(found.front.select(complexity).expression, found.features)

    # ---------------------------------------------------------------- switching

    def switch_to_symbolic(
        self,
        complexity: Complexity = None,
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
        chosen = self._distillation.choose(complexity, dims)
        switch = self._make_switch(chosen, trainable_constants, compile=compile)
        self._commit()
        self.switch = switch

    def _make_switch(
        self, chosen: Mapping[int, int], trainable_constants: bool, *, compile: bool = False
    ) -> Switch:
        like = next((p for p in self._module.parameters() if p.is_floating_point()), None)
        switch = Switch(
            self._trained,
            chosen,
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
        complexity: Complexity = None,
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
                dim in self._distillation.outputs
                and value in self._distillation.outputs[dim].front.complexities
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
        switch = self.switch
        self._distillation = self._trained.with_functions(transforms)
        if switch is not None:
            self.switch = self._make_switch(
                switch.chosen, switch.trainable_constants, compile=switch.compiled
            )

    # ---------------------------------------------------------------- saving

    def get_extra_state(self) -> torch.Tensor:
        """Fronts, chosen equations and mode, as JSON in a uint8 tensor.

        Constants in training are not in it: they are a parameter beside it.
        """
        for dim, found in self._distillation.outputs.items():
            if found.features.unsaved:
                warnings.warn(
                    f"block '{self.block_name}', output {dim}: variable transforms "
                    f"{found.features.unsaved} are Python functions and are not saved; after "
                    f"loading hand them over with set_variable_transforms, or write them as "
                    f"text, {{'r': 'sqrt(dx**2 + dy**2)'}}",
                    stacklevel=2,
                )
        switch = self.switch
        state = BlockState(
            self._distillation,
            chosen=None if switch is None else switch.chosen,
            trainable_constants=switch is not None and switch.trainable_constants,
        )
        return state.to_tensor()

    def set_extra_state(self, state: Any) -> None:
        """Read what `get_extra_state` wrote; nothing in it is executed.

        Raises:
            InputError: not such a state; the block is left as it was.
        """
        read = BlockState.from_tensor(state, self.block_name)
        self._distillation, self.switch = read.distillation, None
        if read.chosen is not None:
            # Built now, because torch loads children (the trained constants) next.
            self.switch = self._make_switch(read.chosen, read.trainable_constants)

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
        distilled = sorted(self._distillation.outputs)
        return f"'{self.block_name}', {mode}, distilled outputs {distilled}"


def _front_paths(
    folder: str | os.PathLike[str] | None, name: str, dims: Sequence[int]
) -> dict[int, Path]:
    """The file of each output, in a folder that is made now: before the search, not after."""
    if folder is None:
        return {}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {dim: Path(folder) / f"{name.replace('/', '_')}.{dim}.json" for dim in dims}
