"""What can be typed. Nothing but argparse is imported, so that help is there at once."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = "Turn tables and trained networks into equations people can read, check and run."
EPILOG = """\
Results are written to stdout, progress and notes to stderr. Exit codes: 0 it worked, 1 it did
not, 2 the command line was wrong, 130 interrupted.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    top = argparse.ArgumentParser(prog="symtorch", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action=_Version, help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_distill(commands)
    _add_show(commands)
    _add_report(commands)
    _add_export(commands)
    commands.add_parser(
        "engines", help="list the search engines, and why one is missing", epilog=EPILOG
    )
    demo = commands.add_parser(
        "demo", help="train a small network, distill it and swap it", epilog=EPILOG
    )
    demo.add_argument("--report", type=Path, metavar="HTML", help="also write a report")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    return top


class _Version(argparse.Action):
    """``--version``, looked up only when asked for."""

    def __init__(self, option_strings: list[str], dest: str, **options: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help=str(options.get("help")))

    def __call__(self, top: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"symtorch {version('symtorch')}")
        except PackageNotFoundError:
            print("symtorch, not installed")
        top.exit()


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_distill(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "distill",
        help="find equations for a column of a table",
        description="Find equations for one column of a table, or several, from the others.",
        epilog=f"Example: symtorch distill flights.csv --target lift --unary sqrt,square\n{EPILOG}",
    )
    command.add_argument("data", help="CSV, Parquet or NPZ file; - reads CSV from stdin")
    command.add_argument(
        "--target", action="append", required=True, metavar="COLUMN", help="may be repeated"
    )
    command.add_argument(
        "--inputs", type=_words, metavar="A,B,...", help="columns to explain it with; default: all"
    )
    command.add_argument("--weights", metavar="COLUMN", help="weight of each row")
    command.add_argument(
        "--no-header", action="store_true", help="the CSV has no names: columns are x0, x1, ..."
    )
    command.add_argument(
        "--drop-missing", action="store_true", help="leave out rows that lack a number"
    )
    _add_search(command.add_argument_group("the search"))
    _add_output(command)
    command.add_argument("--report", type=Path, metavar="HTML", help="also write a report")
    command.add_argument(
        "--save", type=Path, metavar="DIR", help="also write TARGET.json for each target"
    )
    command.add_argument("--quiet", action="store_true", help="no progress")


def _add_search(search: argparse._ArgumentGroup) -> None:
    search.add_argument("--engine", default="auto", help="see `symtorch engines`; default: auto")
    search.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="for all targets; default: 20 for each"
    )
    search.add_argument("--maxsize", type=int, metavar="N", help="most nodes; default: 30")
    search.add_argument(
        "--niterations", type=int, metavar="N", help="how much work; default: up to the engine"
    )
    search.add_argument(
        "--unary", type=_words, metavar="F,G,...", help='such as sin,exp or "inv(x) = 1/x"'
    )
    search.add_argument("--binary", type=_words, metavar="F,G,...", help='such as "+,*,max"')
    search.add_argument(
        "--held-out", type=float, default=0.25, metavar="SHARE", help="of the rows; default: 0.25"
    )
    search.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")


def _add_output(command: argparse.ArgumentParser) -> None:
    form = command.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="fronts as JSON, one a line, in place of the table"
    )
    form.add_argument("--latex", action="store_true", help="a LaTeX tabular instead of the table")


def _add_show(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "show", help="print equations that were saved", description="Print saved equations."
    )
    _add_file(command)
    _add_output(command)


def _add_report(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "report",
        help="write saved equations as one HTML file",
        description="Write saved equations as one HTML file that opens without a network.",
    )
    _add_file(command)
    command.add_argument("html", type=Path, help="file to write")
    command.add_argument("--title", help="of the page; default: the name of the file")


def _add_export(commands: Commands[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "export",
        help="write saved equations as C, NumPy, LaTeX or ONNX",
        description="Write the chosen equation of each saved front as source text or ONNX.",
    )
    _add_file(command)
    command.add_argument("--to", required=True, choices=["c", "numpy", "latex", "onnx"])
    command.add_argument(
        "--complexity", type=int, metavar="N", help="which equation; default: the chosen one"
    )
    command.add_argument(
        "--name", default="equations", help="of the function in C and NumPy; default: equations"
    )
    command.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="default: stdout; ONNX needs it"
    )


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", help="front (JSON), state dict, or folder of fronts; - reads JSON from stdin"
    )
    command.add_argument("--block", metavar="NAME", help="of a state dict with several blocks")


def _words(text: str) -> list[str]:
    """``"sin, f(x, y) = x*y"`` -> two words: commas inside brackets do not part."""
    words, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words if word.strip()]
