"""Loads what a server loads, and prints which files that took; run by the interpreter of the image-to-be.

``python inventory.py GUEST_FOLDER PACKAGE…`` prints one JSON object: ``files`` in use and ``folders`` that
must be there, though perhaps empty; ``interpreter``; ``packages`` that were found, with their versions.
"""

import importlib
import importlib.util
import json
import os
import sys

_NO_FILES = ("/proc/", "/sys/", "/dev/")


def main() -> None:
    """Load, look, print."""
    guest, *names = sys.argv[1:]
    folders = [folder for folder in sys.path if folder]
    strangers = _brought_along(folders, names)
    opened: set[str] = set()
    sys.addaudithook(lambda event, arguments: opened.add(str(arguments[0])) if event == "open" else None)
    sys.path.insert(0, os.path.dirname(guest))
    package = os.path.basename(guest)
    importlib.import_module(f"{package}.server")
    preload = importlib.import_module(f"{package}.preload")
    paths = set(_files_of_modules())
    packages = preload.find_packages(folders, names)
    preload.preload()
    preload.load_packages(folders, packages)
    paths |= opened | set(_files_of_modules()) | set(_mapped()) | set(_files_of_the_interpreter(folders))
    files = {path for path in paths - strangers if os.path.isfile(path) and _lasts(path, guest)}
    print(
        json.dumps(
            {
                "interpreter": sys.executable,
                "files": sorted(files),
                "folders": sorted({*filter(os.path.isdir, folders), *_metadata(folders, packages)}),
                "packages": packages,
            }
        )
    )


def _brought_along(folders: list[str], names: list[str]) -> set[str]:
    """Give the files of packages that some ``.pth`` file or ``sitecustomize`` has imported at the start.

    Programs get what they are to have, and nothing of what else this environment is used for.
    """
    sites = tuple(folder + os.sep for folder in folders if os.path.basename(folder).endswith("-packages"))
    found = set()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.startswith(sites) and name.partition(".")[0] not in names:
            found |= {path, getattr(module, "__cached__", None) or path}
    return found


def _lasts(path: str, guest: str) -> bool:
    return os.path.isabs(path) and not path.startswith((*_NO_FILES, guest + os.sep))


def _files_of_modules() -> list[str]:
    """Give the source of every module, too: an interpreter does not look at a cache that has none.

    Also by its name, since a module can put another in its place, such as ``collections.abc``.
    """
    found: list[object] = []
    for name, module in list(sys.modules.items()):
        found += [getattr(module, "__file__", None), getattr(module, "__cached__", None)]
        parent, _, last = name.rpartition(".")
        for folder in getattr(sys.modules.get(parent), "__path__", ()):
            source = os.path.join(folder, f"{last}.py")
            found += [source, importlib.util.cache_from_source(source)]
        for folder in getattr(module, "__path__", ()):
            found.append(os.path.join(folder, "__init__.py"))
    return [path for path in found if isinstance(path, str)]


def _mapped() -> list[str]:
    """Give the files in memory: the interpreter, its loader, shared libraries, the locale."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        fields = [line.rstrip("\n").split(maxsplit=5) for line in maps]
    return [entry[5] for entry in fields if len(entry) == 6 and entry[5].startswith("/")]


def _files_of_the_interpreter(folders: list[str]) -> list[str]:
    """Give what an interpreter reads before any code of ours, or merely looks for."""
    found = [sys.executable, getattr(sys, "_base_executable", None) or sys.executable]
    here = os.path.dirname(sys.executable)
    found += [os.path.join(folder, "pyvenv.cfg") for folder in (here, os.path.dirname(here))]
    found += [os.path.join(folder, "os.py") for folder in folders]  # by which it finds its library
    found += [importlib.util.cache_from_source(path) for path in list(found) if path.endswith(".py")]
    return found


def _metadata(folders: list[str], packages: dict[str, str]) -> list[str]:
    """Give the folders from whose names versions are read."""
    return [
        os.path.join(folder, entry)
        for folder in filter(os.path.isdir, folders)
        for entry in os.listdir(folder)
        if entry.endswith(".dist-info")
        and entry.lower().removesuffix(".dist-info").rpartition("-")[0] in packages
    ]


if __name__ == "__main__":
    main()
