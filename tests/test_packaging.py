"""The built wheel, installed alone, outside the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = """
import pathlib, sys
import induce
assert pathlib.Path(induce.__file__).is_relative_to(sys.prefix), induce.__file__
if __name__ == "__main__":
    solution = induce.solve(induce.Task.from_pairs([("ada", "ADA"), ("bob", "BOB")], queries=["eve"]))
    assert solution.predictions == (("EVE",),), solution
    print(solution.candidate.program.source)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    [path] = folder.glob("induce-*.whl")
    return path


def test_the_wheel_holds_the_six_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"induce", "sandboxes", "hypotheses", "memory", "gnn_compile", "ray_jobs"}
    assert all(f"{top}/py.typed" in names for top in tops)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_works_where_the_checkout_is_not(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    # The dependencies are those of this environment; only induce itself must come from the wheel.
    [site] = home.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    script = tmp_path / "smoke.py"
    script.write_text(SMOKE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "INDUCE_"))}
    python = home / "bin" / "python"
    run = subprocess.run(
        [python, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "upper" in run.stdout


def test_a_hidden_package_is_named(tmp_path):
    (tmp_path / "memory.py").write_text("remembered = []")
    run = subprocess.run(
        [sys.executable, "-c", "import induce"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert f"{tmp_path / 'memory.py'} hides the package 'memory' of induce" in run.stderr
