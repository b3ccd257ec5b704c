"""What a user does first, with the installed distribution and nothing else; run by `make smoke`."""

import pathlib
import subprocess
import sys

import induce
import sandboxes


def main() -> None:
    for package in (induce, sandboxes):
        origin = pathlib.Path(package.__file__ or "")
        assert origin.is_relative_to(sys.prefix), f"{origin} is not the installed package"
    solution = induce.solve(induce.Task.from_pairs([("ada", "ADA"), ("bob", "BOB")], queries=["eve"]))
    assert solution.predictions == (("EVE",),), solution
    command = [pathlib.Path(sys.prefix, "bin", "induce"), "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert version == f"induce {induce.__version__}\n", version
    print("smoke test: the wheel works by itself")


if __name__ == "__main__":
    main()
