"""Concepts found by what they mean: vectors stored, searched, and made by models."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory import Concept, ConceptStore, RecallQuery, embedding_server, export_memory, read_records, vectors
from memory.embedding import open_embedder, unit
from memory.embedding_server import TRIES, EmbeddingServer
from sandboxes import MemoryStoreError

EXAMPLES = count()
MEANINGS = {"mirror": 0, "reflect": 0, "crop": 1, "cut": 1, "colour": 2, "paint": 2}


class Meanings:
    """An embedder that knows six words, of three meanings."""

    def __init__(self, name="test:meanings", dimensions=3):
        self.name = name
        self.dimensions = dimensions
        self.asked = []
        self.broken = False

    def embed(self, texts):
        if self.broken:
            raise MemoryStoreError("the embedder is broken; mend it")
        self.asked += texts
        rows = np.zeros((len(texts), self.dimensions))
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                if word in MEANINGS:
                    row[MEANINGS[word]] += 1
        return unit(rows)


def ranked(found):
    """Names of what was found by vectors, by their rank."""
    by_vectors = [one for one in found if "dense" in one.ranks]
    return [one.concept.name for one in sorted(by_vectors, key=lambda one: one.ranks["dense"])]


@pytest.fixture
def embedder():
    return Meanings()


@pytest.fixture
def dense(place, embedder):
    with ConceptStore.open(place, embedder=embedder) as opened:
        yield opened


def test_a_concept_is_found_by_another_word_of_its_meaning(dense, place):
    dense.add([Concept("mirror", ""), Concept("crop", ""), Concept("colour", "")])
    [found] = dense.recall(RecallQuery("reflect"))
    assert (found.concept.name, dict(found.ranks)) == ("mirror", {"dense": 1})
    with ConceptStore.open(place) as without:
        assert without.recall(RecallQuery("reflect")) == []


def test_a_query_without_text_asks_no_embedder(dense, embedder):
    dense.add([Concept("mirror", "", features=("grid",))])
    asked = list(embedder.asked)
    [found] = dense.recall(RecallQuery(" \n", features=("grid",)))
    assert list(found.ranks) == ["features"]
    assert embedder.asked == asked


def test_what_was_there_before_is_embedded_when_asked_for(store, place, embedder, monkeypatch):
    monkeypatch.setattr(vectors, "BATCH", 2)
    ids = store.add([Concept(f"mirror {number}", "") for number in range(7)])
    store.archive(ids[:1])
    with ConceptStore.open(place, embedder=embedder) as dense:
        assert dense.recall(RecallQuery("reflect")) == []
        assert [dense.embed(0), dense.embed(3), dense.embed(), dense.embed()] == [0, 3, 3, 0]
        assert len(dense.recall(RecallQuery("reflect"))) == 6
        assert sorted(text for text in embedder.asked if text != "reflect") == [
            f"mirror {number}" for number in range(1, 7)
        ]


def test_every_way_of_storing_embeds(dense, place, tmp_path, new_place):
    first, second = dense.add([Concept("mirror", ""), Concept("crop", "")])
    [third] = dense.bring([Concept("paint", "")])
    dense.update(first, Concept("mirror", "reflect or cut"))
    dense.merge([second, third], Concept("colour and cut", ""))
    assert ranked(dense.recall(RecallQuery("paint"))) == ["colour and cut"]
    assert ranked(dense.recall(RecallQuery("reflect"))) == ["mirror"]
    assert dense.embed() == 0
    export_memory(dense, tmp_path / "export.jsonl")
    with ConceptStore.open(new_place(), embedder=Meanings()) as other:
        other.restore(read_records(tmp_path / "export.jsonl"))
        assert ranked(other.recall(RecallQuery("paint cut"))) == ["colour and cut", "mirror"]
        assert other.embed() == 0


def test_names_cues_descriptions_and_notes_are_embedded_and_code_is_not(dense, embedder):
    dense.add([Concept("a", "b", cues=("c", "d"), notes=("e",), term="(term)", kind="kind")])
    assert embedder.asked == ["a\nc\nd\nb\ne"]
    dense.add([Concept("long", "x" * 10_000)])
    assert len(embedder.asked[-1]) == vectors.LONGEST


def test_what_may_be_seen_is_found_at_every_clock(dense):
    old, gone = dense.add([Concept("mirror", "old"), Concept("reflect", "")])
    dense.tick()
    dense.update(old, Concept("mirror", "new"))
    dense.archive([gone])
    dense.tick()
    seen = {
        clock: {one.concept.description for one in dense.recall(RecallQuery("mirror", clock=clock))}
        for clock in (0, 1, 2, None)
    }
    assert seen == {0: set(), 1: {"old", ""}, 2: {"new"}, None: {"new"}}


def test_purging_deletes_vectors(dense, tmp_path):
    [one, other] = dense.add([Concept("mirror", ""), Concept("reflect", "")])
    assert len(dense.recall(RecallQuery("mirror"))) == 2
    dense.archive([one])
    export_memory(dense, tmp_path / "export.jsonl")
    dense.purge([one])
    assert [found.concept.id for found in dense.recall(RecallQuery("mirror"))] == [other]
    [again] = dense.add([Concept("mirror", "")])
    assert {found.concept.id for found in dense.recall(RecallQuery("mirror"))} == {again, other}


def test_stored_vectors_are_read_and_texts_are_not_embedded_again(dense, place):
    dense.add([Concept("mirror", "")])
    again = Meanings()
    with ConceptStore.open(place, frozen="sqlite" in place, embedder=again) as other:
        assert ranked(other.recall(RecallQuery("reflect"))) == ["mirror"]
    assert again.asked == ["reflect"]


def test_vectors_of_another_embedder_are_not_compared(dense, place):
    dense.add([Concept("mirror", "")])
    with ConceptStore.open(place, embedder=Meanings("test:other", 5)) as other:
        assert other.recall(RecallQuery("reflect")) == []
        assert other.embed() == 1
        assert ranked(other.recall(RecallQuery("reflect"))) == ["mirror"]
    assert ranked(dense.recall(RecallQuery("reflect"))) == ["mirror"]


def test_a_failing_embedder_loses_nothing(dense, embedder):
    embedder.broken = True
    with pytest.warns(RuntimeWarning, match=r"stored, but not embedded.*broken; mend it") as caught:
        [kept] = dense.add([Concept("mirror", "")])
    assert caught[0].filename == __file__
    assert dense.get(kept).name == "mirror"
    with pytest.warns(RuntimeWarning, match=r"recalled without vectors.*broken") as caught:
        [found] = dense.recall(RecallQuery("mirror"))
    assert caught[0].filename == __file__
    assert dict(found.ranks) == {"words": 1}
    with pytest.raises(MemoryStoreError, match="broken"):
        dense.embed()
    embedder.broken = False
    assert dense.embed() == 1
    assert ranked(dense.recall(RecallQuery("reflect"))) == ["mirror"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda texts: np.ones((len(texts), 3)),
        lambda texts: np.full((len(texts), 3), np.nan),
        lambda texts: np.ones((len(texts) + 1, 1)),
        lambda texts: np.ones(len(texts)),
        lambda texts: 1 / 0,
    ],
)
def test_an_embedder_is_not_believed(place, answer):
    wrong = Meanings()
    wrong.embed = answer
    with ConceptStore.open(place, embedder=wrong) as store:
        with pytest.warns(RuntimeWarning, match="not embedded"):
            store.add([Concept("mirror", "")])
        with pytest.raises(MemoryStoreError, match=r"the embedder test:meanings (gave|failed)"):
            store.embed()


def test_a_model_that_changed_its_dimensions_is_refused(dense, place):
    dense.add([Concept("mirror", "")])
    with ConceptStore.open(place, embedder=Meanings(dimensions=4)) as other:
        with pytest.warns(RuntimeWarning, match="it is another model; give it another name"):
            assert [one.concept.name for one in other.recall(RecallQuery("mirror"))] == ["mirror"]
        with pytest.warns(RuntimeWarning, match="it is another model"):
            other.add([Concept("crop", "")])


def test_a_store_without_an_embedder_says_so(store):
    with pytest.raises(MemoryStoreError, match="has no embedder; open it with"):
        store.embed()


def test_a_damaged_vector_is_noticed(dense):
    dense.add([Concept("mirror", "")])
    with dense._backend.writing() as connection:
        connection.execute(sa.text("UPDATE concept_vectors SET vector = :some"), {"some": b"short"})
    with pytest.raises(MemoryStoreError, match="is damaged: the vector of version 1"):
        dense.recall(RecallQuery("mirror"))


def test_a_version_that_ends_while_it_is_embedded_gets_no_vector(store, place):
    ids = store.add([Concept("mirror", ""), Concept("reflect", "")])
    slow = Meanings()
    with ConceptStore.open(place, embedder=slow) as dense:
        embed = slow.embed
        slow.embed = lambda texts: (store.archive(ids[:1]), embed(texts))[1]
        assert dense.embed() == 1


FILLER = """
import sys
import numpy as np
from memory import Concept, ConceptStore
class Slowly:
    name = "test:same"
    def embed(self, texts):
        return np.eye(2, dtype="f")[[len(text) % 2 for text in texts]]
