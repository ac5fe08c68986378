"""Write the inventories that the site links by: the few names of other projects in our signatures.

    python docs/inventories/make.py

Each project publishes its own, thousands of names long; these hold what we mention, so that the
site is built without a network.
"""

from __future__ import annotations

import zlib
from pathlib import Path

NAMES = {
    "python": {
        **dict.fromkeys(("bool", "int", "float"), ("class", "library/functions.html#$")),
        **dict.fromkeys(("str", "dict", "list", "tuple"), ("class", "library/stdtypes.html#$")),
        **{
            f"collections.abc.{name}": ("class", "library/collections.abc.html#$")
            for name in ("Callable", "Iterable", "Iterator", "Mapping", "Sequence", "Collection")
        },
        "os.PathLike": ("class", "library/os.html#$"),
        "pathlib.Path": ("class", "library/pathlib.html#$"),
        "typing.Any": ("data", "library/typing.html#$"),
        "typing.Literal": ("data", "library/typing.html#$"),
        "ValueError": ("exception", "library/exceptions.html#$"),
        "RuntimeError": ("exception", "library/exceptions.html#$"),
        "TypeError": ("exception", "library/exceptions.html#$"),
        "ImportError": ("exception", "library/exceptions.html#$"),
        "KeyError": ("exception", "library/exceptions.html#$"),
        "KeyboardInterrupt": ("exception", "library/exceptions.html#$"),
    },
    "torch": {
        "torch.Tensor": ("class", "tensors.html#$"),
        "torch.device": ("class", "tensor_attributes.html#$"),
        "torch.dtype": ("class", "tensor_attributes.html#$"),
        "torch.nn.Module": ("class", "generated/torch.nn.Module.html#$"),
        "torch.nn.Parameter": (
            "class",
            "generated/torch.nn.parameter.Parameter.html#torch.nn.parameter.Parameter",
        ),
        "torch.compile": ("function", "generated/torch.compile.html#$"),
        "torch.load": ("function", "generated/torch.load.html#$"),
        "torch.save": ("function", "generated/torch.save.html#$"),
    },
    "numpy": {"numpy.ndarray": ("class", "reference/generated/numpy.ndarray.html#$")},
    "pandas": {"pandas.DataFrame": ("class", "reference/api/pandas.DataFrame.html#$")},
    "sympy": {"sympy.core.expr.Expr": ("class", "modules/core.html#$")},
}


def inventory(project: str, names: dict[str, tuple[str, str]]) -> bytes:
    """Sphinx's second format: a header, and the names compressed."""
    header = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    lines = [f"{name} py:{kind} 1 {page} -\n" for name, (kind, page) in sorted(names.items())]
    return header.encode() + zlib.compress("".join(lines).encode(), 9)


if __name__ == "__main__":
    for project, names in NAMES.items():
        (Path(__file__).parent / f"{project}.inv").write_bytes(inventory(project, names))
