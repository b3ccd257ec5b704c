"""What a run is doing, for those who watch it: traces by OpenTelemetry, and logs of one JSON object a line.

Traces are off, and cost next to nothing, unless the process has a tracer provider, or the environment asks
for one (``OTEL_TRACES_EXPORTER``, ``OTEL_EXPORTER_OTLP_ENDPOINT``; read once) and opentelemetry-sdk is there:
then one is set up as the environment says. ``OTEL_SDK_DISABLED=true`` and ``OTEL_TRACES_EXPORTER=none`` keep
this module from that.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sandboxes import SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NAME = "induce"
_OFF = nullcontext[None]()
_SETTING_UP = threading.Lock()
_log = logging.getLogger(__name__)


def span(name: str, **attributes: object) -> AbstractContextManager[None]:
    """Trace what happens inside, as a part of the span around it; an exception marks the span as failed.

    Attributes that are ``None`` are left out. Let no generator yield inside: its caller would be traced too.
    """
    tracer = _tracer()
    return _OFF if tracer is None else _recorded(tracer, name, attributes)


def carrier() -> dict[str, str]:
    """Give what a worker needs to continue the present trace (W3C trace context); empty without one."""
    headers: dict[str, str] = {}
    if _tracer() is not None:
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - optional

        tracecontext.TraceContextTextMapPropagator().inject(headers)
    return headers


def continued(carrier: Mapping[str, str]) -> AbstractContextManager[None]:
    """Make spans inside belong to the span that ``carrier()`` was called in, wherever that was."""
    return _OFF if not carrier or _tracer() is None else _attached(carrier)


def flush(seconds: float = 5.0) -> None:
    """Send what was traced so far: a worker that is about to be stopped has no other chance."""
    if _tracer() is not None:
        from opentelemetry import trace  # noqa: PLC0415 - optional

        send = getattr(trace.get_tracer_provider(), "force_flush", None)
        if send is not None:
            send(int(seconds * 1000))


class JsonLines(logging.Formatter):
    """One JSON object a line: ``time`` (ISO, UTC), ``level``, ``logger``, ``message``, the record's extras.

    ``fields`` are in every line (``run``, ``worker``, ``node`` …), ``trace`` and ``span`` inside a span,
    ``exception`` and ``stack`` where the record has them. Lines are ASCII whatever is in the texts; what JSON
    cannot hold is written as its ``repr``.
    """

    def __init__(self, **fields: object) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record, without its end."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        extras = {name: value for name, value in vars(record).items() if name not in _OF_RECORDS}
        for name, value in (*extras.items(), *self._fields.items(), *_position().items()):
            line.setdefault(name, _plain(value))
        return json.dumps(line)


def json_lines(
    logger_name: str, to: TextIO | str | Path, *, level: int = logging.INFO, **fields: object
) -> logging.Handler:
    """Have a logger write ``JsonLines`` to a stream, or to the end of a file, and give the handler.

    The logger lets through what is of ``level`` from now on. Processes must not share a file: long lines of
    two would mix.

    Raises ``SettingsError`` where the file cannot be written.
    """
    handler: logging.Handler
    if isinstance(to, str | Path):
        try:
            Path(to).parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(to, encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"cannot write the log {to}: {error.strerror}; name another file") from error
    else:
        handler = logging.StreamHandler(to)
    handler.setFormatter(JsonLines(**fields))
    handler.setLevel(level)
    logger = logging.getLogger(logger_name)
    if logger.getEffectiveLevel() > level:
        logger.setLevel(level)
    logger.addHandler(handler)
    return handler


def _tracer() -> Tracer | None:
    _follow_environment()
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:  # then nobody can have configured it
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    tracer: Tracer = provider.get_tracer(_NAME)
    return tracer


@cache
def _follow_environment() -> None:
    """Set up a tracer provider where the environment asks for one and nobody has."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = os.environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    if wanted == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    with _SETTING_UP:
        try:
            _set_up([name.strip() for name in wanted.split(",") if name.strip() not in ("", "none")])
        except Exception as error:  # an exporter's own troubles are no reason to fail a run
            _log.warning(
                "no traces, though OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_ENDPOINT asks for them: %s; "
                "pip install opentelemetry-sdk opentelemetry-exporter-otlp, or unset the variables",
                error,
            )


def _set_up(exporters: list[str]) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and rarely needed

    from opentelemetry import trace  # noqa: PLC0415 - optional
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    told = os.environ
    named = "OTEL_SERVICE_NAME" in told or "service.name" in told.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": _NAME}))
    protocol = told.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or told.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    specific = "otlp_proto_http" if protocol == "http/protobuf" else "otlp_proto_grpc"
    for name in exporters:
        found = entry_points(group="opentelemetry_traces_exporter", name=specific if name == "otlp" else name)
        if not found:
            raise ImportError(f"the exporter {name!r} is not installed")
        provider.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    trace.set_tracer_provider(provider)


@contextmanager
def _recorded(tracer: Tracer, name: str, attributes: Mapping[str, object]) -> Iterator[None]:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - optional

    clean = {key: _attribute(value) for key, value in attributes.items() if value is not None}
    # Exceptions are recorded here: their messages may hold what no exporter can encode.
    with tracer.start_as_current_span(
        name, attributes=clean, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            stack = "".join(traceback.format_exception(error))
            kind = type(error).__qualname__
            message = _encodable("".join(traceback.format_exception_only(error)).strip())
            details = {"type": kind, "message": message, "stacktrace": _encodable(stack)}
            current.add_event("exception", {f"exception.{key}": value for key, value in details.items()})
            current.set_status(StatusCode.ERROR, message)
            raise


@contextmanager
def _attached(carrier: Mapping[str, str]) -> Iterator[None]:
    from opentelemetry import context  # noqa: PLC0415 - optional
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - optional

    token = context.attach(tracecontext.TraceContextTextMapPropagator().extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def _position() -> dict[str, object]:
    """Give the ids of the present span, by which logs and traces are joined."""
    if _tracer() is None:
        return {}
    from opentelemetry import trace  # noqa: PLC0415 - optional

    here = trace.get_current_span().get_span_context()
    if not here.is_valid:
        return {}
    return {"trace": trace.format_trace_id(here.trace_id), "span": trace.format_span_id(here.span_id)}


def _attribute(value: object) -> str | bool | int | float:
    if isinstance(value, bool | int | float) and (not isinstance(value, int) or -(2**63) <= value < 2**63):
        return value
    return _encodable(value if isinstance(value, str) else _described(value))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


_OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the message: better both than neither
        return f"{_described(record.msg)} % {_described(record.args)}"


def _plain(value: object) -> object:
    """Give a value as strict JSON can hold it."""
    if value is None or type(value) in (str, bool) or (type(value) is float and math.isfinite(value)):
        return value
    try:
        json.dumps(value, allow_nan=False)
    except Exception:  # whatever a foreign object does
        return _described(value)
    return value


def _described(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # whatever a foreign object does
        return f"<{type(value).__name__}>"
