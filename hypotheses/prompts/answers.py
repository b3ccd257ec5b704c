"""What is read out of a model's answer: an output, or a list of rules. Nothing is ever evaluated."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypotheses.prompts.grids import as_grid, read_grid
from hypotheses.prompts.literals import callable_name, plain
from hypotheses.prompts.options import PromptOptions
from hypotheses.task import Task

MAX_READ = 100_000
"""Characters of an answer that are looked at: its end, where it is longer."""

_MAX_STARTS = 64  # places in prose at which a value may begin
_MAX_DEPTH = 6  # of a schema
_MAX_KEYS = 32
_MAX_SEEN = 256  # elements and examples that a schema is made from

_FENCED = re.compile(r"^[ \t]*(`{3,})[^\n`]*\n(.*?)^[ \t]*\1`*[ \t]*$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(
    r"\b(?:final +)?(?:output|answer|result)(?: (?:grid|value|list|string))?\**"
    r"(?: (?:is|would be|will be))?\**(?:\([^()\n]{0,80}\))?,? *(?:[:=]|(?<= is)|(?<= be))+\**",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"^[ \t>]*(?:\*\*)?(?:rule|hypothesis)?[ \t]*#?(\d{1,4})(?:[.):]|\*\*[.):]?)+\s+(.*)$", re.IGNORECASE
)
_BULLET = re.compile(r"^[ \t>]*[-*+\u2022][ \t]+(.*)$")
_RULE = re.compile(r"^[ \t>]*(?:\*\*)?rule(?:\*\*)?:(?:\*\*)?[ \t]*(.*)$", re.IGNORECASE)
_NUMBER_WORDS = {
    "nan": math.nan,
    "float('nan')": math.nan,
    "inf": math.inf,
    "float('inf')": math.inf,
    "-inf": -math.inf,
    "float('-inf')": -math.inf,
    "infinity": math.inf,
    "-infinity": -math.inf,
}
_MISSING = object()


def read_value(text: str, task: Task, options: PromptOptions) -> Any:
    """Read the output that a model gave for an input of ``task``.

    JSON, a Python literal, a grid in any encoding, in a fence, after ``Output:`` or amid prose; the same
    wrapped as ``{"output": …}``. A string is taken exactly where it is quoted, and as the rest of its line
    where it is not. Raises ``ValueError`` where there is no value.
    """
    text = text[-MAX_READ:].strip()
    if not text:
        raise ValueError("the answer is empty")
    if task.signature.call in ("grid_list", "grid_ndarray"):
        return _read_as_grid(text, options)
    outputs = [plain(example.output) for example in task.examples[:_MAX_SEEN]]
    strings = sum(isinstance(output, str) for output in outputs)
    wrapped = all(isinstance(output, Mapping) and set(output) == {"output"} for output in outputs)
    for snippet in _snippets(text, task):
        value = _parse(snippet)
        if value is not _MISSING:
            value = _unwrap(value, wrapped=wrapped)
            if isinstance(value, str) or strings < len(outputs) or _is_object(snippet):
                return value
        raw = _raw(snippet) if strings and snippet is not text else None
        if raw is not None:
            return raw
    if strings and not _MARK.search(text):
        raw = _raw(text)
        if raw is not None:
            return raw
    if strings < len(outputs):
        for value in _amid_prose(text):
            return _unwrap(value, wrapped=wrapped)
    raise ValueError("no value in the answer")


def read_rules(text: str) -> list[str]:
    """Read rules: JSON ``{"rules": […]}`` or a list of strings, a numbered list, bullets, or ``Rule: …``.

    A rule may go on over indented or plain lines. Rules that repeat are given once; an answer without any
    such mark is one rule.
    """
    text = text[-MAX_READ:].strip()
    for snippet in (text, *reversed(_fenced(text)), *_bracketed(text)):
        rules = _rules_of(_parse_json(snippet))
        if rules:
            return _distinct(rules)
    return _distinct(_listed(text) or [text])


def value_schema(task: Task) -> str:
    """Give the JSON schema of ``{"output": value}`` for outputs such as the examples have, as JSON text."""
    if task.signature.call in ("grid_list", "grid_ndarray"):
        row = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
        return _canonical(_object({"output": {"type": "array", "items": row, "minItems": 1}}))
    outputs = [plain(example.output) for example in task.examples[:_MAX_SEEN]]
    return _canonical(_object({"output": _schema(outputs, 0)}))


def rules_schema(to: int) -> str:
    """Give the JSON schema of ``{"rules": […]}`` with at most ``to`` rules, as JSON text."""
    rules = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": to}
    return _canonical(_object({"rules": rules}))


# Values


def _read_as_grid(text: str, options: PromptOptions) -> Any:
    for snippet in _snippets(text, None):
        value = _parse(snippet)
        grid = as_grid(_unwrap(value, wrapped=False)) if value is not _MISSING else None
        if grid:
            return grid
        # One number alone in prose is no grid, but in a grid's own notation it is.
        try:
            return read_grid(snippet)
        except ValueError:
            continue
    for value in _amid_prose(text):
        grid = as_grid(_unwrap(value, wrapped=False))
        if grid:
            return grid
    raise ValueError(f"no grid in the answer, as {options.grid} or in any other way")


def _snippets(text: str, task: Task | None) -> Iterator[str]:
    """Give the parts of an answer that may be the value, the likeliest first."""
    yield text
    marks = list(_MARK.finditer(text))
    for mark in reversed(marks[-3:]):
        rest = text[mark.end() :].strip()
        if rest:
            fenced = _fenced(rest)
            if fenced and rest.startswith("```"):
                yield fenced[0].strip("\n")
            yield rest
            yield rest.split("\n", 1)[0].strip()
    if task is not None:
        end = _after_call(text, callable_name(task.signature))
        if end is not None:
            yield text[end:].strip().split("\n", 1)[0].strip(" `")
    for inside in reversed(_fenced(text)):
        yield inside.strip("\n")


def _after_call(text: str, name: str) -> int | None:
    """Give where the last ``f(…) ==`` ends. Each line is read once: a pattern for all would be quadratic."""
    opening, closing = re.compile(rf"\b{re.escape(name)}\("), re.compile(r"\)[^\S\n]*==?>?\s*")
    last, at = None, 0
    for row in text.splitlines(keepends=True):
        if begun := opening.search(row):
            for one in closing.finditer(text, at + begun.end(), at + len(row)):
                last = one.end()
        at += len(row)
    return last


def _fenced(text: str) -> list[str]:
    return [found[1] for found in _FENCED.findall(text)]


def _parse(snippet: str) -> Any:
    """Parse JSON or a Python literal, perhaps in quotes of Markdown; ``_MISSING`` where it is none."""
    snippet = snippet.strip()
    if len(snippet) > 2 and snippet[0] == snippet[-1] == "`" and "`" not in snippet[1:-1]:
        snippet = snippet[1:-1].strip()
    for one in (snippet, snippet.rstrip(" .;*`")):
        if one.lower() in _NUMBER_WORDS:
            return _NUMBER_WORDS[one.lower()]
        value = _parse_json(one)
        if value is _MISSING:
            value = _parse_literal(one)
        if value is not _MISSING:
            return value
    return _MISSING


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING


def _parse_literal(text: str) -> Any:
    if len(text) > MAX_READ:
        return _MISSING
    try:
        with warnings.catch_warnings(action="ignore"):  # "\d" and the like are the model's affair
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _MISSING


def _is_object(snippet: str) -> bool:
    return snippet.lstrip().startswith("{")


def _unwrap(value: Any, *, wrapped: bool) -> Any:
    """Take the value out of ``{"output": value}``, unless the task's own outputs look like that."""
    if not (isinstance(value, dict) and set(value) == {"output"}):
        return value
    inner = value["output"]
    if wrapped and not (isinstance(inner, dict) and set(inner) == {"output"}):
        return value
    return inner


