"""A memory put in order: what becomes one, what is kept apart, what is archived, and that nothing is lost."""

import ast
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from concepts import CONCEPTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory import Concept, ConceptStore, Outcome, Provenance, Statistics, export_memory, import_memory
from memory import consolidation as module
from memory.consolidation import consolidate
from memory.forms import program_form, skeleton
from memory.likeness import marks_of
from memory.rehearsal import rehearsal
from sandboxes import MemoryStoreError, Program

Together = namedtuple("Together", "program parameters bindings")
HARM = Statistics(recalled=9, used=1, losses=6, wins_without=8)
SLOW = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=25)


def generalise(programs, most=2):
    """A small stand-in: numbers that differ in a function become parameters of it, up to ``most``."""
    rows, trees = [], []
    for program in programs:
        tree = ast.parse(program.source)
        arguments = tree.body[0].args
        defaults = {
            one.arg: value for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        }
        arguments.kwonlyargs, arguments.kw_defaults = [], []
        tree = Inlined(defaults).visit(tree)
        rows.append([node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)])
        trees.append(tree)
    columns = list(zip(*rows, strict=True))
    places = [index for index, values in enumerate(columns) if len(set(values)) > 1]
    if len(places) > most:
        return None
    numbers = [node for node in ast.walk(trees[0]) if isinstance(node, ast.Constant)]
    names = {id(numbers[place]): f"number{place}" for place in places}
    tree = Parametrised(names).visit(trees[0])
    tree.body[0].args.kwonlyargs = [ast.arg(name) for name in names.values()]
    tree.body[0].args.kw_defaults = [ast.Constant(columns[place][0]) for place in places]
    source = ast.unparse(ast.fix_missing_locations(tree))
    bindings = [tuple(columns[place][row] for place in places) for row in range(len(programs))]
    parameters = tuple(f"{name}: int" for name in names.values())
    return Together(replace(programs[0], source=source), parameters, tuple(bindings))


class Inlined(ast.NodeTransformer):
    def __init__(self, defaults):
        self.defaults = defaults

    def visit_Name(self, node):
        return ast.Constant(self.defaults[node.id].value) if node.id in self.defaults else node


class Parametrised(ast.NodeTransformer):
    def __init__(self, names):
        self.names = names

    def visit_Constant(self, node):
        return ast.Name(self.names[id(node)]) if id(node) in self.names else node


TWO = "def f(x): return x\ndef g(x): return 0"


def never(programs):
    return None


def program(body, name="f", argument="x", **more):
    return Program(f"def {name}({argument}):\n    return {body.replace('x', argument)}\n", name, **more)


def put_in_order(store, **options):
    """Consolidate to the end of the round; give all that was done."""
    return consolidate(store, **{"generalise": generalise, "most": 10_000} | options)


def by_name(store):
    return {one.name: one for one in store.concepts()}


ADD = Concept("add", "adds one", ("n: int",), ("numbers",), program("x + 1"), "routine", ("easy",))
INCREMENT = Concept(
    "increment",
    "counts up",
    (),
    ("Numbers ", "counting"),
    program("(x+1)", "solve", "number"),
    "",
    (),
    features=("int",),
    statistics=Statistics(5, 2, 2, 1, 3, 1, 0),
)


def test_the_same_program_is_one_concept_with_the_counters_and_texts_of_both(store):
    first, second = store.add([ADD, INCREMENT])
    store.count([first], recalled=1, wins=1, losses_without=2)
    done = put_in_order(store)
    assert (done.merged, done.changed, done.complete) == (1, 1, True)
    [one] = store.concepts()
    assert one == replace(
        ADD,
        cues=("numbers", "counting"),
        notes=("easy", "counts up"),
        features=("int",),
        id=first,
        version=2,
        came_from=(second,),
        statistics=Statistics(6, 2, 3, 1, 3, 1, 2),
    )
    assert [archived.id for archived in store.concepts(archived=True)] == [second]
    store.check()


def test_the_same_words_are_one_concept_unless_their_programs_differ(store):
    words = Concept("crop", "cut out the object", cues=("smaller output",), kind="move", notes=("a",))
    same = Concept("cut", "Cut out  the object", cues=("SMALLER output",), kind="Move", notes=("b",))
    store.add(
        [words, same, replace(words, name="z", program=program("x[1:]")), replace(words, term="(crop)")]
    )
    assert put_in_order(store).merged == 1
    assert len(store) == 3
    assert by_name(store)["crop"].notes in (("a", "b"), ())
    assert "cut" not in by_name(store)


