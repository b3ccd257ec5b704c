"""The messages of each step: a prefix that all steps of a task share, then what the step asks for.

The order serves prefix caching: the system message, the project's worked examples (the same for all tasks of
a family), the task with its examples (the same for all steps and rounds), and only then the instruction with
the rule, the program and what failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from hypotheses.hypothesis import Feedback
from hypotheses.models.chat import ContextOverflowError, Message
from hypotheses.models.tokens import EstimatedTokens
from hypotheses.prompts.choosing import choose, features_of
from hypotheses.prompts.differences import describe_failure, difference
from hypotheses.prompts.families import Worked, about, family_of, worked_examples
from hypotheses.prompts.fences import block, fence, line
from hypotheses.prompts.grammars import write_definition, write_grammar
from hypotheses.prompts.grids import EXPLANATIONS, as_grid, size, write_grid
from hypotheses.prompts.literals import call, callable_name, literal
from hypotheses.prompts.options import PromptOptions
from hypotheses.task import Example, Task
from memory import Concept
from sandboxes import Execution

VERSION = "2"
"""Changes with every change of what models are shown; recorded with each run."""

_MAX_VALUE = 6_000  # characters of one value
_MAX_ACTUAL = 1_000  # of a wrong output, or what was printed
_MAX_TEXT = 4_000  # of a description, a rule, a critique, a concept
_MAX_LINE = 600  # of an error, a note, one of many rules
_MAX_PROGRAM = 12_000
_MAX_CONCEPT = 6_000  # of all that is shown of one
_CHARS_PER_TOKEN = 2  # what the limits on single values assume; lists of small numbers have no more
_SHARED = 0.55  # of the context, at most, for the shared prefix where a step needs no more than the rest
_WORKED = 0.2  # of the context, at most, for worked examples
_FRAME = 24  # tokens that a chat's template puts around the messages, and a little more
_FAILURES = 64  # tokens of the words and the fence around failed examples
_REMEMBERED = 16  # tasks

_CALLS: dict[str, str] = {
    "single": "",
    "positional": "It is called with positional arguments.",
    "keyword": "It is called with keyword arguments, so its parameters must keep their names.",
    "grid_list": "It takes a grid as a list of rows, each a list of ints, and returns a grid alike.",
    "grid_ndarray": "It takes a grid as a two-dimensional numpy array of ints, and returns such an array.",
}
# Small models take to numpy wherever it is named, and of lists it made them solve less than half as many.
_PACKAGES = {"grid": " Use only the standard library and numpy."}
_LEVELS = {"": "hypothesize", "concrete": "hypothesize_concrete", "general": "hypothesize_general"}

_OUTPUT_LINE = "Answer with one line, the output as a Python literal:\nOutput: <value>"
_OUTPUT_GRID = "Answer with the output grid alone, written like those above, after a line that says Output:"
_OUTPUT_JSON = 'Answer with one JSON object, where a grid is a list of rows: {"output": <value>}'
_RULES_LIST = "Answer with a numbered list, a rule a line."
_RULES_JSON = 'Answer with one JSON object: {"rules": ["<rule>", ...]}'


_OUTLINED = 3
_MAX_NOTES = 6


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What all steps of a task need: the head of its prompts, and each example with its price in tokens."""

    task: Task
    system: str
    worked: str
    packages: str
    examples: tuple[str, ...]
    costs: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.costs)


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A prefix, and which of the task's examples it shows."""

    text: str
    shown: frozenset[int]


