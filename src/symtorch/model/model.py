"""SymbolicModel: the wrapper people use. It says what can be done; the files beside it do it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from torch import nn

from ..recording.adapters.request import FeatureDim, LayoutRequest
from ..recording.batches import Data
from ..recording.features import Transform
from ..recording.recording import Recording
from ..reduction import Reduction
from ..search import SearchOptions
from ..search.front import Front
from ..search.spellings import jobs_of, merge_spellings
from ..slime.fitting import local_params
from ..slime.neighbourhood import Locality
from .distilling import Search, Variables, distill, explain
from .equations import EquationSet
from .front_files import write_fronts
from .prunable import PrunableBlock
from .published import accepts_published
from .results import Complexity, Kind
from .searching import ProgressArgument, Resume, Work
from .source import Source
from .state import Findings
from .symbolic_function import SymbolicFunction
from .tables import EquationTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class SymbolicModel(PrunableBlock):
    """A block of a model that can be distilled to equations and replaced by them.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1))
    >>> net[1] = SymbolicModel(net[1], block_name="head")
    >>> x = torch.randn(200, 2)                                      # [rows, features]
    >>> fronts = net[1].distill(x, parent_model=net, sr_params={"niterations": 2})
    >>> list(fronts)
    [0]
    >>> with net[1].symbolic():
    ...     net(x).shape
    torch.Size([200, 1])

    Wrapping is transparent: until `switch_to_symbolic` the block is called as before, with the
    same arguments, and attributes, items and length are the block's, except for the methods and
    properties listed here. All else that the wrapper has is in ``symbolic_state``.

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
        name = block_name or getattr(block, "__name__", None) or type(block).__name__
        columns = tuple(inputs) if inputs is not None else None
        request = LayoutRequest(columns, output, feature_dim, mask)
        super().__init__(block, name, request)

    # ---------------------------------------------------------------- finding equations

    @accepts_published
    def distill(
        self,
        inputs: Data | Recording,
        dims: int | Sequence[int] | None = None,
        parent_model: nn.Module | Callable[..., Any] | None = None,
        *,
        variable_names: Sequence[str] | None = None,
        variable_transforms: Mapping[str, Transform] | Sequence[Transform] | None = None,
        weights: Any = None,
        engine: str = "auto",
        sr_params: Mapping[str, Any] | SearchOptions | None = None,
        max_samples: int | None = 10_000,
        validation_fraction: float = 0.25,
        input_of: Callable[[Any], Any] | None = None,
        random_state: int = 0,
        n_jobs: int = 1,
        progress: ProgressArgument = None,
        stop: Callable[[], bool] = lambda: False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = "same",
        save_path: str | os.PathLike[str] | None = None,
        reduce: Reduction | None = None,
    ) -> dict[int, Front]:
        """Find equations for what the block does.

        Records the block afresh on every call, unless handed a `Recording`. Outputs that
        were distilled before and are not asked for now keep their fronts.

        Args:
            inputs: what to run the model on: a tensor or array; a tuple of positional or
                a dict of keyword inputs; an iterable of such batches (a DataLoader); or
                a `Recording`.
            dims: output number, a list of them, or None for all that were not pruned.
            parent_model: the model that the block is a part of and that takes
                ``inputs``; None when the block takes them itself. A module runs in eval
                mode; of a plain function only the block does.
            variable_names: names for the input columns (or for a list of transforms).
            variable_transforms: variables in place of the columns, by name:
                ``{"r": "sqrt(dx**2 + dy**2)"}`` or functions [rows, columns] -> [rows].
            weights: [rows], one per row that passes the block, not negative.
            engine: ``"auto"``, or the name of a search engine.
            sr_params: options of the search, in PySR's names (see `SearchOptions`).
            max_samples: rows to keep, uniformly sampled; None for all.
            validation_fraction: share of rows held out, to judge by.
            input_of: takes a batch to the model's input, ``lambda batch: batch[0]``.
            random_state: seed of the sample and the search.
            n_jobs: outputs searched side by side; results do not depend on it.
            progress: True for a bar on stderr, False for none; by default there is one on
                terminals and in notebooks. Or a callback taking a `Progress`. With ``n_jobs``
                above 1 it moves as outputs are done.
            stop: asked as the searches go on; once true they end as with Ctrl-C.
            checkpoint: folder where fronts are kept as they are found. The same call again goes
                on from there: finished outputs are read, the others start from their fronts.
            resume: ``"same"`` refuses a folder of a call with other data or options; ``"seed"``
                starts this call from its fronts.
            save_path: folder for one JSON file an output, ``<block>.<output>.json``; of signs
                that no file's name can have, ``%2F`` for ``/``.
            reduce: for wide blocks, the few coordinates to search in. Columns and outputs
                are then the coordinates ``z0, z1, ...`` and the reduced outputs, everywhere;
                fronts in other coordinates are dropped.

        Ctrl-C ends the searches, not the call: what was found is adopted and returned, with an
        `InterruptedWarning`, and fronts that are not finished are marked ``interrupted``. A
        second Ctrl-C raises.

        Returns:
            A front for each output asked for; after Ctrl-C, for those that have one.

        Raises:
            InputError: data, names or options that cannot be used; nothing is changed.
            StateError: the block was not called by ``parent_model``.
            KeyboardInterrupt: before anything was found, or twice.
        """
        names, weights, seed, options = merge_spellings(
            sr_params, variable_names, weights, random_state
        )
        work = Work(jobs_of(n_jobs), progress, stop, checkpoint, resume)
        found = distill(
            self._module,
            self.symbolic_state,
            Source(inputs, parent_model, max_samples, input_of, seed),
            dims,
            Variables(names, variable_transforms),
            Search(options, engine, weights, validation_fraction, work),
            save_path=save_path,
            reduce=reduce,
        )
        return self._adopt(found)

    def explain(
        self,
        x: Any,
        inputs: Data | Recording,
        dims: int | Sequence[int] | None = None,
        parent_model: nn.Module | Callable[..., Any] | None = None,
        *,
        n_neighbors: int = 10,
        n_synthetic: int = 500,
        real_weight: float = 1.0,
        kernel_width: float | None = None,
        metric: str = "euclidean",
        variance: Any = None,
        variable_names: Sequence[str] | None = None,
        variable_transforms: Mapping[str, Transform] | Sequence[Transform] | None = None,
        sr_params: Mapping[str, Any] | SearchOptions | None = None,
        max_samples: int | None = 10_000,
        input_of: Callable[[Any], Any] | None = None,
        random_state: int = 0,
        save_path: str | os.PathLike[str] | None = None,
    ) -> dict[int, Front]:
        """Find equations that hold around one row of the block's inputs (SLIME).

        They are kept in ``block.explained``, beside those of `distill` in ``block.distilled``,
        and used in the same way: ``block.explained.switch_to_symbolic()``.

        >>> import torch
        >>> block = SymbolicModel(lambda x: torch.sin(x[:, :1]) * x[:, 1:], "law")
        >>> data = 2 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0))
        >>> fronts = block.explain(data[0], data)                       # x is [columns]
        >>> block.explained.get_symbolic_function().expression.pretty()
        'sin(x0)*x1'

        Args:
            x: [columns], the row; None explains all of the rows.
            inputs: as for `distill`.
            dims: as for `distill`.
            parent_model: as for `distill`.
            n_neighbors: nearest rows to use, and further arguments of `symtorch.explain`.
            n_synthetic: rows drawn around x.
            real_weight: weight of the nearest rows.
            kernel_width: of the weights of the drawn ones.
            metric: of the distance.
            variance: of the drawn rows.
            variable_names: as for `distill`.
            variable_transforms: as for `distill`.
            sr_params: options of the search, see `symtorch.explain`.
            max_samples: as for `distill`.
            input_of: as for `distill`.
            random_state: seed of the sample, the drawn rows and the search.
            save_path: as for `distill`.

        Returns:
            A front for each output asked for.

        Raises:
            InputError: arguments that do not fit; a block that cannot be asked about new rows.
            StateError: the block was reduced, or not called by ``parent_model``.
        """
        locality = Locality(n_neighbors, n_synthetic, real_weight, kernel_width, metric, variance)
        names, _, seed, options = merge_spellings(
            local_params(sr_params), variable_names, None, random_state
        )
        found = explain(
            self._module,
            self.symbolic_state,
            x,
            Source(inputs, parent_model, max_samples, input_of, seed),
            dims,
            Variables(names, variable_transforms),
            locality,
            options,
            save_path=save_path,
        )
        return self._adopt(found)

    def _adopt(self, found: Findings) -> dict[int, Front]:
        self.symbolic_state.adopt(found, self._module)
        write_fronts(found.paths, found.fronts)
        return found.fronts

    def clear_fronts(self) -> None:
        """Forget everything that was found, and call the block again."""
        self.symbolic_state.forget(self._module)

    def clear_cache(self) -> None:
        """Nothing to do: every `distill` records the block anew, so no data are kept."""

    # ---------------------------------------------------------------- looking at them

    def equations_of(self, kind: Kind) -> EquationSet:
        """The equations of one kind, ``"distilled"`` or ``"explained"``."""
        return EquationSet(self, self.symbolic_state, kind)

    @property
    def distilled(self) -> EquationSet:
        """The equations that `distill` found."""
        return self.equations_of("distilled")

    @property
    def explained(self) -> EquationSet:
        """The equations that `explain` found."""
        return self.equations_of("explained")

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each distilled output, trained constants included."""
        return self.distilled.fronts

    @property
    def local_fronts(self) -> dict[int, Front]:
        """The front of each explained output."""
        return self.explained.fronts

    def front(self, dim: int) -> Front:
        """The front of one output.

        Raises:
            StateError: it has not been distilled.
        """
        return self.distilled.front(dim)

    @accepts_published
    def equations_table(
        self, dims: int | Sequence[int] | None = None, complexity: Complexity = None
    ) -> EquationTable:
        """The equations as a table, ``>`` before the one `get_best` chooses.

        Args:
            dims: one output or several; None for all.
            complexity: only the equations of these complexities, see `switch_to_symbolic`.

        Returns:
            The table; ``str()`` of it is the text.

        Raises:
            StateError: an output was not distilled. InputError: no such complexity.
        """
        return self.distilled.equations_table(dims, complexity)

    @accepts_published
    def show_symbolic_expression(
        self, dims: int | Sequence[int] | None = None, complexity: Complexity = None
    ) -> EquationTable:
        """Print `equations_table`, and return it."""
        table = self.equations_table(dims, complexity)
        print(table)
        return table

    @accepts_published
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
        return self.distilled.get_symbolic_function(dim, complexity)

    # ---------------------------------------------------------------- switching

    @accepts_published
    def switch_to_symbolic(
        self,
        complexity: Complexity = None,
        dims: int | Sequence[int] | None = None,
        *,
        trainable_constants: bool = False,
        compile: bool = False,
    ) -> None:
        """Compute outputs from equations from now on.

        Where equations answer without the block, its parameters are frozen, so that
        optimizers with weight decay leave them alone and DistributedDataParallel does not wait
        for their gradients; `switch_to_block` makes those trainable again that were.

        Args:
            complexity: of the equations: one for all outputs, a list in the order of
                ``dims``, or by output; None chooses by `Front.get_best`.
            dims: outputs to switch; all distilled ones by default. The others keep
                coming from the block, or are zero where they were pruned.
            trainable_constants: whether the equations' constants are an `nn.Parameter`, and
                the matrices of a reduction are trained too.
            compile: whether the equations, and nothing else, run through `torch.compile`,
                which then works at the next call, some seconds, until `switch_to_block`.

        Raises:
            StateError: an output was not distilled. InputError: no equation of that
                complexity, or a pruned output. In each case nothing changes.
        """
        self.distilled.switch_to_symbolic(
            complexity, dims, trainable_constants=trainable_constants, compile=compile
        )

    def switch_to_block(self) -> None:
        """Call the block again; trained constants stay in the fronts."""
        self.symbolic_state.put_in_force(None, self._module)

    @accepts_published
    def symbolic(
        self, complexity: Complexity = None, dims: int | Sequence[int] | None = None
    ) -> AbstractContextManager[SymbolicModel]:
        """Switched inside, as before after, also when something raises.

        Only when equations that were in force before are gone after, because the block
        was distilled again inside, does it go back to the block.
        """
        return self.distilled.symbolic(complexity, dims)

    def as_block(self) -> AbstractContextManager[None]:
        """The block inside, whatever is in force as before after; to look, not to train."""
        return self.symbolic_state.out_of_force()

    @property
    def is_symbolic(self) -> bool:
        """Whether equations are in force."""
        return self.symbolic_state.switch is not None

    def set_variable_transforms(self, transforms: Mapping[str, Transform]) -> None:
        """Hand over transforms that are Python functions again, after loading.

        Raises:
            InputError: no equation has a variable of that name.
        """
        self.symbolic_state.set_functions(transforms, self._module)

    # ---------------------------------------------------------------- showing

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
        return f"'{self.block_name}', {self.symbolic_state.summary()}"