def test_concepts_that_say_nothing_but_their_names_stay_two(store):
    store.add([Concept("mirror", ""), Concept("crop", "")])
    assert put_in_order(store).changed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (program("x + 1"), program("x + 2")),
        (program("x + 1"), program("x + 1.0")),
        (program("x + 1"), program("x + True")),
        (program("x + 1"), program("x + 1", call="positional")),
        (program("x + 1"), program("x + 1", packages=frozenset())),
        (program("sum(x)"), program("max(x)")),
        (Program("def f(x): return list(x)", "f"), Program("def f(x, list=set): return list(x)", "f")),
        (Program("def f(x, y): return x - y", "f"), Program("def f(y, x): return x - y", "f")),
        (Program("def f(x): return x.a", "f"), Program("def f(x): return x.b", "f")),
        (
            Program("def g(a, b=0): return a - b\ndef f(x): return g(b=x, a=1)", "f"),
            Program("def g(b, a=0): return b - a\ndef f(x): return g(b=x, a=1)", "f"),
        ),
        (Program("def f(x): y = 1; return locals()", "f"), Program("def f(x): z = 1; return locals()", "f")),
        (Program(TWO, "f"), Program(TWO, "g")),
        (Program("def f(x):\n return (", "f"), Program("def f(x):\n return ((", "f")),
    ],
)
def test_programs_that_do_other_things_have_other_forms(one, other):
    assert marks_of(Concept("a", "", program=one)).same != marks_of(Concept("a", "", program=other)).same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x): return x + 1", "def f( x ):\n    # why\n    return (x+1)"),
        ("def f(x):\n    'what'\n    return x", "def solve(grid): return grid"),
        ("import re as r\ndef f(x): return r.escape(x)", "import re as s\ndef f(t): return s.escape(t)"),
        ("def f(x):\n for i in x:\n  t = i\n return t", "def f(a):\n  for b in a: c = b\n  return c"),
        (
            "def f(x):\n match x:\n  case [y, *z]: return z",
            "def f(a):\n match a:\n  case [b, *c]:\n   return c",
        ),
    ],
)
def test_formatting_docstrings_and_local_names_make_no_other_form(one, other):
    entries = [source.split("def ")[-1].split("(")[0] for source in (one, other)]
    forms = [program_form(Program(source, name)) for source, name in zip((one, other), entries, strict=True)]
    assert forms[0] == forms[1]


def test_a_skeleton_is_blind_for_literals_and_for_parameters_that_stand_for_them():
    first = skeleton(program("x + [1, -2]"))
    assert first == skeleton(program("x + ['a']", "g", "y"))
    assert first == skeleton(Program("def f(x, *, numbers=[3]):\n    return x + numbers", "f"))
    assert first != skeleton(program("x - 1"))
    assert skeleton(program("[[1, 2], [3]]")) == ""  # it looks at nothing: an answer, not a rule
    assert skeleton(Program("def f(", "f")) == ""


@given(st.text(max_size=200))
def test_any_text_has_a_form(source):
    one = Program(source, "f")
    assert program_form(one) == program_form(one)
    assert isinstance(skeleton(one), str)


def test_a_program_nested_too_deeply_is_taken_as_it_is_written():
    deep = Program("def f(x): return " + "-" * 20_000 + "x", "f")
    assert program_form(deep).endswith("x")
    assert skeleton(deep) == ""


def test_programs_that_differ_in_literals_become_one_with_parameters(store):
    ids = store.add(
        [Concept(f"add {n}", f"adds {n}", program=program(f"x + {n}"), signature="int") for n in (1, 5, 7)]
    )
    done = put_in_order(store)
    assert (done.generalised, done.complete) == (2, True)
    [one] = store.concepts()
    assert (one.id, one.name, one.came_from) == (ids[0], "add 1", tuple(ids[1:]))
    assert one.parameters == ("number0: int",)
    assert ast.unparse(ast.parse(one.program.source)) == "def f(x, *, number0=1):\n    return x + number0"
    assert {"add 5: number0 = 5", "adds 5"} <= set(one.notes)
    store.add([Concept("add 9", "adds 9", program=program("9 + x"), signature="int")])
    store.add([Concept("add 11", "adds 11", program=program("x + 11"), signature="int")])
    assert put_in_order(store).generalised == 1  # what comes later joins it
    assert set(by_name(store)) == {"add 1", "add 9"}