def _raw(snippet: str) -> str | None:
    """Take a line of text as it stands, without the quotes around it; ``None`` for anything longer."""
    snippet = snippet.strip("\n")
    if "\n" in snippet.strip() or not snippet.strip() or snippet.lstrip().startswith("```"):
        return None
    snippet = snippet.strip()
    for quote in ("`", '"', "'"):
        if len(snippet) > 1 and snippet[0] == snippet[-1] == quote:
            return snippet[1:-1]
    return snippet.strip("*") if snippet.startswith("**") else snippet


def _amid_prose(text: str) -> Iterator[Any]:
    """Give the values that stand in a text, brackets before bare words, the last first."""
    for part in reversed(_bracketed(text)):
        value = _parse(part)
        if value is not _MISSING:
            yield value
    for word in reversed(
        re.findall(r"(?<![\w.])(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|True|False|None)\b", text)
    ):
        value = _parse_literal(word)
        if value is not _MISSING:
            yield value


def _bracketed(text: str) -> list[str]:
    """Give the outermost bracketed parts of a text, in order; strings inside them hide their brackets."""
    parts: list[tuple[int, int]] = []
    opened: list[tuple[str, int]] = []
    quote, escaped = "", False
    for at, char in enumerate(text):
        if quote:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char in (quote, "\n"):
                quote = ""
        elif opened and char in "\"'":
            quote = char
        elif char in "[{(":
            opened.append(({"[": "]", "{": "}", "(": ")"}[char], at))
        elif opened and char == opened[-1][0]:
            _, start = opened.pop()
            while parts and parts[-1][0] > start:
                parts.pop()
            parts.append((start, at + 1))
    return [text[start:end] for start, end in parts[-_MAX_STARTS:]]