with ConceptStore.open(sys.argv[1], embedder=Slowly()) as store:
    print(store.embed())
    for number in range(10):
        store.add([Concept(f"{sys.argv[2]} {number}", "")])
"""


def test_several_processes_embed_one_memory(store, place):
    store.add([Concept(f"concept {number}", "") for number in range(300)])
    command = [sys.executable, "-c", FILLER, place]
    fillers = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "other", "third")
    ]
    outputs = [filler.communicate() for filler in fillers]
    assert [filler.returncode for filler in fillers] == [0, 0, 0], outputs
    assert all(not errors for _, errors in outputs)
    with store._backend.reading() as connection:
        asked = "SELECT count(*), count(DISTINCT entry), count(DISTINCT embedder) FROM concept_vectors"
        assert tuple(connection.execute(sa.text(asked)).one()) == (330, 330, 1)
    assert sum(int(output) for output, _ in outputs) >= 300 - 30


def test_threads_share_what_was_read(dense):
    dense.add([Concept(f"mirror {number}", "") for number in range(200)])
    found, failed = [], []

    def work(name):
        try:
            for number in range(10):
                dense.add([Concept(f"crop {name} {number}", "")])
                found.append(len(dense.recall(RecallQuery("reflect"), 1_000)))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, found) == ([], [200] * 40)
    assert len(dense.recall(RecallQuery("cut"), 1_000)) == 40


class Given:
    """An embedder of texts that begin with a line of numbers."""

    name = "test:given"

    def embed(self, texts):
        return unit([[float(part) for part in text.splitlines()[0].split()] for text in texts])


@pytest.fixture
def given_store(place):
    with ConceptStore.open(place, embedder=Given()) as opened:
        yield opened


NUMBERS = st.lists(
    st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any).map(lambda row: " ".join(map(str, row))),
    min_size=1,
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(NUMBERS, NUMBERS, st.integers(1, 9), st.data())
def test_the_search_is_exact(given_store, rows, more, exact, data):
    """As numpy finds them in all vectors, whatever was read before, was archived, or has been since."""
    store = given_store
    store.archive([one.id for one in store.concepts()])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vectors, "EXACT", data.draw(st.sampled_from([exact, 1_000])))
        seen = {}
        for batch in (rows, more):
            new = [Concept(row, f"example {next(EXAMPLES)}") for row in batch]
            seen |= dict(zip(store.add(new), batch, strict=True))
            store.recall(RecallQuery(batch[0]))
        archived = data.draw(st.sets(st.sampled_from(list(seen))))
        store.archive(list(archived))
        asked = data.draw(st.sampled_from(rows + more))
        found = store.recall(RecallQuery(asked), 100)
        present = [one for one in seen if one not in archived]  # in the order they were stored in
        others = {one.concept.id for one in found if set(one.ranks) - {"dense"}}
        compared = [one for one in present if one in others or one in present[-vectors.EXACT :]]
        cosines = {one: float(Given().embed([seen[one]])[0] @ Given().embed([asked])[0]) for one in compared}
        ids = [one.concept.id for one in found if "dense" in one.ranks]
        assert {one for one in cosines if cosines[one] > 1e-5} <= set(ids)
        assert {one for one in cosines if cosines[one] < -1e-5}.isdisjoint(ids)
        by_rank = sorted((one for one in found if "dense" in one.ranks), key=lambda one: one.ranks["dense"])
        ranked_cosines = [cosines[one.concept.id] for one in by_rank]
        assert all(a >= b - 1e-5 for a, b in pairwise(ranked_cosines))  # as exact as numbers of 32 bits are


def test_of_more_than_are_compared_the_newest_and_what_else_was_found_are(dense, monkeypatch):
    monkeypatch.setattr(vectors, "EXACT", 3)
    dense.add([Concept(f"reflect {number}", "") for number in range(10)])
    assert ranked(dense.recall(RecallQuery("mirror 4 x", features=("x",)))) == [
        "reflect 9",
        "reflect 8",
        "reflect 7",
        "reflect 4",
    ]


def test_an_old_clock_is_answered_from_the_newest_versions_and_what_else_was_found(dense, monkeypatch):
    monkeypatch.setattr(vectors, "READ", 3)
    dense.add([Concept("reflect 1", ""), Concept("reflect 2", "")])
    dense.tick()
    dense.add([Concept(f"crop {number}", "") for number in range(2)])
    assert ranked(dense.recall(RecallQuery("mirror", clock=1))) == ["reflect 2"]
    assert ranked(dense.recall(RecallQuery("mirror 1", clock=1))) == ["reflect 2", "reflect 1"]


# Models in this process.


@pytest.fixture
def model_folder(tmp_path):
    """A real model of static vectors, with six words."""
    pytest.importorskip("model2vec", reason="pip install 'induce[dense]'")
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    def make(name, scale=1.0):
        words = {"[UNK]": 0} | {word: number for number, word in enumerate(MEANINGS, start=1)}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        rows = np.full((len(words), 3), 0.01, np.float32)
        for word, number in words.items():
            if word in MEANINGS:
                rows[number, MEANINGS[word]] = scale
        StaticModel(rows, tokenizer).save_pretrained(tmp_path / name)
        return tmp_path / name

    return make


def test_a_real_model_finds_by_meaning(place, model_folder):
    embedder = open_embedder(f"model2vec:{model_folder('tiny')}")
    with ConceptStore.open(place, embedder=embedder) as store:
        store.add([Concept("mirror", ""), Concept("crop", ""), Concept("colour", "")])
        assert ranked(store.recall(RecallQuery("cut")))[0] == "crop"
        assert ranked(store.recall(RecallQuery("paint")))[0] == "colour"


def test_a_models_name_tells_its_version_and_not_where_it_lies(model_folder):
    first = open_embedder(f"model2vec:{model_folder('tiny')}")
    assert first.name.startswith("model2vec:tiny#")
    copy = model_folder("elsewhere/tiny")
    assert open_embedder(f"model2vec:{copy}").name == first.name
    assert open_embedder(f"model2vec:{model_folder('other/tiny', 2.0)}").name != first.name
    rows = first.embed(["mirror", "cut paint"])
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert first.embed([]).shape[0] == 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mirror", "'mirror' names no embedder: write model2vec:NAME_OR_FOLDER"),
        ("http://127.0.0.1:8000/v1", "names no embedder"),
        ("word2vec:x", "no provider 'word2vec' of embedders"),
        ("model2vec:x@http://127.0.0.1", "model2vec runs in this process and has no URL"),
        ("vllm:x@http://user:secret@host/v1", "not the base URL of a server"),
    ],
)
def test_an_address_that_is_none_is_explained(spec, said):
    with pytest.raises(MemoryStoreError, match=said) as caught:
        open_embedder(spec)
    assert "secret" not in str(caught.value)


def test_a_folder_without_a_model_is_explained(tmp_path):
    pytest.importorskip("model2vec")
    with pytest.raises(MemoryStoreError, match="cannot open the embedder model2vec:"):
        open_embedder(f"model2vec:{tmp_path}")


@pytest.mark.parametrize(
    ("module", "spec", "extra"),
    [
        ("model2vec", "model2vec:x", "dense"),
        ("sentence_transformers", "sentence-transformers:x", "sentence-transformers"),
        ("httpx", "vllm:x", "models"),
    ],
)
def test_a_missing_package_names_its_extra(monkeypatch, module, spec, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MemoryStoreError, match=rf"pip install 'induce\[{extra}\]'"):
        open_embedder(spec)


# Models on servers.


@contextmanager
def serving(script=()):
    """A server of embeddings that first says what ``script`` holds; give its URL and what it was asked."""
    script, asked = list(script), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            rows = Meanings().embed(body["input"])
            data = [{"index": index, "embedding": row.tolist()} for index, row in enumerate(rows)]
            answer = (200, {"data": data[::-1]})
            if script:
                act = script.pop(0)
                answer = act(data) if callable(act) else act
            if answer is None:  # breaks off
                return
            status, value = answer
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "INDUCE_MODEL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_server_is_asked_in_batches_and_read_in_the_order_of_the_texts(monkeypatch):
    pytest.importorskip("httpx")
    monkeypatch.setattr(embedding_server, "_AT_A_TIME", 2)
    monkeypatch.setenv("INDUCE_MODEL_API_KEY", "sesame")
    texts = ["mirror", "crop", "paint cut", "reflect", "colour"]
    with serving() as (url, asked):
        embedder = open_embedder(f"vllm:some/model:7b@{url}/")
        rows = embedder.embed(texts)
    assert embedder.name == "vllm:some/model:7b"
    assert np.allclose(rows, Meanings().embed(texts))
    assert rows.dtype == np.float32
    assert [body["input"] for _, _, body in asked] == [texts[:2], texts[2:4], texts[4:]]
    assert {(path, key, body["model"]) for path, key, body in asked} == {
        ("/v1/embeddings", "Bearer sesame", "some/model:7b")
    }


def test_openais_key_is_sent_to_openais_provider_alone(monkeypatch):
    pytest.importorskip("httpx")
    monkeypatch.setenv("OPENAI_API_KEY", "costly")
    with serving() as (url, asked):
        open_embedder(f"vllm:x@{url}").embed(["mirror"])
        open_embedder(f"openai:x@{url}").embed(["mirror"])
    assert [key for _, key, _ in asked] == [None, "Bearer costly"]


BUSY = (429, {"error": {"message": "slow down"}})
DOWN = (503, b"<html>down</html>")


@pytest.mark.parametrize("script", [[BUSY], [DOWN, BUSY, DOWN], [None], [(500, b"")]])
def test_a_busy_or_failing_server_is_asked_again(script):
    pytest.importorskip("httpx")
    with serving(script) as (url, asked):
        rows = EmbeddingServer("vllm", "x", url, pause=0).embed(["mirror"])
    assert rows.tolist() == [[1, 0, 0]]
    assert len(asked) == len(script) + 1


@pytest.mark.parametrize(
    ("script", "said", "asks"),
    [
        ([DOWN] * 10, r"answered 503: <html>down</html> \(after 4 tries\)", TRIES),
        ([(404, {"error": {"message": "no such model"}})], "answered 404: no such model", 1),
        ([(401, {"message": "who are you?"})], "401: who are you.*INDUCE_MODEL_API_KEY", 1),
        ([(200, b"[")], "none of OpenAI's protocol", 1),
        ([(200, {"data": None})], "none of OpenAI's protocol", 1),
        ([lambda data: (200, {"data": data[:1]})], "1 vectors for 2 texts", 1),
        ([lambda data: (200, {"data": [data[0], data[0]]})], "1 vectors for 2 texts", 1),
        (
            [lambda data: (200, {"data": [data[0], {"index": 1, "embedding": [1.0]}]})],
            "vectors of different lengths",
            1,
        ),
    ],
)
def test_what_a_server_gets_wrong_is_said(script, said, asks):
    pytest.importorskip("httpx")
    with serving(script) as (url, asked), pytest.raises(MemoryStoreError, match=said):
        EmbeddingServer("vllm", "x", url, pause=0).embed(["mirror", "crop"])
    assert len(asked) == asks


def test_a_store_uses_a_server_and_goes_on_without_it(place):
    pytest.importorskip("httpx")
    with serving() as (url, _):
        embedder = EmbeddingServer("vllm", "x", url, pause=0)
        with ConceptStore.open(place, embedder=embedder) as store:
            store.add([Concept("mirror", "")])
            assert ranked(store.recall(RecallQuery("reflect"))) == ["mirror"]
    with ConceptStore.open(place, embedder=embedder) as store:
        with pytest.warns(RuntimeWarning, match="recalled without vectors"):
            assert ranked(store.recall(RecallQuery("mirror"))) == []
        with pytest.warns(RuntimeWarning, match="not embedded"):
            store.add([Concept("crop", "")])
        assert len(store) == 2