class Prompts:
    """Writes prompts.

    ``count`` counts the tokens of a text, by an estimate unless the model's own tokenizer is given;
    ``context`` is the model's window in tokens, ``None``: no limit. Each step gives the messages to send;
    ``reserve`` is how many tokens of the window its completion may take. Equal arguments give equal
    messages, in every process. All steps raise ``ContextOverflowError`` where not even one example fits.
    """

    def __init__(
        self,
        options: PromptOptions = PromptOptions(),  # noqa: B008  it is frozen
        *,
        count: Callable[[str], int] | None = None,
        context: int | None = None,
    ) -> None:
        self.options = options
        self._count = count or EstimatedTokens().count
        self._context = context
        self._limit = _MAX_VALUE
        if context is not None:
            self._limit = min(_MAX_VALUE, max(120, context * _CHARS_PER_TOKEN // 6))
        self._rendered: dict[int, _Rendered] = {}
        self._features: dict[int, tuple[Task, Any]] = {}

    def shortened(
        self, messages: Sequence[Message], reserve: int, factor: float, most: int | None = None
    ) -> Prompts:
        """Give prompts for a smaller context, of ``most`` tokens, after ``messages`` were too long for it."""
        length = int((self._tokens(*(message.content for message in messages)) + reserve) * factor)
        return Prompts(self.options, count=self._count, context=length if most is None else min(length, most))

    def tokens_of(self, concept: Concept) -> int:
        """Give how many tokens a concept takes up in a prompt."""
        return self._count(self._concept(concept)) + 1

    def outline(self, task: Task) -> str:
        """Give a task in short: its description, and the first few of its examples."""
        examples = self._render(task).examples[:_OUTLINED]
        return "\n".join([line(task.description, _MAX_LINE), *examples]).strip()

    # The steps

    def hypothesize(
        self,
        task: Task,
        *,
        reserve: int = 0,
        level: str = "",
        notes: Sequence[str] = (),
        concepts: Sequence[Concept] = (),
    ) -> tuple[Message, ...]:
        """Ask for one rule in words, at a ``level`` of abstraction: ``concrete``, ``general`` or any.

        Raises ``ValueError`` for another level.
        """
        if level not in _LEVELS:
            raise ValueError(f"no level {level!r}; choose one of {', '.join(filter(None, _LEVELS))}, or none")
        return self._compose(task, _LEVELS[level], self._background(notes, concepts), reserve)

    def revise_hypothesis(self, task: Task, feedback: Feedback, *, reserve: int = 0) -> tuple[Message, ...]:
        """Ask for a new rule, given one and the examples it fails on (Qiu et al. 2023)."""
        rule = self._rule(feedback.candidate.hypothesis.text)
        return self._compose(task, "revise_hypothesis", {"rule": rule}, reserve, feedback)

    def write_program(
        self,
        task: Task,
        *,
        reserve: int = 0,
        notes: Sequence[str] = (),
        concepts: Sequence[Concept] = (),
    ) -> tuple[Message, ...]:
        """Ask for a program without a rule in words."""
        return self._compose(task, "write_program", self._background(notes, concepts), reserve)

    def write_term(
        self,
        task: Task,
        *,
        reserve: int = 0,
        notes: Sequence[str] = (),
        concepts: Sequence[Concept] = (),
    ) -> tuple[Message, ...]:
        """Ask for a term of the task's grammar. Raises ``ValueError`` for a task without one."""
        if task.grammar is None:
            raise ValueError(f"task {task.id!r} has no grammar that a term could be of")
        limit = min(2 * self._limit, _MAX_PROGRAM)
        parts = {
            "grammar": fence("grammar", block(write_grammar(task.grammar), limit)),
            "form": fence("lisp", block(write_definition(task, "..."), _MAX_LINE)),
        }
        return self._compose(task, "write_term", self._background(notes, concepts) | parts, reserve)

    def translate(
        self, task: Task, rule: str, *, reserve: int = 0, concepts: Sequence[Concept] = ()
    ) -> tuple[Message, ...]:
        """Ask for a program that follows a rule."""
        parts = {"rule": self._rule(rule), "concepts": self._concepts(concepts)}
        with_examples = self.options.translate_with_examples
        return self._compose(task, "translate", parts, reserve, with_examples=with_examples)

    def critique(self, task: Task, feedback: Feedback, *, reserve: int = 0) -> tuple[Message, ...]:
        """Ask in words what is wrong with a program (Self-Refine)."""
        return self._compose(task, "critique", self._tried(feedback), reserve, feedback)

    def revise_program(
        self, task: Task, feedback: Feedback, *, critique: str = "", reserve: int = 0
    ) -> tuple[Message, ...]:
        """Ask for a better program, given one, the examples it fails on, and perhaps a critique."""
        parts = self._tried(feedback)
        if critique:
            said = fence("critique", block(critique.strip(), min(self._limit, _MAX_TEXT)))
            parts["critique"] = f"What is wrong with it:\n\n{said}"
        return self._compose(task, "revise_program", parts, reserve, feedback)

    def summarize(
        self, task: Task, hypotheses: Sequence[str], to: int, *, reserve: int = 0
    ) -> tuple[Message, ...]:
        """Ask for at most ``to`` rules that stand for many (Wang et al. 2023)."""
        limit = _MAX_LINE
        if self._context is not None and hypotheses:
            each = self._room(reserve) / 2 / len(hypotheses)
            limit = min(limit, max(60, int(each * _CHARS_PER_TOKEN)))
        rules = [f"{number}. {line(rule, limit)}" for number, rule in enumerate(hypotheses, 1)]
        parts = {
            "given": f"{_many(len(rules), 'rule')} were proposed:",
            "rules": fence("rules", "\n".join(rules)),
            "most": str(to),
            "form": _RULES_JSON if self.options.structured else _RULES_LIST,
        }
        return self._compose(task, "summarize", parts, reserve)

    def answer(self, task: Task, query: Any, *, reserve: int = 0) -> tuple[Message, ...]:
        """Ask for the output of a query itself."""
        parts = {"query": self._query(task, query), "form": self._form(task)}
        return self._compose(task, "answer", parts, reserve)

    def apply_rule(self, task: Task, rule: str, value: Any, *, reserve: int = 0) -> tuple[Message, ...]:
        """Ask for the output that a rule gives for an input: the model is the interpreter."""
        parts = {"rule": self._rule(rule), "query": self._query(task, value), "form": self._form(task)}
        return self._compose(task, "apply_rule", parts, reserve, with_examples=False)

    # The whole, within the context

    def _compose(
        self,
        task: Task,
        step: str,
        parts: Mapping[str, str],
        reserve: int,
        feedback: Feedback | None = None,
        *,
        with_examples: bool = True,
    ) -> tuple[Message, ...]:
        rendered = self._render(task)
        parts = {
            "name": callable_name(task.signature),
            "packages": rendered.packages,
            **parts,
        }
        budget = 0
        if feedback is not None:
            budget = self._budget_of_failures(self._tokens(_fill(step, parts)), reserve)
            parts |= self._failures(task, feedback, budget)
        suffix = _fill(step, parts)
        prefix = self._prefix(rendered, suffix, reserve, with_examples=with_examples)
        if feedback is not None:
            # An example that the prefix shows is only referred to, so this can only become shorter.
            suffix = _fill(step, {**parts, **self._failures(task, feedback, budget, prefix.shown)})
        return Message("system", rendered.system), Message("user", f"{prefix.text}\n\n{suffix}")

    def _budget_of_failures(self, others: int, reserve: int) -> int:
        """Give the tokens that failed examples may take: what leaves the shared prefix its share."""
        room = self._room(reserve)
        if self._context is None:
            return room
        return max(room - int(self._context * _SHARED) - others - _FAILURES, room // 4)

    def _room(self, reserve: int) -> int:
        """Give the tokens that a prompt may have."""
        return 2**62 if self._context is None else self._context - reserve - _FRAME

    def _prefix(self, rendered: _Rendered, suffix: str, reserve: int, *, with_examples: bool) -> _Prefix:
        if not with_examples:
            text = self._head(rendered, None)
            if self._context is not None:
                self._check(rendered, self._tokens(rendered.system, text, suffix), reserve)
            return _Prefix(text, frozenset())
        most = self.options.shots
        if self._context is None and (most is None or most >= len(rendered.examples)):
            shown = range(len(rendered.examples))
            return _Prefix(self._head(rendered, shown), frozenset(shown))
        rest = 0
        left = self._room(reserve)
        if self._context is not None:
            rest = self._tokens(rendered.system, self._head(rendered, ()))
            left -= self._tokens(suffix) + 2  # and the empty line between them
            smallest = min(rendered.costs)
            self._check(rendered, self._room(reserve) - left + rest + smallest, reserve)
            share = int(self._context * _SHARED)
            if smallest <= share - rest and rest + rendered.total > left:
                # The same for every step that leaves so much, so that they show the same examples.
                left = min(left, share)
        budget = left - rest
        while True:
            chosen = self._choose(rendered, budget, most)
            text = self._head(rendered, chosen)
            over = 0 if self._context is None else self._tokens(rendered.system, text) - left
            if over <= 0:
                return _Prefix(text, frozenset(chosen))
            if len(chosen) < 2:
                self._check(rendered, self._tokens(rendered.system, text, suffix), reserve)
                return _Prefix(text, frozenset(chosen))
            budget = sum(rendered.costs[index] for index in chosen) - over

    def _choose(self, rendered: _Rendered, budget: int, most: int | None) -> Sequence[int]:
        """Choose the examples to show; at least one, if it is over the budget."""
        everything = len(rendered.examples)
        if rendered.total <= budget and (most is None or most >= everything):
            return range(everything)
        return choose(self._describe(rendered.task), rendered.costs, budget, most) or [
            min(range(everything), key=rendered.costs.__getitem__)
        ]

    def _describe(self, task: Task) -> Any:
        known = self._features.get(id(task))
        if known is None or known[0] is not task:
            known = self._features[id(task)] = (task, features_of(task.examples))
            _forget(self._features)
        return known[1]

    def _check(self, rendered: _Rendered, needed: int, reserve: int) -> None:
        if needed > self._room(reserve):
            raise ContextOverflowError(
                f"task {rendered.task.id!r}: a prompt with one example needs {needed:,} tokens and the "
                f"answer {reserve:,}, more than the model's context of {self._context:,}; use a "
                "model with a longer context, fewer worked examples, or shorter answers"
            )

    def _tokens(self, *texts: str) -> int:
        return sum(map(self._count, texts))

    # The shared prefix

    def _render(self, task: Task) -> _Rendered:
        known = self._rendered.get(id(task))
        if known is None or known.task is not task:
            known = self._rendered[id(task)] = self._render_anew(task)
            _forget(self._rendered)
        return known

    def _render_anew(self, task: Task) -> _Rendered:
        family = family_of(task)
        explained = about(family)
        if family == "grid":
            explained += f" {EXPLANATIONS[self.options.grid]}"
        worked = [
            self._worked(number, one)
            for number, one in enumerate(worked_examples(family, task.signature, self.options.few_shot), 1)
        ]
        if self._context is not None:
            while worked and self._tokens(*worked) > self._context * _WORKED:
                worked.pop()
        examples = tuple(self._example(task, index, one) for index, one in enumerate(task.examples))
        costs = (1,) * len(examples)
        if self._context is not None:
            costs = tuple(1 + self._count(text) for text in examples)
        system = _fill("system", {"about": explained})
        packages = _PACKAGES.get(family, "")
        return _Rendered(task, system, "\n\n".join(worked), packages, examples, costs)

    def _worked(self, number: int, worked: Worked) -> str:
        task = worked.task
        examples = "\n".join(self._example(task, index, one) for index, one in enumerate(task.examples))
        parts = {
            "number": str(number),
            "examples": fence("examples", examples),
            "rule": worked.rule,
            "program": fence("python", worked.program),
        }
        return _fill("worked", parts)

    def _head(self, rendered: _Rendered, shown: Sequence[int] | None) -> str:
        """Write worked examples and task; ``None``: without a word of its examples."""
        task = rendered.task
        total = len(task.examples)
        description = block(task.description.strip(), min(self._limit, _MAX_TEXT))
        calls = [_CALLS[task.signature.call]]
        if task.tolerance is not None:
            calls.append(f"Numbers count as equal within {task.tolerance:g}.")
        parts = {
            "signature": fence("signature", line(str(task.signature), _MAX_LINE)),
            "call": " ".join(filter(None, calls)),
            "description": fence("description", description) if description else "",
            "count": "",
            "examples": "",
        }
        if shown is not None:
            number = len(shown)
            all_of_them = "Its only example:" if total == 1 else f"All {total} examples:"
            parts["count"] = all_of_them if number == total else f"{number} of its {total} examples:"
            parts["examples"] = fence("examples", "\n".join(rendered.examples[index] for index in shown))
        head = _fill("task", parts)
        return f"{rendered.worked}\n\n{head}" if rendered.worked else head

    def _example(self, task: Task, index: int, example: Example) -> str:
        given, wanted = self._grids(task, example)
        if given is None or wanted is None:
            return f"{call(task.signature, example.input, self._limit)} == {self._literal(example.output)}"
        return f"{self._grid(f'Example {index + 1} input', given)}\n{self._grid('output', wanted)}"

    def _grids(self, task: Task, example: Example) -> tuple[Any, Any]:
        if task.signature.call not in ("grid_list", "grid_ndarray"):
            return None, None
        return as_grid(example.input), as_grid(example.output)

    def _grid(self, what: str, grid: list[list[int]]) -> str:
        return f"{what}, {size(grid)}:\n{write_grid(grid, self.options.grid, self._limit)}"

    def _literal(self, value: Any) -> str:
        return literal(value, self._limit)

    # What a step adds

    def _rule(self, text: str) -> str:
        return fence("rule", block(text.strip(), min(self._limit, _MAX_TEXT)))

    def _background(self, notes: Sequence[str], concepts: Sequence[Concept]) -> dict[str, str]:
        noted = "\n".join(f"- {line(note, _MAX_LINE)}" for note in notes)
        return {
            "notes": f"What is known already:\n\n{fence('notes', noted)}" if notes else "",
            "concepts": self._concepts(concepts),
        }

    def _concepts(self, concepts: Sequence[Concept]) -> str:
        if not concepts:
            return ""
        written = "\n\n".join(map(self._concept, concepts))
        return f"Ideas from other tasks, which may help:\n\n{fence('concepts', written)}"

    def _concept(self, concept: Concept) -> str:
        parameters = ", ".join(line(one, _MAX_LINE) for one in concept.parameters)
        head = f"{line(concept.name, _MAX_LINE)}{f'({parameters})' if parameters else ''}"
        lines = [f"{head}: {line(concept.description, _MAX_LINE)}"]
        if concept.cues:
            lines.append(f"when: {'; '.join(line(cue, _MAX_LINE) for cue in concept.cues)}")
        if concept.notes:
            lines.append(f"how: {'; '.join(line(note, _MAX_LINE) for note in concept.notes[:_MAX_NOTES])}")
        if concept.program is not None:
            lines.append(block(concept.program.source.strip("\n"), min(self._limit, _MAX_TEXT)))
        # As a whole, too: cues may be many, and what cannot be seen is longer when it is written out.
        return block("\n".join(lines), min(2 * self._limit, _MAX_CONCEPT))

    def _tried(self, feedback: Feedback) -> dict[str, str]:
        rule, program = feedback.candidate.hypothesis.text, feedback.candidate.program
        source = "" if program is None else program.source.strip("\n")
        limit = min(2 * self._limit, _MAX_PROGRAM)
        return {
            "rule": f"The program was to follow this rule:\n\n{self._rule(rule)}" if rule.strip() else "",
            "program": fence("python", block(source, limit)),
            "critique": "",
        }

    def _query(self, task: Task, value: Any) -> str:
        given, _ = self._grids(task, Example(value, value))
        if given is not None:
            return fence("input", self._grid("input", given))
        return fence("input", call(task.signature, value, self._limit))

    def _form(self, task: Task) -> str:
        if self.options.structured:
            return _OUTPUT_JSON
        return _OUTPUT_GRID if task.signature.call in ("grid_list", "grid_ndarray") else _OUTPUT_LINE

    def _failures(
        self, task: Task, feedback: Feedback, budget: int, shown: frozenset[int] = frozenset()
    ) -> dict[str, str]:
        """Say what went wrong, and show the examples that failed, as many as the budget allows."""
        verdict = feedback.verdict
        failed = [index for index, right in enumerate(verdict.correct) if not right]
        told = failed[:1] if self.options.failures == "first" else failed
        if self._context is not None and len(told) > 1:
            told = self._affordable(task, feedback, told, budget)
        written = "\n".join(self._failure(task, index, verdict.executions[index], shown) for index in told)
        passed = f"It gave the output of {verdict.passed} of {_many(verdict.total, 'example')}."
        if len(told) < len(failed):
            passed += f" {len(told)} of the {len(failed)} that failed:"
        elif failed:
            passed += " Those that failed:" if len(failed) > 1 else " The one that failed:"
        return {"passed": passed, "failures": fence("failures", written) if told else ""}

    def _affordable(self, task: Task, feedback: Feedback, failed: list[int], budget: int) -> list[int]:
        executions = feedback.verdict.executions
        costs = [1 + self._count(self._failure(task, index, executions[index])) for index in failed]
        if sum(costs) <= budget:
            return failed
        features = self._describe(task)[failed]
        return [failed[position] for position in choose(features, costs, budget)] or failed[:1]

    def _failure(self, task: Task, index: int, run: Execution, shown: frozenset[int] = frozenset()) -> str:
        example = task.examples[index]
        given, wanted = self._grids(task, example)
        is_grid = given is not None and wanted is not None
        if is_grid and index in shown:
            lines = [f"Example {index + 1}, shown above"]
        else:
            lines = [self._example(task, index, example)]
        if run.ok:
            lines += self._wrong(task, example, run.value, is_grid=is_grid)
        else:
            lines.append(f"  but it {line(describe_failure(run), _MAX_LINE)}")
        if run.stdout.strip():
            lines.append(f"  printed: {literal(run.stdout, min(self._limit, _MAX_ACTUAL) // 2)}")
        return "\n".join(lines)

    def _wrong(self, task: Task, example: Example, actual: Any, *, is_grid: bool) -> list[str]:
        differs = difference(example.output, actual, task.tolerance, grid=is_grid)
        came = as_grid(actual) if is_grid else None
        if came is not None:
            lines = [self._grid("but it gave", came)]
        else:
            lines = [f"  but it gave {literal(actual, min(self._limit, _MAX_ACTUAL))}"]
        return [*lines, f"  {differs}"] if differs else lines


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _forget(remembered: dict[int, Any]) -> None:
    """Drop the oldest, so that what is remembered does not grow with the number of tasks."""
    while len(remembered) > _REMEMBERED:
        del remembered[next(iter(remembered))]


@cache
def _template(step: str) -> tuple[str, ...]:
    """Give the paragraphs of a template."""
    file = resources.files("hypotheses.prompts") / "templates" / f"{step}.txt"
    return tuple(file.read_text(encoding="utf-8").strip("\n").split("\n\n"))


def _fill(step: str, parts: Mapping[str, str]) -> str:
    """Fill in a template; a paragraph that is one placeholder without a value falls away."""
    filled = (Template(paragraph).substitute(_Defaults(parts)) for paragraph in _template(step))
    return "\n\n".join(paragraph for paragraph in filled if paragraph)


class _Defaults(dict[str, str]):
    """Values of placeholders, empty where a step says nothing."""

    def __missing__(self, key: str) -> str:
        return ""
