"""Traces that cost nothing unless wanted, and logs that are one JSON object a line whatever is in them."""

import contextvars
import io
import json
import logging
import subprocess
import sys
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ray_jobs.tracing import JsonLines, carrier, continued, flush, json_lines, span
from sandboxes import SettingsError

TEXTS = st.text(st.characters(exclude_categories=()) | st.characters(categories=["Cs"]))


@pytest.fixture
def exported(monkeypatch):
    """The spans of a tracer provider that is there for one test."""
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter.get_finished_spans


def in_a_fresh_process(program, **environment):
    """Run a program that has read no environment yet; give what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path)), **environment},
    )
    return done.stdout, done.stderr


def test_spans_nest_and_carry_what_they_are_about(exported):
    with span("run", run="r1"), span("task", task="t1", round=2, note=None, share=0.5, huge=2**70):
        pass
    task, run = exported()
    assert (run.name, task.name) == ("run", "task")
    assert dict(run.attributes) == {"run": "r1"}
    assert dict(task.attributes) == {"task": "t1", "round": 2, "share": 0.5, "huge": str(2**70)}
    assert task.parent.span_id == run.context.span_id
    assert run.instrumentation_scope.name == "induce"
    flush()


def test_a_failure_is_recorded_and_goes_on(exported):
    with pytest.raises(ValueError, match="no such thing"), span("task"):
        raise ValueError("no such thing: \ud800")
    [task] = exported()
    assert (task.status.status_code.name, task.status.description) == (
        "ERROR",
        "ValueError: no such thing: \\ud800",
    )
    [event] = task.events
    assert event.attributes["exception.type"] == "ValueError"
    assert "test_tracing.py" in event.attributes["exception.stacktrace"]
    event.attributes["exception.stacktrace"].encode()


@given(text=TEXTS)
@example(text="\ud800")
def test_any_text_can_be_exported(text):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider

    from ray_jobs.tracing import _recorded

    with _recorded(TracerProvider(shutdown_on_exit=False).get_tracer("induce"), "task", {"task": text}):
        from opentelemetry import trace

        kept = trace.get_current_span().attributes["task"]
    assert kept.encode().decode() == kept
    assert kept == text or any("\ud800" <= character <= "\udfff" for character in text)


def test_a_worker_s_spans_belong_to_the_driver_s(exported):
    with span("run"):
        taken = json.loads(json.dumps(carrier()))

    def work():
        with continued(taken), span("task"):
            pass
        with span("another"):
            pass

    contextvars.Context().run(work)  # which knows nothing of the driver's
    run, task, another = exported()
    assert set(taken) == {"traceparent"}
    assert task.parent.span_id == run.context.span_id
    assert task.context.trace_id == run.context.trace_id
    assert another.parent is None


@pytest.mark.parametrize("garbage", [{}, {"traceparent": "nonsense"}, {"other": "x"}])
def test_a_carrier_that_says_nothing_starts_a_new_trace(exported, garbage):
    with continued(garbage), span("task"):
        pass
    [task] = exported()
    assert task.parent is None


OFF = """
import sys
from ray_jobs.tracing import carrier, continued, flush, span
with span("run", run="r1"), continued({"traceparent": "x"}):
    assert carrier() == {}
flush()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_unless_asked_for_nothing_is_loaded(environment):
    assert in_a_fresh_process(OFF, **environment) == ("", "")


ON = """
from ray_jobs.tracing import span
with span("run", run="r1"):
    pass
"""


def test_the_environment_alone_turns_traces_on():
    pytest.importorskip("opentelemetry.sdk")
    written, _ = in_a_fresh_process(ON, OTEL_TRACES_EXPORTER="console")
    shown = json.loads(written)
    assert (shown["name"], shown["attributes"]) == ("run", {"run": "r1"})
    assert shown["resource"]["attributes"]["service.name"] == "induce"
    written, _ = in_a_fresh_process(ON, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="mine")
    assert json.loads(written)["resource"]["attributes"]["service.name"] == "mine"