def test_without_another_way_programs_are_generalised_by_anti_unification(store):
    store.add([Concept(f"add {n}", f"adds {n}", program=program(f"x + {n}")) for n in (3, 5)])
    assert consolidate(store).generalised == 1
    assert consolidate(store).changed == 0
    [one] = store.concepts()
    assert "3 | 5" in one.parameters[0]
    assert one.program.source.count("3") == 1


def test_what_fares_otherwise_or_is_called_otherwise_is_not_generalised(store):
    helps, harms = Statistics(9, 9, 9, 0, 0, 0, 9), replace(HARM, wins_without=1)
    store.add(
        [
            Concept("a", "", program=program("x * 1"), statistics=helps),
            Concept("b", "", program=program("x * 2"), statistics=replace(harms, wins_without=2, losses=2)),
            Concept("c", "", program=program("x * 3"), signature="text"),
            Concept("d", "", program=program("x * 4"), kind="x"),
            Concept("e", "", program=program("x * 5", call="positional")),
        ]
    )
    assert put_in_order(store).generalised == 0


def test_what_has_no_common_generalisation_stays(store):
    store.add([Concept(str(n), "", program=program(f"x + {n} * (x - {n + 9}) ** {n % 2}")) for n in range(6)])
    done = put_in_order(store)
    assert done.generalised == 4  # those of the same exponent have two numbers that differ
    assert len(store) == 2


@pytest.mark.parametrize("by", ["name", "cues"])
def test_contradictions_are_kept_apart_by_cues_once(store, by):
    left = Concept("mirror", "left becomes right", cues=("both halves match",), features=("grid", "both"))
    right = Concept("mirror", "the text is read backwards", cues=("Both halves match!",), features=("text",))
    right = replace(right, cues=("a text",)) if by == "name" else replace(right, name="backwards")
    first, second = store.add(
        [
            replace(left, provenance=Provenance(family="arc")),
            replace(right, provenance=Provenance(family="prose")),
        ]
    )
    done = put_in_order(store)
    assert (done.separated, done.changed) == (2, 2)
    assert (
        store.get(first).cues[-1] == f"only for tasks with grid, both; contradicts: {right.name} ({second})"
    )
    assert store.get(second).cues[-1] == f"only for tasks with text; contradicts: mirror ({first})"
    assert put_in_order(store).changed == 0
    assert len(store) == 2


def test_what_only_sounds_alike_is_left_alone(store):
    same_family = Provenance(family="arc")
    store.add(
        [
            Concept("mirror", "left becomes right", provenance=same_family),
            Concept("mirror", "top becomes bottom", provenance=same_family),
            Concept("turn", "by 90 degrees", provenance=same_family),
            Concept("turn", "By  90 degrees", cues=("x",), provenance=Provenance(family="prose")),
        ]
    )
    assert put_in_order(store).changed == 0


def test_trials_that_disagree_keep_the_same_cues_apart(store):
    helps = Concept("a", "fill it", cues=("a hole",), statistics=Statistics(9, 9, 9, 0, 0, 0, 9))
    less = Concept("b", "leave it", cues=("a hole",), statistics=Statistics(9, 1, 2, 7, 0, 5, 3))
    store.add([helps, less])
    assert put_in_order(store).separated == 2
    assert by_name(store)["a"].cues[-1].startswith("contradicts: b (")


def test_what_harms_is_archived_once_it_was_tried_enough(store):
    harmful, tried_once = store.add(
        [
            Concept("harmful", "a", statistics=HARM),
            Concept("tried once", "b", statistics=Statistics(1, 1, losses=1, wins_without=30)),
        ]
    )
    assert put_in_order(store).archived == 1
    assert [one.id for one in store.concepts()] == [tried_once]
    assert [one.id for one in store.concepts(archived=True)] == [harmful]


