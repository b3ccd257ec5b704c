"""The specification: examples to explain and queries to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypotheses.sygus.grammar import Grammar
    from sandboxes import CallStyle


@dataclass(frozen=True, slots=True)
class Example:
    """An input and the output it must give. Both are data (see ``sandboxes.values``)."""

    input: Any
    output: Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the function to be found; ``type`` is a Python annotation such as ``list[int]``."""

    name: str
    type: str = "Any"


@dataclass(frozen=True, slots=True)
class Signature:
    """The function to be found: its parameters, the type it returns, its name, and how it is called."""

    parameters: tuple[Parameter, ...]
    returns: str = "Any"
    name: str = "f"
    call: CallStyle = "single"

    def __str__(self) -> str:
        parameters = ", ".join(f"{p.name}: {p.type}" for p in self.parameters)
        return f"{self.name}({parameters}) -> {self.returns}"


@dataclass(frozen=True, slots=True)
class Task:
    """What a program must explain (``examples``) and the inputs it must answer (``queries``).

    A task never holds the answers to its queries. ``family`` names the kind of task (``arc``, ``sygus``,
    ``list-functions`` …). ``grammar``, where there is one, is the language a solution must be a term of.
    ``tolerance`` is the absolute and relative error allowed for floats; ``None`` means exact.
    """

    id: str
    examples: tuple[Example, ...]
    queries: tuple[Any, ...]
    signature: Signature
    family: str = "own"
    description: str = ""
    grammar: Grammar | None = field(default=None, repr=False)
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError(f"task {self.id!r} has no examples; give it at least one input with its output")

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[Any, Any]],
        queries: Iterable[Any] = (),
        *,
        id: str = "task",  # noqa: A002  what it is called everywhere else
        call: CallStyle = "single",
        description: str = "",
    ) -> Self:
        """Make a task of (input, output) pairs, with a signature inferred from them.

        Raises ``ValueError`` where there are no pairs, or their inputs do not fit ``call``.
        """
        examples = tuple(Example(given, wanted) for given, wanted in pairs)
        signature = infer_signature(examples, call) if examples else Signature(())
        return cls(id, examples, tuple(queries), signature, description=description)


def infer_type(values: Sequence[Any]) -> str:
    """Give the Python annotation that fits all of ``values``, ``Any`` where they have nothing in common."""
    types = {_type_of(value) for value in values}
    types.discard("list")  # an empty list fits every list
    if not types:
        return "list[Any]" if values else "Any"
    if types == {"int", "float"}:
        return "float"
    return types.pop() if len(types) == 1 else "Any"


def _type_of(value: Any) -> str:
    if isinstance(value, list):
        if not value:
            return "list"
        inner = infer_type(value)
        return "list[Any]" if inner == "Any" else f"list[{inner}]"
    return "None" if value is None else type(value).__name__


def infer_signature(
    examples: Sequence[Example], call: CallStyle, *, names: Sequence[str] = (), name: str = "f"
) -> Signature:
    """Work out a signature from examples; ``names`` are the parameters' names where they are known.

    Raises ``ValueError`` where the inputs do not all fit ``call`` or differ in the number of arguments.
    """
    returns = infer_type([example.output for example in examples])
    if call in ("grid_list", "grid_ndarray"):
        grid = "list[list[int]]" if call == "grid_list" else "np.ndarray"
        return Signature((Parameter(names[0] if names else "grid", grid),), grid, name, call)
    if call == "single":
        columns = [[example.input for example in examples]]
        names = names or ("x",)
    elif call == "positional":
        if not all(isinstance(example.input, list | tuple) for example in examples):
            raise ValueError("a positional call takes a list or tuple of arguments as input")
        widths = {len(example.input) for example in examples}
        if len(widths) != 1:
            raise ValueError(f"the examples' inputs have different numbers of arguments: {sorted(widths)}")
        columns = [list(column) for column in zip(*(example.input for example in examples), strict=True)]
        names = names or tuple(f"x{i + 1}" for i in range(len(columns)))
    else:
        if not all(isinstance(example.input, dict) for example in examples):
            raise ValueError("a keyword call takes a dict from parameter name to argument as input")
        names = names or tuple(examples[0].input)
        for example in examples:
            if set(example.input) != set(names):
                raise ValueError(f"an input has the keys {sorted(example.input)}, not {sorted(names)}")
        columns = [[example.input[key] for example in examples] for key in names]
    parameters = tuple(Parameter(key, infer_type(column)) for key, column in zip(names, columns, strict=True))
    return Signature(parameters, returns, name, call)
