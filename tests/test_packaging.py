"""What the wheel holds, and what may stand in its way. `make smoke` installs and uses it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


def test_a_hidden_package_is_named(tmp_path):
    (tmp_path / "memory.py").write_text("remembered = []")
    run = subprocess.run(
        [sys.executable, "-c", "import induce"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert f"{tmp_path / 'memory.py'} hides the package 'memory' of induce" in run.stderr