def test_what_was_never_used_is_archived_after_many_recalls_or_tasks(store):
    never_used, often, used, helpful = store.add(
        [
            Concept("never used", "a"),
            Concept("often recalled", "b"),
            Concept("used", "c"),
            Concept("helpful", "d", statistics=Statistics(wins=9, losses_without=9)),
        ]
    )
    store.count([often], recalled=10)
    store.count([used], recalled=10, used=1)
    options = {"unused_for": 3, "unused_recalls": 10}
    assert put_in_order(store, **options).archived == 1
    assert often in [one.id for one in store.concepts(archived=True)]
    for number in range(3):
        assert put_in_order(store, **options).changed == 0
        store.finish(Outcome(f"t{number}", solved=False))
    assert put_in_order(store, **options).archived == 1
    assert [one.id for one in store.concepts()] == [used, helpful]
    assert never_used


def test_what_was_imported_is_not_unused_before_its_time_here(store, new_place, tmp_path):
    store.add([Concept("old", "elsewhere")])
    for number in range(5):
        store.finish(Outcome(f"t{number}", solved=False))
    export_memory(store, tmp_path / "old.jsonl")
    with ConceptStore.open(new_place()) as other:
        import_memory(other, tmp_path / "old.jsonl")
        for number in range(3):
            assert put_in_order(other, unused_for=3).changed == 0
            other.finish(Outcome(f"t{number}", solved=False))
        assert put_in_order(other, unused_for=3).archived == 1


def test_a_round_is_done_in_pieces_and_ends_as_at_once(new_place):
    concepts = [
        Concept(f"c{n}", f"d{n % 7}", program=program(f"x + {n % 5}", argument="x" * (n + 1)))
        for n in range(12)
    ]
    with ConceptStore.open(new_place()) as at_once, ConceptStore.open(new_place()) as in_pieces:
        for store in (at_once, in_pieces):
            store.add(concepts)
        whole = put_in_order(at_once)
        pieces = [put_in_order(in_pieces, most=3)]
        while not pieces[-1].complete:
            assert 0 < pieces[-1].examined <= 3
            pieces.append(put_in_order(in_pieces, most=3))
        assert sum(one.changed for one in pieces) == whole.changed == 11
        assert list(in_pieces.concepts()) == list(at_once.concepts())


def test_what_is_rehearsed_is_done_to_nothing(store):
    store.add([ADD, INCREMENT])
    with rehearsal(store) as tried:
        assert put_in_order(tried).merged == 1
        assert len(tried) == 1
    assert len(store) == 2
    with pytest.raises(MemoryStoreError), rehearsal(store) as tried:
        tried.archive([*(one.id for one in tried.concepts()), "nobody"])
    assert put_in_order(store).merged == 1


def test_a_concept_that_is_changed_meanwhile_is_not_merged_as_it_was(store, place):
    _, second = store.add([ADD, INCREMENT])
    with ConceptStore.open(place) as other:

        def change_it(programs):
            other.update(second, replace(INCREMENT, kind="routine", program=program("x + 100")))
            other.add([Concept("more", "to look at")])
            return generalise(programs)

        store.update(second, replace(INCREMENT, kind="routine", program=program("x + 2")))
        done = put_in_order(store, generalise=change_it)
    assert done.generalised == 1
    [one] = [one for one in store.concepts() if one.name == "add"]
    assert any("100" in note for note in one.notes)
    assert not any("number0 = 2" in note for note in one.notes)


def test_what_is_united_is_never_longer_than_a_concept_may_be(store):
    long = [
        Concept(
            f"c{n}",
            f"{n}" * 15_000,
            program=program("x", argument="x" * (n + 1)),
            cues=(f"{n}" * 9_000,),
            features=tuple(f"{n} {m}" for m in range(1_500)),
        )
        for n in range(4)
    ]
    store.add(long)
    assert put_in_order(store).merged == 3
    [one] = store.concepts()
    assert one.cues == long[0].cues + long[1].cues
    assert len(one.features) == 2_000
    store.check()


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "empty.sqlite"
    ConceptStore.open(path).close()
    return path


class Fresh:
    """A new memory, with concepts in it."""

    def __init__(self, empty, concepts):
        self._folder = TemporaryDirectory()
        path = Path(self._folder.name) / "memory.sqlite"
        shutil.copy(empty, path)
        self.store = ConceptStore.open(path)
        self.ids = self.store.add(concepts)

    def __enter__(self):
        return self.store

    def __exit__(self, *exc_info):
        self.store.close()
        self._folder.cleanup()


