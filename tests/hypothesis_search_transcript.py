"""The files of Wang et al. 2023 ("Hypothesis Search") as one transcript: hypotheses, summaries, programs."""

import json
from pathlib import Path

MODEL = "gpt-4-0613"


def write_transcript(folder: Path, path: Path) -> dict[str, dict[str, str]]:
    """Write the transcript of the recorded ARC tasks to ``path``; give the recorded verdicts by task.

    A task's lines are its 64 hypotheses, their summary and the program of the chosen rule, as published: the
    last of up to three rounds of feedback, of which nothing else was kept. So it counts as round 0's.
    """
    lines = []
    for record in _read(folder / "hypotheses64.jsonl"):
        at = {"task": record["arc_file"].removesuffix(".json"), "round": 0, "model": MODEL}
        for sample, text in enumerate(record["hypotheses64"]):
            lines.append(
                at | {"sample": sample, "kind": "hypothesis", "temperature": 1.0, "hypothesis": text}
            )
        lines.append(at | {"sample": 0, "kind": "summary", "hypotheses": record["summarized"]})
    verdicts = {}
    for record in _read(folder / "summaries_and_programs.jsonl"):
        at = {"task": record["arc_file"].removesuffix(".json"), "round": 0, "model": MODEL}
        kept = {key: record[key] for key in ("hypothesis", "program")}
        lines.append(at | {"sample": 0, "kind": "translation", "temperature": 0.7} | kept)
        verdicts[at["task"]] = record
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return verdicts


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
