"""SymbolicModel: the wrapper people use. It keeps the state; others do the work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import StateError, SymTorchError, UnsupportedTypeError
from ..pruning.mask import PruningMask
from ..pruning.schedule import PruningSchedule
from ..recording.adapters.calls import signature_of
from ..recording.adapters.layout import Layout
from ..recording.adapters.request import FeatureDim, LayoutRequest
from ..recording.batches import Data
from ..recording.features import Features, Transform
from ..recording.lookup import FunctionBlock
from ..recording.query import oracles_for
from ..recording.recorder import Recorder, run_recorders
from ..recording.recording import Recording
from ..reduction import Coordinates, Reduction, describe, record_reduced
from ..search import SearchOptions
from ..search.front import Front
from ..search.spellings import merge_spellings
from ..slime.blocks import explain_outputs
from ..slime.fitting import local_params
from .results import Complexity, Distillation, Distilled, EquationTable
from .searching import ProgressArgument, chosen_outputs, distill_outputs
from .state import BlockState
from .switch import Switch
from .symbolic_function import SymbolicFunction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
        block: any `nn.Module`; any function on arrays or tensors; or an estimator, such as
            scikit-learn's, whose ``predict`` is then the block.
        block_name: what messages call it; its class or function name by default.
        inputs: names of its forward's parameters that are input columns; by default all
            that hold tensors of numbers.
        output: position, key or attribute of the table, for a block that returns a tuple, a
            dict or an object.
        feature_dim: axis of the features in inputs and output: the last by default; 1
            for channels first (``[B, C, H, W]``); None when every argument is one column
            and has no such axis.
        mask: name of its forward's parameter that is 0 for rows that do not count (padding):
            these are not recorded, and stay as the block computes them.

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
        mask: str | None = None,
    ) -> None:
        super().__init__()
        name = getattr(block, "__name__", None) or type(block).__name__
        self.block_name = block_name or name
        if not callable(block):
            block = _predict_of(block)
        # Registered by hand because `block` is a property: for a function it gives the
        # function back, not the module it is dressed in.
        self._modules["block"] = block if isinstance(block, nn.Module) else FunctionBlock(block)
        self.request = LayoutRequest(
            tuple(inputs) if inputs is not None else None, output, feature_dim, mask
        )
        self._distillation = Distillation(self.block_name)
        self._local = Distillation(self.block_name)
        self._signature = signature_of(block)
        self.switch: Switch | None = None
        self.pruning: PruningMask | None = None
        self.reduction: Coordinates | None = None
        self.training = self._module.training

    @property
    def block(self) -> Any:
        """The original, as it was handed in; of an estimator its ``predict``."""
        module = self._module
        return module.function if isinstance(module, FunctionBlock) else module

    @property
    def _module(self) -> nn.Module:
        module = self._modules["block"]
        assert module is not None
        return module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the block, or its equations when switched; pruned outputs are zero."""
        pruning = self.pruning
        if self.switch is None:
            output = self._module(*args, **kwargs)
        elif self.reduction is not None:
            output = self.reduction(self.switch, self._module, self._signature, args, kwargs)
        else:
            pruned = () if pruning is None else pruning.pruned
            output = self.switch(self._module, self._signature, args, kwargs, pruned)
        return output if pruning is None else pruning(output, self.request, self.block_name)

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
        with self.as_block():
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
        reduce: Reduction | None = None,
        SLIME: bool = False,
        slime_params: Mapping[str, Any] | None = None,
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
            output_dim: output number, a list of them, or None for all that were not pruned.
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
            reduce: for wide blocks, the few coordinates to search in. Columns and outputs
                are then the coordinates ``z0, z1, ...`` and the reduced outputs, everywhere;
                fronts in other coordinates are dropped.
            SLIME: find equations that hold around one row (see `symtorch.explain`), kept
                beside the other ones: `switch_to_symbolic` and others take ``SLIME`` too.
            slime_params: of SLIME: ``x`` [columns], the row, None for all rows; ``J_nn``,
                ``num_synthetic``, ``real_weighting``, ``nn_metric``, ``var`` as `explain`'s
                ``n_neighbors``, ``n_synthetic``, ``real_weight``, ``metric``, ``variance``.

        Returns:
            A front for each output asked for.

        Raises:
            InputError: data, names or options that cannot be used; nothing is changed.
            StateError: the block was not called by ``parent_model``, or SLIME is asked of
                one that was reduced.
        """
        if SLIME and (reduce is not None or self.reduction is not None):
            raise StateError(
                f"block '{self.block_name}': SLIME explains the block's own columns, not "
                f"reduced ones; clear_fronts() forgets a reduction"
            )
        variable_names, weights, random_state, options = merge_spellings(
            fit_params,
            local_params(sr_params) if SLIME else sr_params,
            variable_names,
            weights,
            random_state,
        )
        reduction = None
        if reduce is not None:
            reduction, recording = self._reduce(
                inputs, reduce, parent_model, max_samples, input_of, random_state
            )
            if variable_names is None and variable_transforms is None:
                variable_names = [f"z{i}" for i in range(reduce.inputs)]
        elif isinstance(inputs, Recording):
            recording = inputs
        else:
            recording = self.record(
                inputs,
                parent_model=parent_model,
                max_samples=max_samples,
                input_of=input_of,
                random_state=random_state,
            )
        width = recording.layout.output.width
        if self.pruning is not None:
            self.pruning.check_width(width, self.block_name)
            output_dim = self.pruning.choose(output_dim, self.block_name)
        dims = chosen_outputs(output_dim, width, self.block_name)
        if reduction is None:
            self._found(SLIME).check_layout(recording.layout, dims)
        features = Features.plan(recording.names, variable_names, variable_transforms)
        paths = _front_paths(save_path, self.block_name, dims)
        if SLIME:
            fronts = explain_outputs(
                self._module,
                recording,
                dims,
                features,
                slime_params,
                options,
                random_state=random_state,
                engine=engine,
                weights=weights,
            )
        else:
            fronts = distill_outputs(
                recording,
                dims,
                features,
                weights=weights,
                engine=engine,
                options=options,
                oracles=oracles_for(self._module, recording) if reduction is None else {},
                validation_fraction=validation_fraction,
                random_state=random_state,
                n_jobs=n_jobs,
                progress=progress,
            )
        found = {d: Distilled(f, features) for d, f in fronts.items()}
        self._adopt(recording.layout, found, reduction, local=SLIME)
        for dim, path in paths.items():
            path.write_text(fronts[dim].to_json())
        return fronts

    def _reduce(
        self,
        inputs: Data | Recording,
        request: Reduction,
        parent_model: nn.Module | Callable[..., Any] | None,
        max_samples: int | None,
        input_of: Callable[[Any], Any] | None,
        random_state: int,
    ) -> tuple[Coordinates, Recording]:
        """Few coordinates for the block, and what it does recorded in them."""
        if self.pruning is not None:
            raise StateError(
                f"block '{self.block_name}' is pruned, which leaves few outputs already; "
                f"distill it without reduce"
            )
        with self.as_block():
            reduced = record_reduced(
                self._module,
                self.block_name,
                inputs,
                request,
                model=parent_model,
                request=self.request,
                max_samples=max_samples,
                input_of=input_of,
                random_state=random_state,
            )
        like = self._like
        coordinates = reduced.coordinates
        return coordinates if like is None else coordinates.to(like), reduced.recording

    def _adopt(
        self,
        layout: Layout,
        found: Mapping[int, Distilled],
        reduction: Coordinates | None,
        *,
        local: bool,
    ) -> None:
        """Take over new fronts; a switched block goes on with the best of them."""
        switch = self.switch
        self._commit()
        # Out of force while the new fronts come in, or its equations would be laid over them.
        self.switch = None
        if reduction is not None:
            self._distillation = self._local = Distillation(self.block_name)
        if local:
            self._local = self._local.updated(layout, found)
        else:
            self._distillation = self._distillation.updated(layout, found)
        self.reduction = reduction
        if switch is not None and switch.local != local and reduction is None:
            self.switch = switch
        elif switch is not None:
            outputs = self._found(local).outputs
            kept = {d: c for d, c in switch.chosen.items() if d not in found and d in outputs}
            renewed = found if reduction is not None else [d for d in switch.chosen if d in found]
            fresh = {d: found[d].front.get_best().complexity for d in renewed}
            self.switch = self._make_switch(
                kept | fresh, switch.trainable_constants, compile=switch.compiled, local=local
            )
            self._follow_switch()

    def clear_fronts(self) -> None:
        """Forget everything that was distilled, and call the block again."""
        self.switch = None
        self.reduction = None
        self._distillation = self._local = Distillation(self.block_name)

    def _found(self, local: bool) -> Distillation:
        """What was found, the constants as training has made them."""
        found = self._local if local else self._distillation
        if self.switch is None or self.switch.local != local:
            return found
        return found.with_expressions(self.switch.chosen, self.switch.expressions)

    @property
    def _trained(self) -> Distillation:
        return self._found(local=False)

    def _commit(self) -> None:
        """Make trained constants part of the stored fronts."""
        self._distillation, self._local = self._found(False), self._found(True)

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each distilled output, trained constants included."""
        return self._trained.fronts

    @property
    def local_fronts(self) -> dict[int, Front]:
        """The fronts that `distill` found with ``SLIME=True``."""
        return self._found(local=True).fronts

    # ---------------------------------------------------------------- looking

    def front(self, dim: int) -> Front:
        """The front of one output.

        Raises:
            StateError: it has not been distilled.
        """
        return self._trained.output(dim).front

    def show_symbolic_expression(
        self, dim: int | None = None, complexity: int | None = None, SLIME: bool = False
    ) -> EquationTable:
        """Print the equations as a table, ``>`` before the one `get_best` chooses.

        Args:
            dim: one output; None for all.
            complexity: only the equation of this complexity.
            SLIME: the equations that hold around one row.

        Returns:
            The table; ``str()`` of it is the printed text.
        """
        switch = self.switch
        chosen = {} if switch is None or switch.local != SLIME else switch.chosen
        table = self._found(SLIME).table(dim, complexity, chosen)
        if self.reduction is not None:
            table = EquationTable(f"{describe(self.reduction, self.fronts, chosen)}\n\n{table}")
        print(table)
        return table

    def get_symbolic_function(
        self, dim: int = 0, complexity: int | None = None, SLIME: bool = False
    ) -> SymbolicFunction:
        """An equation as a function of the block's input columns.

        Args:
            dim: output.
            complexity: which equation; None for `get_best`.
            SLIME: one of those that hold around one row.

        Returns:
            A function [rows, columns] -> [rows], on tensors or arrays.
        """
        found = self._found(SLIME).output(dim)
        return SymbolicFunction(found.front.select(complexity).expression, found.features)

    # ---------------------------------------------------------------- switching

    def switch_to_symbolic(
        self,
        complexity: Complexity = None,
        dims: int | Sequence[int] | None = None,
        *,
        trainable_constants: bool = False,
        compile: bool = False,
        SLIME: bool = False,
    ) -> None:
        """Compute outputs from equations from now on.

        Args:
            complexity: of the equations: one for all outputs, a list in the order of
                ``dims``, or by output; None chooses by `Front.get_best`.
            dims: outputs to switch; all distilled ones by default. The others keep
                coming from the block, or are zero where they were pruned.
            trainable_constants: whether the equations' constants are an `nn.Parameter`, and
                the matrices of a reduction are trained too.
            compile: whether the equations, and nothing else, run through `torch.compile`,
                which then works at the next call, some seconds, until `switch_to_block`.
            SLIME: take the equations that hold around one row.

        Raises:
            StateError: an output was not distilled. InputError: no equation of that
                complexity, or a pruned output. In each case nothing changes.
        """
        if self.pruning is not None:
            dims = self._active_among(complexity, dims, self.pruning, self._found(SLIME))
        chosen = self._found(SLIME).choose(complexity, dims)
        switch = self._make_switch(chosen, trainable_constants, compile=compile, local=SLIME)
        self._commit()
        self.switch = switch
        self._follow_switch()

    def _active_among(
        self,
        complexity: Complexity,
        dims: int | Sequence[int] | None,
        pruning: PruningMask,
        found: Distillation,
    ) -> list[int]:
        """The outputs to switch where some of those that were distilled may be pruned."""
        if dims is None and isinstance(complexity, Mapping):
            dims = list(complexity)
        if dims is None:
            distilled = [dim for dim in pruning.dims if dim in found.outputs]
            dims = distilled or pruning.dims[:1]
        return pruning.choose(dims, self.block_name)

    def _make_switch(
        self,
        chosen: Mapping[int, int],
        trainable_constants: bool,
        *,
        compile: bool = False,
        local: bool = False,
    ) -> Switch:
        like = self._like
        switch = Switch(
            self._found(local),
            chosen,
            local=local,
            trainable_constants=trainable_constants,
            device=self._device,
            # Half precision is for activations; a constant trained in it would not move.
            dtype=like.dtype if like is not None and like.dtype.itemsize >= 4 else None,
            compile=compile,
        )
        return switch.train(self.training)

    @property
    def _like(self) -> nn.Parameter | None:
        """A parameter of the block, whose device and type new tensors take over."""
        return next((p for p in self._module.parameters() if p.is_floating_point()), None)

    @property
    def _device(self) -> torch.device | None:
        return None if self._like is None else self._like.device

    def switch_to_block(self) -> None:
        """Call the block again; trained constants stay in the fronts."""
        self._commit()
        self.switch = None
        self._follow_switch()

    def _follow_switch(self) -> None:
        """The matrices of a reduction are trained where the equations' constants are."""
        if self.reduction is not None:
            trained = self.switch is not None and self.switch.trainable_constants
            self.reduction.requires_grad_(trained)

    @contextmanager
    def symbolic(
        self,
        complexity: Complexity = None,
        dims: int | Sequence[int] | None = None,
        SLIME: bool = False,
    ) -> Iterator[SymbolicModel]:
        """Switched inside, as before after, also when something raises.

        Only when equations that were in force before are gone after, because the block
        was distilled again inside, does it go back to the block.
        """
        before = self.switch
        self.switch_to_symbolic(complexity, dims, SLIME=SLIME)
        try:
            yield self
        finally:
            self._commit()
            # What was distilled inside may have replaced the equations of before.
            kept = before is None or self._found(before.local).has(before.chosen)
            self.switch = before if kept else None
            self._follow_switch()

    @contextmanager
    def as_block(self) -> Iterator[None]:
        """The block inside, whatever is in force as before after."""
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
        found, local = self._trained, self._found(local=True)
        # Names that only local equations have are theirs; what nobody has is refused here.
        theirs = local.variables - found.variables
        self._distillation = found.with_functions(
            {name: t for name, t in transforms.items() if name not in theirs}
        )
        self._local = local.with_functions(
            {name: t for name, t in transforms.items() if name in local.variables}
        )
        if switch is not None:
            self.switch = self._make_switch(
                switch.chosen,
                switch.trainable_constants,
                compile=switch.compiled,
                local=switch.local,
            )

    # ---------------------------------------------------------------- pruning

    def setup_pruning(
        self,
        initial_dim: int,
        target_dim: int,
        total_steps: int,
        end_step_frac: float = 0.5,
        decay_rate: str = "exp",
    ) -> None:
        """Plan to take outputs away while the model trains; all are active again from now.

        >>> block = SymbolicModel(nn.Linear(4, 20), "message")
        >>> block.setup_pruning(20, 2, total_steps=100)
        >>> block.prune(100, torch.randn(50, 4))        # in a training loop: after each step
        >>> len(block.get_active_dimensions())
        2

        Args:
            initial_dim: outputs of the block.
            target_dim: outputs that stay in the end.
            total_steps: of the training, in whatever `prune` counts: batches or epochs.
            end_step_frac: share of the training after which pruning is done.
            decay_rate: ``"exp"``, ``"linear"`` or ``"cosine"``, see `PruningSchedule`.

        Raises:
            InputError: values that make no schedule, or another number of outputs than
                the block has; nothing changes.
        """
        schedule = PruningSchedule(initial_dim, target_dim, total_steps, end_step_frac, decay_rate)
        pruning = PruningMask(schedule, device=self._device)
        for found in (self._distillation, self._local):
            if found.layout is not None:
                pruning.check_width(found.layout.output.width, self.block_name)
        self.pruning = pruning

    def prune(
        self,
        step: int,
        sample_data: Data,
        parent_model: nn.Module | Callable[..., Any] | None = None,
    ) -> None:
        """Take away as many outputs as the schedule asks for at a step of the training.

        Of the active outputs those with the largest standard deviation on a sample stay;
        what was pruned stays pruned. Cheap at steps at which nothing is to be done: the
        model then does not run.

        Args:
            step: counted from 0.
            sample_data: what to run the model on, as for `distill`.
            parent_model: as for `distill`.

        Raises:
            StateError: `setup_pruning` was not called, or ``parent_model`` does not call
                the block.
            InputError: outputs that are not finite, or not as many as was said; the mask
                stays as it was.
        """
        pruning = self._pruning_set_up()
        count = pruning.schedule.dimensions_at(step)
        if count < len(pruning.dims):
            recording = self.record(sample_data, parent_model=parent_model)
            pruning.keep_widest(count, recording.outputs, self.block_name)

    def get_active_dimensions(self) -> list[int]:
        """Numbers of the outputs that were not pruned, ascending.

        Raises:
            StateError: `setup_pruning` was not called.
        """
        return list(self._pruning_set_up().dims)

    def _pruning_set_up(self) -> PruningMask:
        if self.pruning is None:
            raise StateError(
                f"block '{self.block_name}' is not being pruned; call "
                f"setup_pruning(initial_dim, target_dim, total_steps) first"
            )
        return self.pruning

    # ---------------------------------------------------------------- saving

    def get_extra_state(self) -> torch.Tensor:
        """Fronts, chosen equations, mode and pruning, as JSON in a uint8 tensor.

        Constants in training are not in it: they are a parameter beside it.
        """
        distilled = [*self._distillation.outputs.items(), *self._local.outputs.items()]
        for dim, found in distilled:
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
            pruning=self.pruning,
            local=self._local,
            switched_local=switch is not None and switch.local,
        )
        return state.to_tensor()

    def set_extra_state(self, state: Any) -> None:
        """Read what `get_extra_state` wrote; nothing in it is executed.

        Raises:
            InputError: not such a state; the block is left as it was.
        """
        read = BlockState.from_tensor(state, self.block_name)
        self._distillation, self._local, self.switch = read.distillation, read.local, None
        self.pruning = None if read.pruning is None else read.pruning.to(self._device)
        if read.chosen is not None:
            # Built now, because torch loads children (the trained constants) next.
            self.switch = self._make_switch(
                read.chosen, read.trainable_constants, local=read.switched_local
            )

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
        before = self.reduction
        try:
            # Made now, because torch loads children next.
            self.reduction = Coordinates.read(
                state_dict, f"{prefix}reduction.", self.block_name, self._like
            )
            super()._load_from_state_dict(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
            self._follow_switch()
        except SymTorchError as error:
            self.reduction = before
            # Collected, as torch does: its final error lists all that is wrong at once.
            error_msgs.append(f"block '{self.block_name}': {error}")

    def plot(
        self, dim: int, recording: Recording, complexity: int | None = None, *, inputs: int = 6
    ) -> Figure:
        """Draw an equation against the block: parity, residuals, and along each input.

        Args:
            dim: output.
            recording: of the block, ``block.record(x)``.
            complexity: which equation; None for `Front.get_best`.
            inputs: most inputs to draw slices of, those with the largest effect.

        Returns:
            The matplotlib figure.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from ..show.comparison import compare_block
        from ..show.plots import plot_agreement

        return plot_agreement(compare_block(self, dim, recording, complexity), inputs)

    def plot_terms(
        self, dim: int, recording: Recording, complexity: int | None = None, ax: Axes | None = None
    ) -> Figure:
        """Draw how much each term of an equation moves the output; arguments as for `plot`."""
        from ..show.comparison import compare_block
        from ..show.plots import plot_terms

        return plot_terms(compare_block(self, dim, recording, complexity), ax)

    def _repr_html_(self) -> str:
        from ..show.notebook import block_html

        return block_html(self)

    def extra_repr(self) -> str:
        """Name and mode."""
        mode = f"symbolic {self.switch.chosen}" if self.switch is not None else "block"
        distilled = sorted(self._distillation.outputs)
        return f"'{self.block_name}', {mode}, distilled outputs {distilled}"


def _predict_of(estimator: Any) -> Callable[..., Any]:
    predict: Callable[..., Any] | None = getattr(estimator, "predict", None)
    if predict is None:
        raise UnsupportedTypeError(
            f"a block must be an nn.Module, a function, or an estimator with predict; got "
            f"{type(estimator).__name__}"
        )
    return predict


def _front_paths(
    folder: str | os.PathLike[str] | None, name: str, dims: Sequence[int]
) -> dict[int, Path]:
    """The file of each output, in a folder that is made now: before the search, not after."""
    if folder is None:
        return {}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {dim: Path(folder) / f"{name.replace('/', '_')}.{dim}.json" for dim in dims}
