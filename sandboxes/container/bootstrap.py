"""Takes the fork server from standard input, and starts it: the first code of ours in a container.

So the image needs a Python of version 3.11 or newer and nothing else, and the server always has the host's
version. ``LOADER``, which the command line holds, reads this file and runs it; next comes a compressed JSON
object with the ``sources`` of the package ``guest`` by module name, and the server's ``arguments``. Each is
preceded by its length (four bytes, big-endian).
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an image may have any
    sys.exit("its Python is %d.%d, and must be 3.11 or newer" % sys.version_info[:2])  # noqa: UP031

import json
import zlib
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:

    def read(count: int) -> bytes:
        """Read so many bytes of standard input, and not one more; the loader defines it."""


NOWHERE = "/nonexistent"


class _Importer:
    """Imports modules from their sources, which it forgets one by one."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if name not in self._sources:
            return None
        return ModuleSpec(name, self, origin=f"<{name}>", is_package="." not in name)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        pass  # the usual one will do

    def exec_module(self, module: object) -> None:
        self.run(module.__name__, module.__dict__)  # type: ignore[attr-defined]

    def run(self, name: str, namespace: dict[str, object]) -> None:
        exec(compile(self._sources.pop(name), f"<{name}>", "exec"), namespace)  # noqa: S102 - the host's own


def main() -> None:
    """Run ``guest`` as if it lay in a folder."""
    sent = json.loads(zlib.decompress(read(int.from_bytes(read(4), "big"))))
    importer = _Importer(sent["sources"])
    sites = [argument for folder in sys.path if folder for argument in ("--site", folder)]
    sys.argv[1:] = sites + sent["arguments"]
    sys.path.insert(0, NOWHERE)  # as if the package lay there: the first folder is taken for its own
    sys.meta_path.insert(0, importer)
    importer.run("guest.__main__", {"__name__": "__main__", "__file__": f"{NOWHERE}/guest/__main__.py"})


main()