def test_an_exporter_that_is_missing_is_a_warning_that_says_what_to_install():
    program = "import sys; sys.modules['opentelemetry.sdk.trace'] = None" + ON
    written, warned = in_a_fresh_process(program, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert not written
    assert warned.count("pip install opentelemetry-sdk opentelemetry-exporter-otlp") == 1


def test_a_span_that_nobody_wants_costs_less_than_a_microsecond():
    program = """
import timeit
from ray_jobs.tracing import span
def traced():
    with span("task", task="t1"):
        pass
print(min(timeit.repeat(traced, number=2000, repeat=50)) / 2000)
"""
    written, _ = in_a_fresh_process(program)
    assert float(written) < 1e-6


@pytest.fixture
def logger():
    """A logger of one test's own."""
    logger = logging.Logger("induce.test")
    logging.Logger.manager.loggerDict[logger.name] = logger
    logger.manager = logging.Logger.manager
    yield logger
    for handler in logger.handlers:
        handler.close()
    del logging.Logger.manager.loggerDict[logger.name]


def test_a_line_says_when_where_and_what(logger):
    stream = io.StringIO()
    handler = json_lines(logger.name, stream, run="r1", node="n1")
    logger.info("solved %s of %d", "two", 3, extra={"task": "t1", "worker": 4, "score": {"a": [1.5]}})
    logger.debug("not asked for")
    line = json.loads(stream.getvalue())
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset().total_seconds() == 0
    assert line == {
        "level": "INFO",
        "logger": "induce.test",
        "message": "solved two of 3",
        "task": "t1",
        "worker": 4,
        "score": {"a": [1.5]},
        "run": "r1",
        "node": "n1",
    }
    assert handler in logger.handlers


@given(message=TEXTS, task=TEXTS)
def test_hostile_text_stays_in_its_line(message, task):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", newline="")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.handle(logging.makeLogRecord({"msg": message, "task": task, "time": "never", "level": "none"}))
    [line, end] = stream.buffer.getvalue().split(b"\n")
    assert not end
    assert b"\r" not in line
    assert line.isascii()
    found = json.loads(line)
    # JSON reads two surrogates that stand together as the character they mean.
    assert found["message"] == message.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert found["level"] != "none"


class Nasty:
    """Says nothing of itself."""

    def __repr__(self):
        raise RuntimeError("no")


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ({1, 2}, "{1, 2}"),
        (LOOP, "[[...]]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (Nasty(), "<Nasty>"),
        pytest.param(10**5000, "<int>", id="huge"),
        pytest.param("\ud800", "\ud800", id="surrogate"),
        (None, None),
        (True, True),
    ],
)
def test_what_json_cannot_hold_is_described(logger, value, shown):
    stream = io.StringIO()
    json_lines(logger.name, stream)
    logger.info("x", extra={"value": value})
    assert json.loads(stream.getvalue())["value"] == shown


def test_arguments_that_do_not_fit_lose_no_line(logger):
    stream = io.StringIO()
    json_lines(logger.name, stream)
    logger.info("%d tasks", "many")
    assert json.loads(stream.getvalue())["message"] == "'%d tasks' % ('many',)"


def test_an_exception_is_in_the_line(logger):
    stream = io.StringIO()
    json_lines(logger.name, stream)
    try:
        raise ValueError("\ud800\n{")
    except ValueError:
        logger.exception("failed", stack_info=True)
    [text] = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["exception"].endswith("ValueError: \ud800\n{")
    assert line["stack"].startswith("Stack")


def test_a_line_says_in_which_span_it_was_written(logger, exported):
    stream = io.StringIO()
    json_lines(logger.name, stream)
    with span("task"):
        logger.info("inside")
    logger.info("outside")
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    [task] = exported()
    assert inside["trace"] == f"{task.context.trace_id:032x}"
    assert inside["span"] == f"{task.context.span_id:016x}"
    assert "trace" not in outside


def test_a_file_is_continued(logger, tmp_path):
    for number in range(2):
        handler = json_lines(logger.name, tmp_path / "logs" / "worker.jsonl", level=logging.DEBUG)
        logger.debug("line %d", number)
        logger.removeHandler(handler)
        handler.close()
    lines = (tmp_path / "logs" / "worker.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["line 0", "line 1"]


def test_a_file_that_cannot_be_written(logger, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="name another file"):
        json_lines(logger.name, tmp_path / "file" / "log.jsonl")
