"""S-expressions are read as SMT-LIB writes them, and every error names its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.sygus.grammar import Literal, to_sexpr
from hypotheses.sygus.sexpr import Atom, SexprError, SList, flat, read_sexpr, read_sexprs

CHARACTERS = st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"])


def only(text: str) -> Atom:
    atom = read_sexpr(text)
    assert isinstance(atom, Atom)
    return atom


@given(st.text(CHARACTERS))
def test_a_printed_string_is_read_back(text: str) -> None:
    assert only(to_sexpr(Literal(text, "String"))) == Atom("string", text)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('""', ""),
        ('"say ""hi"""', 'say "hi"'),
        (r'"\u0041\u{42}\u{1F600}"', "AB\U0001f600"),
        (r'"\n\x41\\"', r"\n\x41\\"),  # no escapes of SMT-LIB 2.6
        (r'"\u41\u{}\u{30000}\u{0000041}"', r"\u41\u{}\u{30000}\u{0000041}"),  # nearly escapes
        ('"/n"', "/n"),
        ('"; no comment | no symbol"', "; no comment | no symbol"),
        ('"two\nlines"', "two\nlines"),
        ('"café"', "café"),
    ],
)
def test_string_literals(literal: str, value: str) -> None:
    assert only(literal) == Atom("string", value)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("str.++", "symbol"),
        ("-", "symbol"),
        ("-1", "numeral"),
        ("007", None),
        ("10", "numeral"),
        ("1.5", "decimal"),
        ("#xA0", "hexadecimal"),
        ("#b01", "binary"),
        ("#xG", None),
        (":feature", "keyword"),
        ("x'", None),
        ("9" * 5000, None),
    ],
)
def test_words(word: str, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(SexprError):
            read_sexpr(word)
    else:
        assert only(word).kind == kind


def test_bars_that_a_symbol_does_not_need_are_dropped() -> None:
    assert only("|x|") == only("x")
    assert only("|two words|").text == "|two words|"
    assert only("|12|").text == "|12|"


def test_lines_are_counted_through_comments_and_strings() -> None:
    first, second = read_sexprs('; a comment\n(a "\n")\n\n(b\n c)')
    assert isinstance(second, SList)
    assert (first.line, second.line, second.items[1].line) == (2, 5, 6)
    assert flat(second) == "(b c)"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("(a\n(b)\n", 1, "the '(' here is never closed"),
        ("(a)\n)", 2, "this ')' closes nothing"),
        ('(a\n"b', 2, "the string that starts here is never closed"),
        ("(a |b", 1, "the quoted symbol that starts here is never closed"),
        ('"\U00030000"', 1, "lies beyond U"),
        ("", 1, "expected an s-expression, found nothing"),
        ("a\nb", 2, "expected one s-expression, found another after it"),
    ],
)
def test_errors_name_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(SexprError, match=message.replace("(", r"\(").replace(")", r"\)")) as error:
        read_sexpr(text)
    assert error.value.line == line


@given(st.text(alphabet='()" \n;|ab-1#x:\\u{}'))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = list(read_sexprs(text))
    except SexprError as error:
        assert 1 <= error.line <= text.count("\n") + 1  # noqa: PT017 - either way is right
    else:
        assert all(1 <= sexpr.line <= text.count("\n") + 1 for sexpr in read)
