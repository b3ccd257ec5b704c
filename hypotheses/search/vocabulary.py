"""What the project's own languages share: how a task is put into one, and how much it is believed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypotheses.search.arguments import kind_of, rows_of
from hypotheses.search.language import (
    Column,
    Constant,
    Expression,
    Language,
    Operator,
    Problem,
    Variable,
    arithmetic,
    choosing,
    joining,
)
from hypotheses.search.printing import python_of, sentence_of
from hypotheses.search.python_code import identifiers, program
from hypotheses.task import Task
from sandboxes import Program

LEAST_COVER = 2
"""How many examples each branch of a choice must explain."""

CEILING = 24
"""The greatest cost of an expression built backwards that is still believed."""

PATIENCE = 50_000
"""How many terms per unit of its cost such an expression waits for a cheaper one."""

MANY_EXAMPLES = 16
"""With so many examples a tenth of that is enough, and twice the cost is believed: chance is left little."""


@dataclass(frozen=True)
class Vocabulary:
    """The words of a language, before a task gives them variables and constants.

    ``kinds`` are those that arguments and outputs may have, ``sequences`` those of them that can be joined.
    ``constants`` picks constants, and ``limit`` the sizes to keep to, from the columns of the arguments and
    the outputs. ``imports`` are the lines that names in the operators' Python need, ``locals`` the other
    names that these lines define.
    """

    kinds: tuple[str, ...]
    operators: tuple[Operator, ...]
    constants: Callable[[Sequence[Column], Column], Iterable[Constant]]
    limit: Callable[[Sequence[Column]], Callable[[Column], bool]]
    imports: Mapping[str, str]
    sequences: tuple[str, ...]
    locals: tuple[str, ...] = ()

    def problem(self, task: Task) -> Problem | None:
        """Put ``task`` into the language; ``None`` where a value has none of its kinds."""
        names = identifiers(task.signature, [*self.imports, *self.locals])
        if task.signature.call.startswith("grid"):
            return None
        try:
            rows, outputs, queries = rows_of(task)
        except (LookupError, TypeError, RecursionError):  # queries of another form, or nested too deeply
            return None
        columns = list(zip(*rows, strict=True))
        kinds = [kind_of(column) for column in (*zip(*rows, *queries, strict=True), outputs)]
        if not columns or any(kind not in self.kinds for kind in kinds):
            return None
        variables = [
            Variable(parameter.name, str(kind), position)
            for position, (parameter, kind) in enumerate(
                zip(task.signature.parameters, kinds[:-1], strict=True)
            )
        ]

        def implement(expression: Expression) -> Program:
            body = python_of(expression, names)
            used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
            imports = dict.fromkeys(line for name, line in self.imports.items() if name in used)
            divides = any(isinstance(node, ast.Div) for node in ast.walk(body))
            decimals = divides or "float" in used or "float" in kinds
            helpers = ["".join(imports)] if imports else []
            return program(task.signature, names, body, helpers, tidy=not decimals)

        few = len(rows) < 2 * LEAST_COVER
        language = Language(
            start=str(kinds[-1]),
            leaves=(*variables, *self.constants(columns, outputs)),
            operators=self.operators,
            describe=sentence_of,
            implement=implement,
            fits=self.limit([*columns, outputs]),
            concatenations={kind: joining(kind) for kind in self.sequences},
            conditionals={} if few else {kind: choosing(kind) for kind in self.kinds},
            inverses={kind: arithmetic(kind) for kind in ("int", "float")},
            least_cover=LEAST_COVER,
            ceiling=CEILING * (1 if len(rows) < MANY_EXAMPLES else 2),
            patience=PATIENCE if len(rows) < MANY_EXAMPLES else PATIENCE // 10,
        )
        return Problem(language, rows, outputs, queries)
