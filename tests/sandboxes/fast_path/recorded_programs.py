"""Programs that models wrote, with the inputs they were written for, read from the benchmark files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypotheses.extraction import extract_code, make_program
from hypotheses.task import Signature
from sandboxes import Program


def list_functions(data: Path) -> Iterator[tuple[Program, list[Any]]]:
    """Give each distinct program of the recorded runs on List Functions, with all inputs of its task."""
    inputs = {}
    for task in _lines(data / "qiu2023" / "list_function.jsonl"):
        pairs = [*task["train"], *task["test"]]
        inputs[str(task["idx"])] = [json.loads(pair["input"]) for pair in pairs]
    seen = set()
    for transcript in sorted((data / "qiu2023" / "transcripts").glob("*.jsonl")):
        for line in _lines(transcript):
            code = extract_code(line["response"]) if line["kind"] in ("program", "translation") else None
            if code is None or (line["task"], code) in seen:
                continue
            seen.add((line["task"], code))
            yield make_program(code, Signature(("x",))), inputs[str(line["task"])]


def grid_programs(data: Path) -> Iterator[tuple[Program, list[Any]]]:
    """Give each program of the ARC libraries, with grids of several kinds."""
    grids = [
        [[0]],
        [[1, 2], [3, 0]],
        [[0, 0, 5], [0, 5, 0], [5, 0, 0]],
        [[(3 * row + 5 * column) % 10 for column in range(9)] for row in range(6)],
        [[8 if 1 < row < 6 and 2 < column < 7 else 0 for column in range(10)] for row in range(10)],
    ]
    for line in _lines(data / "concepts" / "arc2_program_library.jsonl"):
        yield Program(line["program"], "transform", "grid_list"), grids
    for line in _lines(data / "hypothesis_search" / "summaries_and_programs.jsonl"):
        if line.get("program"):
            yield Program("import numpy as np\n" + line["program"], "transform_grid", "grid_list"), grids


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)
