"""A front as a document: what its fields are, and which of their values make sense."""

from __future__ import annotations

from dataclasses import dataclass

from ..documents import Format
from ..errors import InputError
from .evidence import Evidence


@dataclass(frozen=True)
class SavedCandidate:
    """A `Candidate` in a document."""

    equation: str
    complexity: int
    loss: float
    validation_loss: float
    trained: bool
    evidence: Evidence

    def __post_init__(self) -> None:
        if self.complexity < 0 or self.loss < 0 or self.validation_loss < 0:
            raise InputError(
                f"the complexity or a loss of the saved equation '{self.equation[:80]}' is negative"
            )
        if self.evidence.effective_rows < 1:
            raise InputError(f"no saved equation is worth {self.evidence.effective_rows} rows")


@dataclass(frozen=True)
class SavedFront:
    """A `Front` in a document; ``operators`` are the definitions that its equations use."""

    variables: tuple[str, ...]
    operators: tuple[str, ...]
    loss_floor: float
    variance: float | None
    held_out: int | None
    line_r2: float | None
    interrupted: bool
    rows: tuple[SavedCandidate, ...]


FORMAT = Format("symtorch.front", 3, "front", SavedFront)