# Rules


def _rules_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value.get("rules")
    if not isinstance(value, list):
        return []
    rules = [item.get("rule") if isinstance(item, dict) else item for item in value]
    return [rule for rule in rules if isinstance(rule, str)]


def _listed(text: str) -> list[str]:
    lines = text.split("\n")
    for mark in (_NUMBERED, _BULLET, _RULE):
        if any(map(mark.match, lines)):
            return _items(lines, mark)
    return []


def _items(lines: Sequence[str], mark: re.Pattern[str]) -> list[str]:
    """Give the items of a list; a line without a mark goes on with its item, until an empty line."""
    items: list[str] = []
    going_on = False
    for one in lines:
        found = mark.match(one)
        if found:
            items.append(found[found.re.groups])
            going_on = True
        elif not one.strip():
            going_on = False
        elif items and (going_on or one[0] in " \t"):
            items[-1] += f"\n{one.strip()}"
    return items


def _distinct(rules: Sequence[str]) -> list[str]:
    cleaned = (_cleaned(rule) for rule in rules)
    return list(dict.fromkeys(rule for rule in cleaned if rule))


def _cleaned(rule: str) -> str:
    rule = rule.strip()
    found = _RULE.match(rule.split("\n", 1)[0])
    if found:
        rule = "\n".join([found[1], *rule.split("\n")[1:]]).strip()
    if rule.startswith("**") and rule.endswith("**") and rule.count("**") == 2:
        rule = rule[2:-2]
    return rule.strip()


# Schemas


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _canonical(schema: dict[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def _schema(seen: Sequence[Any], depth: int) -> dict[str, Any]:
    """Give a schema that all of ``seen`` satisfy, and values like them; none where they say little."""
    if depth >= _MAX_DEPTH or not seen:
        return {}
    kinds = {_json_type(value) for value in seen}
    if None in kinds:
        return {}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    schemas = [_schema_of(kind, seen, depth) for kind in sorted(filter(None, kinds))]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _schema_of(kind: str, seen: Sequence[Any], depth: int) -> dict[str, Any]:
    if kind == "array":
        inner = [plain(item) for value in seen if _json_type(value) == kind for item in _some(value)]
        items = _schema(inner[:_MAX_SEEN], depth + 1)
        return {"type": "array", "items": items} if items else {"type": "array"}
    if kind == "object":
        objects = [value for value in seen if _json_type(value) == kind]
        keys = set(objects[0])
        if keys and len(keys) <= _MAX_KEYS and all(set(one) == keys for one in objects) and len(objects) > 1:
            return _object(
                {key: _schema([plain(one[key]) for one in objects], depth + 1) for key in sorted(keys)}
            )
        inner = [plain(item) for one in objects for item in list(one.values())[:_MAX_SEEN]]
        items = _schema(inner[:_MAX_SEEN], depth + 1)
        return {"type": "object", "additionalProperties": items} if items else {"type": "object"}
    return {"type": kind}


def _some(value: Any) -> list[Any]:
    """Give the first elements of a sequence; those of a set in no order, which their types do not show."""
    return list(value)[:_MAX_SEEN]


def _json_type(value: Any) -> str | None:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float() if value - value == 0:
            return "number"
        case str():
            return "string"
        case list() | tuple() | set() | frozenset():
            return "array"
        case dict() if all(isinstance(key, str) for key in value):
            return "object"
    return None
