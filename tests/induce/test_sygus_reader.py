"""SyGuS files of versions 1 and 2.1 become tasks; what is not example-based is refused by name and line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hypotheses.sygus.grammar import AnyConstant, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts, result_sort
from hypotheses.task import Example, Parameter, Signature, Task
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.sygus import SygusReader, parse_sygus
from sandboxes import TaskFormatError

VERSION_1 = """; a comment
(set-logic SLIA)
(synth-fun f ((name String)) String
  ((Rest String (name "" " " (str.++ Start Rest) (int.to.str ntInt)))
   (Start String (Rest))
   (ntInt Int (0 -1 (str.to.int Rest)))))
(declare-var name String)
(constraint (= (f "a ""b"" /n") "b"))
(constraint (= "" (f "\\u{41}\\n")))
(constraint (= "" (f "\\u{41}\\n")))
(check-synth)
"""

VERSION_2 = """(set-logic ALL)
(set-feature :recursion false)
(define-fun first ((s String)) String (str.at s 0))
(synth-fun f ((s String) (i Int)) Int
  ((I Int) (S String) (B Bool))
  ((I Int ((Constant Int) (Variable Int) (str.len S) (ite B I I) (- 1)))
   (S String ((Variable String) (first S)))
   (B Bool ((< I I)))))