BODIES = ["x + {}", "x + {} * {}", "x - {}", "[{}, x]", "{}", "x[{}]"]
ALIKE = st.builds(
    Concept,
    name=st.sampled_from(["mirror", "Mirror", "crop", "fill"]),
    description=st.sampled_from(["turn it", "Turn  it", "cut it", ""]),
    cues=st.sampled_from([(), ("a hole",), ("A hole!",), ("b", "a hole")]),
    program=st.none()
    | st.builds(
        lambda body, one, other, name, argument: program(body.format(one, other), name, argument),
        st.sampled_from(BODIES),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["f", "solve"]),
        st.sampled_from(["x", "grid"]),
    ),
    kind=st.sampled_from(["", "move"]),
    features=st.sampled_from([(), ("grid",), ("text",)]),
    provenance=st.builds(Provenance, family=st.sampled_from(["", "arc", "prose"])),
    statistics=st.sampled_from([Statistics(), Statistics(3, 1, 1), Statistics(9, 9, 9, 0, 0, 0, 9), HARM]),
)
MEMORIES = st.lists(ALIKE | CONCEPTS, max_size=14)
WITHOUT_COUNTERS = st.lists(ALIKE.map(lambda one: replace(one, statistics=Statistics())), max_size=14)


@SLOW
@given(MEMORIES, st.sampled_from([generalise, None]))
def test_a_second_time_changes_nothing(empty, concepts, how):
    with Fresh(empty, concepts) as store:
        first = put_in_order(store, generalise=how)
        assert first.complete
        after = list(store.concepts())
        again = put_in_order(store, generalise=how)
        assert (again.changed, again.complete, again.examined) == (0, True, len(after))
        assert list(store.concepts()) == after
        store.check()


@SLOW
@given(MEMORIES)
def test_nothing_is_lost_and_no_counter_doubled(empty, concepts):
    with Fresh(empty, concepts) as store:
        before = {one.id: one for one in store.concepts()}
        done = put_in_order(store)
        present = {one.id: one for one in store.concepts()}
        archived = {one.id: one for one in store.concepts(archived=True)}
        assert set(before) == set(present) | set(archived)
        reached = {ref for one in [*present.values(), *archived.values()] for ref in one.came_from}
        assert done.merged + done.generalised == len(set(archived) & reached & set(before)) or any(
            one.came_from for one in before.values()
        )
        assert len(archived) == done.merged + done.generalised + done.archived
        for field in ("used", "wins", "losses", "wins_without"):
            went = set(archived) & reached
            expected = sum(getattr(one.statistics, field) for one in before.values())
            left = sum(
                getattr(one.statistics, field)
                for one in [*present.values(), *archived.values()]
                if one.id not in went
            )
            assert left == expected or any(one.came_from for one in before.values())
        for one in present.values():
            assert before[one.id].name == one.name
            assert store.get(one.id, 1).description == before[one.id].description


def groups(store):
    """Which concepts became one, by the ids of those that are in it."""
    everything = {one.id: one for held in (False, True) for one in store.concepts(archived=held)}

    def members(one):
        found = {one.id}
        for version in store.versions(one.id):
            for ref in version.came_from:
                found |= members(everything[ref])
        return found

    return {frozenset(members(one)) for one in store.concepts()}


@SLOW
@given(WITHOUT_COUNTERS, st.randoms(use_true_random=False))
def test_it_does_not_matter_for_duplicates_which_concept_came_first(empty, concepts, random):
    """Kin that can be generalised in several ways may be grouped in another one."""

    def nothing(_programs):
        return None

    with Fresh(empty, concepts) as store:
        put_in_order(store, generalise=nothing)
        expected = groups(store)
    mixed = list({(one.name, one.description, one.program): one for one in reversed(concepts)}.values())
    random.shuffle(mixed)
    with Fresh(empty, mixed) as store:
        while not put_in_order(store, most=5, generalise=nothing).complete:
            pass
        assert groups(store) == expected


def test_a_name_that_very_many_have_keeps_nobody_apart(store):
    store.add(
        [
            Concept("f", f"does {n}", provenance=Provenance(family=f"family {n}"))
            for n in range(module.MOST_NAMESAKES + 2)
        ]
    )
    assert put_in_order(store).changed == 0
    assert put_in_order(store, generalise=never).changed == 0
