"""Documents: what this package saves, each with its format and version, read by one decoder.

A saved thing is a dataclass that holds nothing but numbers, text, tuples, dicts and other such
dataclasses. Its fields say what a file may contain: `decode` builds it from parsed JSON and
refuses everything else, so the rooms check only what types cannot say.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch

from .errors import InputError

T = TypeVar("T")

LARGEST = 2**26
"""Bytes of the longest document that is read: 64 MiB, a thousand times an ordinary one."""


def to_bytes(text: str) -> torch.Tensor:
    """Text as a uint8 tensor [bytes], which a state dict can hold.

    >>> text_of(to_bytes('{"version": 1}'))
    '{"version": 1}'
    """
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def text_of(saved: Any) -> str:
    """The text in a tensor that `to_bytes` made.

    Raises:
        InputError: it is no such tensor, or too long.
    """
    if not isinstance(saved, torch.Tensor) or saved.dtype != torch.uint8:
        raise InputError("expected text as a tensor of bytes")
    check_tensor(saved, "text", dims=1)
    if len(saved) > LARGEST:
        raise InputError(f"a text of {len(saved)} bytes; {LARGEST} is the most that is read")
    try:
        return saved.detach().cpu().numpy().tobytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"expected text: {error}") from None


def check_tensor(
    value: Any,
    what: str,
    shape: tuple[int, ...] | None = None,
    *,
    dims: int | None = None,
    floating: bool = False,
) -> torch.Tensor:
    """Make sure that a tensor from a file holds the numbers that it claims to hold.

    Checked before anything of its size is made: a few bytes can claim to be a matrix of any
    size, by strides of 0.

    Args:
        value: from the file.
        what: it is, for messages.
        shape: that it must have; any if None.
        dims: how many dimensions it must have; any if None.
        floating: whether its numbers must be real and may have fractions.

    Raises:
        InputError: no dense tensor with memory of its own, or another shape.
    """
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{what} must be a tensor; got {type(value).__name__}")
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = "meta" if value.is_meta else "quantized" if value.is_quantized else "sparse"
        raise InputError(f"{what} must be a dense tensor; this one is {kind}")
    if shape is not None and tuple(value.shape) != shape:
        raise InputError(f"{what} must be {[*shape]}; got {[*value.shape]}")
    if dims is not None and value.ndim != dims:
        raise InputError(f"{what} must have {dims} dimension(s); got {[*value.shape]}")
    if floating and not value.is_floating_point():
        raise InputError(f"{what} must hold floating-point numbers; got {value.dtype}")
    held = value.untyped_storage().nbytes()
    if held < value.numel() * value.element_size():
        raise InputError(f"{what} claims {value.numel()} numbers and holds {held} bytes")
    return value


@dataclass(frozen=True)
class Format(Generic[T]):
    """A kind of document.

    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     label: str | None
    >>> points = Format("example.point", 1, "point", Point)
    >>> points.write(Point(0.5, None))
    '{"format": "example.point", "version": 1, "x": 0.5, "label": null}'
    >>> points.read('{"format": "example.point", "version": 1, "x": 2, "label": "a"}')
    Point(x=2.0, label='a')

    Args:
        name: the document's ``format``.
        version: its ``version``; another one is not read.
        what: the kind, for messages.
        kind: dataclass of what it holds.
    """

    name: str
    version: int
    what: str
    kind: type[T]

    def document(self, saved: T) -> dict[str, Any]:
        """As a dict that begins with format and version."""
        return {"format": self.name, "version": self.version, **encode(saved)}

    def write(self, saved: T) -> str:
        """As JSON text."""
        return json.dumps(self.document(saved))

    def read(self, text: str) -> T:
        """What a text holds.

        Raises:
            InputError: it is no text of this format and version, or holds something else.
        """
        if not isinstance(text, str):
            raise InputError(f"not a saved {self.what}, no text: {type(text).__name__}")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not a saved {self.what}, no JSON: {error}") from None
        return self.check(data)

    def check(self, data: Any) -> T:
        """`read` for what was parsed already.

        Raises:
            InputError: as for `read`.
        """
        if not isinstance(data, dict) or data.get("format") != self.name:
            raise InputError(f"not a saved {self.what}: its 'format' is missing or another one")
        if "version" not in data:
            raise InputError(f"not a saved {self.what}: its 'version' is missing")
        if data["version"] != self.version:
            raise InputError(
                f"saved {self.what} of version {str(data['version'])[:40]}; this symtorch reads "
                f"{self.version}"
            )
        rest = {key: value for key, value in data.items() if key not in ("format", "version")}
        try:
            return decode(self.kind, rest)
        except InputError as error:
            raise InputError(f"not a saved {self.what}: {error}") from None


def encode(saved: Any) -> dict[str, Any]:
    """A saved dataclass as what JSON can hold; tensors stay what they are."""
    return {field.name: _encoded(getattr(saved, field.name)) for field in fields(saved)}


def _encoded(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return encode(value)
    if isinstance(value, tuple | list):
        return [_encoded(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items()}
    return value


def decode(kind: type[T], data: Any, where: str = "") -> T:
    """A dataclass from parsed JSON, with exactly the fields and types that it declares.

    Args:
        kind: the dataclass; fields without a default must be there.
        data: parsed JSON.
        where: the data are in the document, for messages.

    Raises:
        InputError: another type, an unknown or missing field; it names the place.
    """
    found: T = _decoded(kind, data, where)
    return found


def _decoded(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal:
        if not any(type(value) is type(option) and value == option for option in arguments):
            raise _unexpected(where, f"one of {', '.join(map(repr, arguments))}", value)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _unexpected(where, "a list", value)
        repeated = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = arguments[:1] * len(value) if repeated else arguments
        if len(kinds) != len(value):
            raise _unexpected(where, f"a list of {len(kinds)}", value)
        return tuple(
            _decoded(kind, item, f"{where}[{i}]")
            for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin in (dict, Mapping):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise _unexpected(where, "an object", value)
        return {k: _decoded(arguments[1], v, _inside(where, k)) for k, v in value.items()}
    return _scalar(kind, value, where)


def _dataclass(kind: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unexpected(where, "an object", value)
    hints = get_type_hints(kind)
    declared = {field.name: field for field in fields(kind)}
    unknown = [key for key in value if key not in declared]
    missing = [
        name
        for name, field in declared.items()
        if name not in value
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if unknown or missing:
        raise InputError(
            f"{where or 'it'} must have {[*declared]}"
            + (f"; {missing} are missing" if missing else "")
            + (f"; {[key[:40] for key in unknown[:10]]} are unknown" if unknown else "")
        )
    return kind(**{k: _decoded(hints[k], v, _inside(where, k)) for k, v in value.items()})


def _one_of(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in options:
        return None
    others = [option for option in options if option is not types.NoneType]
    if len(others) == 1:
        return _decoded(others[0], value, where)
    for option in others:
        try:
            return _decoded(option, value, where)
        except InputError:
            continue
    raise _unexpected(where, " or ".join(getattr(o, "__name__", str(o)) for o in options), value)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        # Whole numbers are written without a point; Python's truths are numbers too.
        if type(value) not in (int, float):
            raise _unexpected(where, "a number", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _unexpected(where, "a finite number", value)
        return number
    if type(value) is not kind and not (kind is torch.Tensor and isinstance(value, kind)):
        names = {str: "text", int: "a whole number", bool: "true or false"}
        raise _unexpected(where, names.get(kind, kind.__name__), value)
    return value


def _unexpected(where: str, expected: str, value: Any) -> InputError:
    return InputError(f"{where or 'it'} must be {expected}; got {_shown(value)}")


def _shown(value: Any) -> str:
    # Short, however long what is in the file.
    if isinstance(value, int) and abs(value) > 10**20:
        return "a huge number"
    if value is None or isinstance(value, str | int | float):
        return repr(value)[:80]
    return type(value).__name__


def _inside(where: str, key: str) -> str:
    return f"{where}.{key[:40]}" if where else f"'{key[:40]}'"
