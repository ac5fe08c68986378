"""What `import symtorch` costs beyond `import torch`: new processes, medians."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from support.figures import Figures, print_table, script_arguments

STATEMENTS = {
    "torch": "import torch",
    "torch + dependencies": "import torch, numpy, scipy.special, sympy, pandas",
    "symtorch": "import symtorch",
}


def seconds(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    for statement in STATEMENTS.values():  # once unmeasured: files into the disk cache
        seconds(statement)
    # In turn, so that a busy spell of the machine falls on all alike.
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(arguments.runs):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print_table(
        [
            {
                "import": name,
                "median s": medians[name],
                "of torch": medians[name] / medians["torch"],
            }
            for name in STATEMENTS
        ]
    )
    ratio = medians["symtorch"] / medians["torch"]
    figures = Figures({"medians": medians, "runs": arguments.runs})
    figures.check("import symtorch / import torch", round(ratio, 3), "<=", 1.1)
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
