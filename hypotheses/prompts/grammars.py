"""A SyGuS task's grammar, and the form of what is asked for, in the notation of SyGuS-IF."""

from __future__ import annotations

from hypotheses.sygus.grammar import Grammar, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts, result_sort
from hypotheses.task import Task


def write_grammar(grammar: Grammar) -> str:
    """Write each non-terminal on a line: its name, its sort, and what it may become."""
    return "\n".join(
        f"({one.name} {one.sort} ({' '.join(map(to_sexpr, one.productions))}))"
        for one in grammar.nonterminals
    )


def write_definition(task: Task, body: str) -> str:
    """Write the ``define-fun`` of the function that the task asks for."""
    parameters = " ".join(f"({name} {sort})" for name, sort in parameter_sorts(task).items())
    return f"(define-fun {task.signature.name} ({parameters}) {result_sort(task)} {body})"
