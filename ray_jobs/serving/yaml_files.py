"""YAML, read with errors that say where, and written."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from sandboxes.errors import ClusterError

_MOST_BYTES = 1_000_000


def read_yaml(path: Path) -> Any:
    """Read a short YAML file. Raises ``ClusterError`` where there is none."""
    yaml = _yaml()
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ClusterError(f"cannot read {path}: {error.strerror}; name a cluster file") from error
    if len(content) > _MOST_BYTES:
        raise ClusterError(f"{path} has more than {_MOST_BYTES:,} bytes; a cluster file is short")
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ClusterError(f"{where}: this is no YAML: {problem}; quote texts with : or #") from error


def as_yaml(values: dict[str, Any]) -> str:
    """Write YAML, in the order of the values."""
    return str(_yaml().safe_dump(values, sort_keys=False, allow_unicode=True, width=110))


def _yaml() -> ModuleType:
    # Imported here: solving needs no YAML.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise ClusterError('cluster files are YAML: pip install "induce[ray]"') from None
    return yaml
