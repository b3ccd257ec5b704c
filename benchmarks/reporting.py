"""What the benchmark scripts share: where the data is, and how results are shown and kept."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Scripts lie beside this file, and import it first: one of them would hide the package of its name.
sys.path.append(sys.path.pop(0))

from rich.console import Console
from rich.table import Table

import induce

RESULTS = Path(__file__).parent / "results"

Figure = Callable[[dict[str, Any]], str]
"""How what a script wrote reads in a line."""


def benchmark_data() -> Path:
    """Give the folder of the benchmark files, or end the script, which cannot do without."""
    folder = os.environ.get("INDUCE_BENCHMARK_DATA")
    if not folder:
        print("skipped: set INDUCE_BENCHMARK_DATA to the folder of the benchmark files")
        sys.exit(0)
    return Path(folder)


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that have the same keys."""
    table = Table(*rows[0], title=title, title_justify="left", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def write_results(name: str, results: Mapping[str, object]) -> None:
    """Write results with the command and the machine that gave them to ``benchmarks/results/NAME.json``."""
    record = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "induce": induce.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record | dict(results), indent=2) + "\n")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def run_scripts(description: str | None, title: str, figures: Mapping[str, Figure]) -> None:
    """Run some of the scripts that ``figures`` names, or none, and show what each wrote in a line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", help=f"of {', '.join(figures)} (default: all)")
    parser.add_argument("--show", action="store_true", help="run none, show the figures that there are")
    options = parser.parse_args()
    if unknown := set(options.scripts) - set(figures):
        parser.error(f"no such script: {', '.join(sorted(unknown))}")
    if not options.show:
        benchmark_data()
    for name in () if options.show else options.scripts or figures:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)
    rows = []
    for name, figure in figures.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            results = json.loads(path.read_text(encoding="utf-8"))
            rows.append({"script": name, "figure": figure(results)})
    if rows:
        print_table(title, rows)
