"""Options that people bring with them from PySR and that nothing here follows.

They are taken, so that a script with twenty options runs, and one warning names them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import warn_user

_NAMES = """
adaptive_parsimony_scaling alpha annealing autodiff_backend bumper cluster_manager
complexity_mapping crossover_probability delete_tempfiles denoise deterministic
dimensional_constraint_penalty dimensionless_constants_only early_stop_condition
elementwise_loss equation_file expression_spec extra_jax_mappings extra_sympy_mappings
extra_torch_mappings fast_cycle fraction_replaced fraction_replaced_guesses
fraction_replaced_hof guesses heap_size_hint_in_bytes hof_migration input_stream julia_kwargs
julia_project logger_spec loss loss_function loss_function_expression loss_scale max_evals
migration model_selection multithreading ncycles_per_iteration ncyclesperiteration
optimize_probability optimizer_algorithm optimizer_f_calls_limit optimizer_iterations
optimizer_nrestarts output_directory output_jax_format output_torch_format parallelism
perturbation_factor precision print_precision probability_negate_constant procs progress run_id
should_optimize_constants should_simplify skip_mutation_failures temp_equation_file tempdir topn
tournament_selection_n tournament_selection_p turbo update update_verbosity use_frequency
use_frequency_in_tournament verbosity warm_start warmup_maxsize_by weight_add_node
weight_delete_node weight_do_nothing weight_insert_node weight_mutate_constant
weight_mutate_feature weight_mutate_operator weight_optimize weight_randomize weight_rotate_tree
weight_simplify weight_swap_operands
"""

PYSR_ONLY = frozenset(_NAMES.split())
"""Parameters of PySR's regressor, versions 0.18 to 2, that have no counterpart here."""

INSTEAD: Mapping[str, str] = {
    "elementwise_loss": "mean squared error is minimised; weights= weighs rows",
    "loss": "mean squared error is minimised; weights= weighs rows",
    "loss_function": "mean squared error is minimised; weights= weighs rows",
    "model_selection": "front.get_best('accuracy') and others choose afterwards",
    "progress": "distill(progress=True) shows a bar",
    "procs": "distill(n_jobs=) runs outputs side by side",
}
"""What does the same here."""


def without_foreign(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that have an effect; one warning names the others."""
    ignored = [name for name in params if name in PYSR_ONLY]
    if ignored:
        notes = [f"{name}: {INSTEAD[name]}" for name in ignored if name in INSTEAD]
        warn_user(
            f"search options without an effect here: {', '.join(ignored)}"
            + (f" ({'; '.join(notes)})" if notes else ""),
            UserWarning,
        )
    return {name: value for name, value in params.items() if name not in PYSR_ONLY}
