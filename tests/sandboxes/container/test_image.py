"""Images: from the host, from a registry, and which one a sandbox takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from induce.cli import sandbox_image
from sandboxes import Limits, Program, SandboxError
from sandboxes.container import DockerSandbox, from_host, image
from sandboxes.container.image import build_image, build_image_from_host, find_image, list_images


@pytest.fixture(scope="module")
def tree():
    return from_host.collect(("numpy",))


class TestFromHost:
    def test_holds_what_is_used_and_nothing_else(self, tree):
        paths = set(tree.entries)
        assert os.path.realpath(sys.executable) in paths
        assert any(path.endswith("/numpy/__init__.py") for path in paths)
        assert not any("/scipy/" in path or "/pytest" in path or "/docker/" in path for path in paths)
        assert not any(path.startswith(("/proc/", "/dev/", "/sys/")) for path in paths)
        assert tree.packages["numpy"][0].isdigit()

    def test_every_path_is_complete(self, tree):
        """Each folder on the way is there, and every link leads to something that is."""
        for path, target in tree.entries.items():
            assert os.path.dirname(path) in {"/", *tree.entries}
            if target is not None:
                assert os.readlink(path) == target
                assert os.path.realpath(path) in tree.entries

    def test_the_archive_can_be_read_by_anybody(self, tree, tmp_path):
        with tree.archive() as file, tarfile.open(fileobj=file) as tar:
            members = tar.getmembers()
        assert len(members) == len(tree.entries)
        for member in members:
            assert member.uid == member.gid == 0
            assert member.issym() or member.mode & 0o444 == 0o444

    def test_the_content_is_the_same_each_time(self, tree):
        assert from_host.collect(("numpy",)).content == tree.content

    def test_a_package_that_is_not_installed_is_left_out(self):
        assert from_host.collect(("nothing_of_the_kind",)).packages == {}

    def test_it_starts_in_its_own_tree(self, tree, tmp_path):
        if os.geteuid() != 0:
            pytest.skip("only root can change its root")
        with tree.archive() as file, tarfile.open(fileobj=file) as tar:
            tar.extractall(tmp_path, filter="fully_trusted")
        code = "import numpy, json, sys; print(numpy.arange(3).sum(), sys.path)"
        done = subprocess.run(
            [
                shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin"),
                str(tmp_path),
                tree.interpreter,
                "-c",
                code,
            ],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C.UTF-8"},
        )
        assert done.stderr == ""
        assert done.stdout.startswith("3 ")

    def test_needs_linux(self, engine, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(SandboxError, match="on Linux alone"):
            build_image_from_host(engine)

    def test_needs_the_same_machine(self, engine, monkeypatch):
        monkeypatch.setattr(image.platform, "machine", lambda: "riscv64")
        with pytest.raises(SandboxError, match=r"is for riscv64 and cannot run on the engine's"):
            build_image_from_host(engine)

    def test_an_interpreter_that_cannot_load(self, engine, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(SandboxError, match="cannot load what programs may use"):
            build_image_from_host(engine)


class TestFinding:
    def test_what_was_built_is_the_default(self, engine):
        found = find_image(engine)
        assert found.default
        assert found.name.startswith(f"induce-sandbox:{sys.version_info[0]}.{sys.version_info[1]}-")
        assert found.interpreter == sys.executable
        assert find_image(engine, found.name).id == found.id
        assert found in list_images(engine)

    def test_the_same_again_is_not_sent_again(self, engine):
        said: list[str] = []
        before = find_image(engine)
        assert build_image_from_host(engine, report=said.append).id == before.id
        assert not any("sending" in line for line in said)


class TestFromRegistry:
    def test_without_one_says_what_helps(self, engine, monkeypatch):
        unreachable = b"ARG PYTHON\nFROM 127.0.0.1:1/python:${PYTHON}-slim\n"
        monkeypatch.setattr(image, "_dockerfile", lambda: unreachable)
        with pytest.raises(SandboxError, match=r"cannot be built: .*--from-host"):
            build_image(engine)

    def test_a_version_is_a_version(self, engine):
        with pytest.raises(SandboxError, match="no version of Python"):
            build_image(engine, "latest; rm -rf /")

    def test_builds_on_any_base(self, own_engine, monkeypatch):
        """With the engine's builder, on an image that is there under the registry's name."""
        from sandboxes.container.engine import Engine

        engine = Engine(own_engine.host)
        base = build_image_from_host(engine, packages=())
        with engine.client() as client:
            client.tag(base.id, "python", "3.77-slim")
        source = b"ARG PYTHON\nFROM python:${PYTHON}-slim\nUSER 65534:65534\n"
        monkeypatch.setattr(image, "_dockerfile", lambda: source)
        said: list[str] = []
        built = build_image(engine, "3.77", said.append)
        assert built.name.startswith("induce-sandbox:3.77-")
        assert find_image(engine).id == built.id
        assert any("FROM python" in line for line in said)
        engine.close()


class TestCommands:
    def test_build_and_list(self, host, engine, capsys):
        sandbox_image.build(from_host=True, host=host)
        sandbox_image.list_built(host=host)
        printed = capsys.readouterr().out
        assert f"{find_image(engine).name}, Python {sys.version.split()[0]}" in printed
        assert f"* {find_image(engine).name}" in printed

    def test_sweep(self, host, capsys):
        sandbox_image.sweep_containers(host=host)
        assert capsys.readouterr().out.startswith("removed ")


def test_an_image_without_packages_is_enough(own_engine):
    from sandboxes.container.engine import Engine

    engine = Engine(own_engine.host)
    small = build_image_from_host(engine, packages=())
    engine.close()
    with DockerSandbox(small.name, host=own_engine.host, servers=1) as sandbox:
        assert sandbox.environment.packages == {}
        source = "def f(x):\n    import numpy"
        [execution] = sandbox.run(Program(source, "f"), [1], Limits())
        assert execution.error.startswith("ModuleNotFoundError")