(constraint (and (= (f "ab" (- 1)) 2) (= 3 (f (first "xyz") (+ 1 2)))))
(constraint (let ((n 7)) (= (f "" n) n)))
(check-synth)
"""

BIT_VECTORS = """(set-logic BV)
(define-sort Byte (_ BitVec 8))
(define-fun shl1 ((x (BitVec 8))) (BitVec 8) (bvshl x #x01))
(synth-fun f ((x Byte) (y Byte)) (BitVec 8)
  ((Start Byte (x y (_ bv3 8) (shl1 Start) (bvadd Start ((_ sign_extend 4) ((_ extract 3 0) Start)))))))
(constraint (= (f #x01 #b00000010) (bvnot #x00)))
"""


def grammar_of(task: Task) -> list[tuple[str, str, list[str]]]:
    assert task.grammar is not None
    return [(n.name, n.sort, [to_sexpr(p) for p in n.productions]) for n in task.grammar.nonterminals]


def test_version_1() -> None:
    task = parse_sygus(VERSION_1, "one")
    assert (task.id, task.family, task.queries) == ("one", "sygus", ())
    assert task.signature == Signature((Parameter("name", "str"),), "str", "f", "single")
    assert task.examples == (Example('a "b" /n', "b"), Example("A\\n", ""), Example("A\\n", ""))
    assert grammar_of(task) == [
        ("Start", "String", ["Rest"]),
        ("Rest", "String", ["name", '""', '" "', "(str.++ Start Rest)", "(str.from_int ntInt)"]),
        ("ntInt", "Int", ["0", "(- 1)", "(str.to_int Rest)"]),
    ]


def test_version_2_1() -> None:
    task = parse_sygus(VERSION_2, "two")
    assert task.signature == Signature(
        (Parameter("s", "str"), Parameter("i", "int")), "int", "f", "positional"
    )
    assert task.examples == (Example(["ab", -1], 2), Example(["x", 3], 3), Example(["", 7], 7))
    assert grammar_of(task) == [
        ("I", "Int", ["(Constant Int)", "i", "(str.len S)", "(ite B I I)", "(- 1)"]),
        ("S", "String", ["s", "(str.at S 0)"]),
        ("B", "Bool", ["(< I I)"]),
    ]
    assert task.grammar is not None
    assert task.grammar.nonterminals[0].productions[0] == AnyConstant("Int")


def test_bit_vectors_are_unsigned_and_keep_their_width_in_the_grammar() -> None:
    task = parse_sygus(BIT_VECTORS, "three")
    assert task.examples == (Example([1, 2], 255),)
    assert [p.type for p in task.signature.parameters] == ["int", "int"]
    assert parameter_sorts(task) == {"x": "(_ BitVec 8)", "y": "(_ BitVec 8)"}
    assert result_sort(task) == "(_ BitVec 8)"
    assert grammar_of(task)[0][2][2:] == [
        "#x03",
        "(bvshl Start #x01)",
        "(bvadd Start ((_ sign_extend 4) ((_ extract 3 0) Start)))",
    ]


def test_a_predicate_may_stand_alone() -> None:
    task = parse_sygus(
        '(synth-fun p ((s String)) Bool) (constraint (and (p "a") (not (p "")) (= (p "b") true)))', "p"
    )
    assert task.grammar is None
    assert task.examples == (Example("a", True), Example("", False), Example("b", True))


def test_contradictions_are_read_as_they_stand() -> None:
    task = parse_sygus("(synth-fun f ((x Int)) Int)(constraint (= (f 1) 1))(constraint (= (f 1) 2))", "c")
    assert task.examples == (Example(1, 1), Example(1, 2))


F = "(synth-fun f ((x Int)) Int)\n"
GRAMMAR = "(synth-fun f ((x Int)) Int\n((Start Int)) ((Start Int (x\n%s))))\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected a (synth-fun …) in the file, found none"),
        ("\nx", 2, "expected a command in parentheses, found x"),
        ("((f))", 1, "expected a command, found ((f))"),
        ("(synth-fun f ((x Int)", 1, "never closed"),
        ("(synth-fun f)", 1, "this (synth-fun …) does not have the form that the standard gives it"),
        ("(synth-fun f () Int)", 1, "f has no parameters"),
        ("(synth-fun f ((x Real)) Int)", 1, "sort Real is not supported"),
        ("(synth-fun f ((x Int) (x Int)) Int)", 1, "expected (name sort) with a new name, found (x Int)"),
        (F + "(synth-fun g ((x Int)) Int)", 2, "g is a second synth-fun"),
        (F + "(check-synth)", 2, "not example-based: the file has no constraint"),
        (F + "(declare-datatypes ((List 0)) (((nil))))", 2, "command declare-datatypes is not supported"),
        (F + "(inv-constraint a b c d)", 2, "command inv-constraint is not supported"),
        (F + "(constraint)", 2, "this (constraint …) does not have the form"),
        ("(constraint (= (f 1) 1))", 1, "expected (synth-fun …) before the first constraint"),
        (
            F + "(declare-var y Int)\n(constraint (>= (f y) y))",
            3,
            "not example-based: expected a constraint (= (f ",
        ),
        (
            F + "(constraint (= (f y) 1))",
            2,
            "not example-based: the argument x depends on y; expected a constant",
        ),
        (
            F + "(constraint (= (f 1) (f 2)))",
            2,
            "the value of f is not a constant: operator f is not supported",
        ),
        (F + "(constraint (= (f 1 2) 1))", 2, "f takes 1 arguments, found 2"),
        (F + '(constraint (= (f "a") 1))', 2, "expected the argument x to be of sort Int, found String"),
        (F + "(constraint (f 1))", 2, "expected the value of f to be of sort Int, found Bool"),
        (F + "(constraint (= (f 1.5) 1))", 2, "expected a term, found the decimal 1.5"),
        ("(define-fun g ((x Int)) Bool x)", 1, "expected the body of g to be of sort Bool, found Int"),
        ("(define-fun g ((x Int)) Int y)", 1, "g: y is not declared"),
        (GRAMMAR % "(str.len x)", 3, "in Start: (str.len x) does not fit together: str.len is given Int"),
        (GRAMMAR % "(str.rev x)", 3, "in Start: operator str.rev is not supported"),
        (GRAMMAR % "(= x x)", 3, "Start is of sort Int, yet (= x x) is of sort Bool"),
        (GRAMMAR % "y", 3, "in Start: y is not declared"),
        (GRAMMAR % "(let ((y x)) y)", 3, "(let …) in a grammar is not supported"),
        ("(define-fun g ((x Int)) Int (+ x x))\n" + GRAMMAR % "(+ 1 (g x))", 4, "g uses an argument twice"),
        ("(synth-fun f ((x Int)) Int ())", 1, "expected a grammar with at least one non-terminal"),
        (
            "(synth-fun f ((x Int)) Int (Start))",
            1,
            "expected (non-terminal sort (productions…)), found Start",
        ),
        ("(synth-fun f ((x Int)) Int ((x Int (1))))", 1, "x is declared twice"),
        ("(synth-fun f ((x Int)) Int ((S Bool (true))))", 1, "start symbol S to be of sort Int, found Bool"),
        (
            "(synth-fun f ((x Int)) Int ((A Int)) ((B Int (1))))",
            1,
            "in the order of the declared non-terminals",
        ),
        ("(synth-fun f ((x Int)) Int 1)", 1, "expected a grammar: (non-terminals…) (groups…)"),
        (
            "(synth-fun f ((x (_ BitVec 8))) Int)\n(constraint (= (f #x01) 1))",
            1,
            "x is a bit-vector; expected a grammar with x as a production",
        ),
        (
            "(synth-fun f ((x Int)) (_ BitVec 8))\n(constraint (= (f 1) #x01))",
            1,
            "f gives a bit-vector; expected a grammar",
        ),
    ],
)
def test_errors_name_the_line_and_what_was_expected(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    path = tmp_path / "bad.sl"
    path.write_text(text)
    [error] = SygusReader().read(path, ReadOptions())
    assert isinstance(error, TaskFormatError)
    assert str(error).startswith(f"{path}:{line}: ")
    assert message in str(error)


LETS = "(let ((a0 1)) " + "".join(f"(let ((a{i + 1} (+ a{i} a{i}))) " for i in range(40)) + "a40" + ")" * 41
FUNCTIONS = "(define-fun g0 ((x Int)) Int (+ x x))" + "".join(
    f"(define-fun g{i + 1} ((x Int)) Int (g{i} (g{i} x)))" for i in range(12)
)
LONG = '"' + "a" * 1500 + '"'
NESTED = f'(str.replace_all (str.replace_all {LONG} "a" {LONG}) "a" {LONG})'
CONSTANT = F + "(constraint (= (f %s) 1))"
TOO_MANY = "the file's definitions expand to more than the 100000 nodes that are read"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONSTANT % LETS, TOO_MANY),
        (F + FUNCTIONS + "(constraint (= (f (g12 1)) 1))", TOO_MANY),
        (F + "(define-fun g ((x Int)) Int (+ x x))\n" + "(constraint (= (f (g 1)) 1))" * 40_000, TOO_MANY),
        ("(synth-fun f ((x Int)) Int ((S Int (" + "(Variable Int)" * 100_001 + "))))", TOO_MANY),
        (CONSTANT % "((_ repeat 1000000000) #x1)", "(_ repeat 1000000000) gives more than 4096 bits"),
        (CONSTANT % f"((_ repeat {'9' * 3999}) #x1)", "… gives more than 4096 bits"),
        (CONSTANT % "(bvneg (_ bv1 99999999999))", "(_ bv1 99999999999) has more than 4096 bits"),
        (CONSTANT % f"(bvneg (_ bv1 {'9' * 3000}))", "99… has more than 4096 bits"),
        (CONSTANT % "(+ 1 (_ bv1 100000000))", "(_ bv1 100000000) has more than 4096 bits"),
        (CONSTANT % "(+ 1 (_ bv1 4096))", "000… does not fit together: + is given Int, (_ BitVec 4096)"),
        ("(synth-fun f ((x (_ BitVec 99999))) Int)", "sort (_ BitVec 99999) is not supported"),
        (CONSTANT % f"(str.len {NESTED})", "a string of up to 2250000 characters; at most 100000 are"),
        (CONSTANT % ("(* " + "9" * 4000 + " " + "9" * 4000 + ")"), "a product may have more than 16384 bits"),
        (CONSTANT % ('(+ 1 "' + "\a\n" * 500_000 + '")'), r'(+ 1 "\u{7}\u{a}\u{7}'),
        ('("' + "\a\n" * 500_000 + '")', r"command \x07\n\x07\n"),
        (CONSTANT % ("|" + "a\x1b" * 100 + "|"), r"depends on |a\x1ba\x1b"),
        (F + "(constraint (= (f |" + "a" * 5000 + "|) 1))", "a word of 5002 characters; at most 4000 are"),
        (CONSTANT % ("(- " * 100_000 + "1" + ")" * 100_000), "a term is nested too deeply to be read"),
    ],
    ids=range(18),
)
def test_hostile_files_are_refused_at_once_in_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "hostile.sl"
    path.write_text(text)
    [error] = SygusReader().read(path, ReadOptions())
    assert isinstance(error, TaskFormatError)
    assert re.match(re.escape(str(path)) + r":\d+: ", str(error))
    assert message in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 420 + len(str(path))


def test_many_equal_constants_are_told_apart_in_one_pass() -> None:
    distinct = f"(ite (distinct {' '.join(map(str, range(30_000)))}) 7 8)"
    task = parse_sygus(CONSTANT % distinct, "distinct")
    assert task.examples == (Example(7, 1),)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    binary, deep = tmp_path / "binary.sl", tmp_path / "deep.sl"
    binary.write_bytes(b"\n\xff")
    deep.write_text(F + "(constraint (= (f " + "(- " * 100_000 + "1" + ")" * 100_000 + ") 1))")
    [error] = SygusReader().read(binary, ReadOptions())
    assert str(error) == f"{binary}:2: expected UTF-8 text, found the byte 0xff"
    [error] = SygusReader().read(deep, ReadOptions())
    assert str(error) == f"{deep}:2: a term is nested too deeply to be read"
    with pytest.raises(TaskFormatError, match=r"absent\.sl: cannot be read"):
        list(SygusReader().read(tmp_path / "absent.sl", ReadOptions()))


def test_files_are_recognised_by_their_name() -> None:
    reader = SygusReader()
    assert reader.format == "sygus"
    assert reader.claims(Path("a.sl"), b"")
    assert not reader.claims(Path("a.json"), VERSION_1.encode())


@pytest.mark.benchmark_data
def test_the_public_string_benchmarks() -> None:
    root = os.environ.get("INDUCE_BENCHMARK_DATA")
    if root is None:
        pytest.skip("INDUCE_BENCHMARK_DATA is not set")
    tasks: dict[str, Task] = {}
    errors = []
    for path in sorted(Path(root, "sygus", "PBE_SLIA_Track").rglob("*.sl")):
        for item in SygusReader().read(path, ReadOptions()):
            if isinstance(item, LabelledTask):
                assert item.answers == {}
                tasks[item.task.id] = item.task
            else:
                errors.append(str(item))
    assert len(tasks) == 159
    assert [error.partition("max3.sl:")[2] for error in errors] == [
        "26: not example-based: expected a constraint (= (max3 constants…) constant)"
    ]
    contradictory = {
        name
        for name, task in tasks.items()
        if len({str(e.input) for e in task.examples}) < len({(str(e.input), e.output) for e in task.examples})
    }
    assert contradictory == {f"univ_{n}-long-repeat" for n in (3, 4, 5, 6)}
