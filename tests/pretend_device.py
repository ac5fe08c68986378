"""A device that is not there: ordinary tensors that insist on being somewhere else.

`FakeTensorMode` finds tensors on the wrong side too, but its tensors have no values, and a search
asks for values at every step. These have values: they say ``device="meta"``, compute on the
processor, and raise where an operation mixes them with tensors that stayed behind. As on CUDA,
numbers (tensors without dimensions) and indices may come from either side, and NumPy is reached
through ``.cpu()`` only.

    >>> with PretendDevice() as device:
    ...     x = torch.arange(3.0, device=device)
    ...     x + torch.ones(3)
    Traceback (most recent call last):
    ...
    RuntimeError: aten.add.Tensor mixes devices: (3,) is on the processor
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

AWAY = torch.device("meta")

_aten = torch.ops.aten

COPIES = {_aten.copy_.default, _aten._to_copy.default}
"""What may take a tensor from one side to the other."""

INDEXING = {_aten.index.Tensor, _aten.index_put_.default, _aten._index_put_impl_.default}
"""Where indices may stay on the processor."""


class _Away(torch.Tensor):
    """A tensor that is elsewhere, around one that is here."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> _Away:
        away = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=AWAY,
        )
        away.here = here
        return away

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.tolist:  # torch refuses it for any tensor of a class of its own
            return args[0].detach().here.tolist()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside of PretendDevice")


class _Literals(TorchFunctionMode):
    """Makes tensors from numbers; torch itself would make tensors without values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            table, index, *value = args
            return func(table, _without_lists(index), *value)
        like = args[0] if func is torch.Tensor.new_tensor else None
        if like is not None:
            kwargs = {"dtype": like.dtype, "device": like.device} | kwargs
            func, args = torch.tensor, args[1:]
        if func not in (torch.tensor, torch.as_tensor) or isinstance(args[0], torch.Tensor):
            return func(*args, **kwargs)
        to = torch.device(kwargs.pop("device", None) or "cpu")
        return func(*args, **kwargs).to(to)


def _without_lists(index: Any) -> Any:
    """An index with tensors in the place of lists, of which torch would make empty tensors."""
    if isinstance(index, list):
        return torch.tensor(index, dtype=torch.long)
    return tuple(map(_without_lists, index)) if isinstance(index, tuple) else index


class PretendDevice(TorchDispatchMode):
    """A context in which tensors can be put on a device that is not there."""

    def __enter__(self) -> torch.device:  # type: ignore[override]
        self._literals = _Literals()
        self._literals.__enter__()
        super().__enter__()
        return AWAY

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._literals.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        away = [tensor for tensor in tensors if isinstance(tensor, _Away)]
        behind = [t for t in tensors if not isinstance(t, _Away) and t.ndim]
        if any(tensor.device == AWAY for tensor in behind):
            raise RuntimeError(f"{func} met a tensor without values: a bug of PretendDevice")
        if func in INDEXING:
            behind = [t for t in behind if t.is_floating_point()]
        if away and behind and func not in COPIES:
            raise RuntimeError(
                f"{func} mixes devices: {tuple(behind[0].shape)} is on the processor"
            )
        if (
            away
            and func is _aten.linalg_lstsq.default
            and kwargs.get("driver")
            not in (
                None,
                "gels",
            )
        ):
            raise RuntimeError(f"CUDA has no lstsq with the driver {kwargs['driver']}")
        to = kwargs.get("device")
        result_is_away = bool(away) if to is None else torch.device(to).type == AWAY.type
        if to is not None:
            kwargs["device"] = "cpu"
        args, kwargs = tree_map_only(_Away, lambda tensor: tensor.here, (args, kwargs))
        result = func(*args, **kwargs)
        if func is _aten.copy_.default:
            return tensors[0]
        if not result_is_away:
            return result
        return tree_map_only(
            torch.Tensor, lambda t: t if isinstance(t, _Away) else _Away(t), result
        )
