"""``induce sandbox check``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from induce.cli.options import Json, SandboxChoice
from induce.cli.output import console, error_console, print_json, print_line
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from sandboxes import SettingsError
from sandboxes.fork_runner import ask_hello
from sandboxes.server_pool import ServerPool

if TYPE_CHECKING:
    from sandboxes import Sandbox
    from sandboxes.conformance import CaseResult
    from sandboxes.connection import Hello


@dataclass(frozen=True, slots=True)
class Layer:
    """Something that stands between programs and the machine.

    ``holds`` says whether this machine has it, ``detail`` how far or why not, ``covers`` for which groups of
    cases it is there.
    """

    name: str
    holds: bool
    detail: str
    covers: tuple[str, ...]


def layers_around(sandbox: Sandbox) -> list[Layer]:
    """Give the layers around a sandbox's programs, as a server of it tells."""
    back_end = sandbox.environment.back_end
    servers = getattr(sandbox, "servers", None)
    if not isinstance(servers, ServerPool):
        return []  # what a service has is for its own machine to check
    return layers_of(ask_hello(servers)) + (list(CONTAINER_LAYERS) if back_end == "docker" else [])


def layers_of(hello: Hello) -> list[Layer]:
    """Give the layers that a fork server which has said hello puts around each program."""
    confined = hello.missing is None
    abi = hello.landlock_abi
    lacking = hello.missing or ""
    landlock = ["files"] + ["network"] * (abi >= 4) + ["processes"] * (abi >= 6)
    user = "nobody, without capabilities" if hello.drops_privileges else "the host's own, which is not root"
    return [
        Layer(
            "seccomp",
            confined,
            "computing, memory and clocks only" if confined else lacking,
            ("files", "network", "processes", "system calls"),
        ),
        Layer(
            f"Landlock ABI {abi}", abi > 0, "no file, port or signal" if abi else "not here", tuple(landlock)
        ),
        Layer(
            "unprivileged user" if hello.drops_privileges else "user of the host",
            confined,
            user,
            ("files", "processes", "system calls"),
        ),
        Layer("rlimits", confined, "memory, stack, descriptors, processes", ("files", "processes", "memory")),
        Layer("server's clock", confined, "CPU and wall-clock time of each input", ("time",)),
        Layer("a process a program", confined, "forked, and killed", ("crashes", "results", "interpreter")),
        Layer("strict frames", confined, "measured before they are read", ("results", "protocol")),
        Layer("own memory", confined, "nothing of another program in it", ("secrets",)),
    ]


CONTAINER_LAYERS = (
    Layer("container: no network", True, "", ("network",)),
    Layer("container: read-only root", True, "", ("files",)),
    Layer("container: no capabilities", True, "", ("processes", "system calls")),
    Layer("container: pids", True, "", ("processes",)),
    Layer("container: memory cgroup", True, "", ("memory",)),
)
"""What a container adds around a fork server."""


def check(
    group: Annotated[
        list[str] | None, typer.Option(help="Only cases of this group, such as files. May be repeated.")
    ] = None,
    back_end: SandboxChoice = None,
    json: Json = False,
) -> None:
    """Run the conformance suite, and hundreds of programs that mean harm, on the sandbox that is set.

    The programs try to read files, reach the network, start processes, exhaust memory and time, crash or
    forge their results. What they try does no lasting harm even where nothing holds them, but for a few:
    use it to judge sandboxes, not to see what happens without one. Exit code 1 if a case failed.

    Examples:

      induce sandbox check

      induce sandbox check --group files --group network --json
    """
    settings = resolve_settings({"sandbox": {"back_end": back_end}}).sandbox
    one_server = settings.model_copy(update={"servers": 1})  # what a program leaves would meet the next
    with open_sandbox(one_server) as sandbox:
        layers = layers_around(sandbox)
        if not json:
            print_line(console(), str(sandbox.environment), "dim")
            if not layers:
                remark = "what enforces it, `induce sandbox check` says on the machine where programs run"
                print_line(console(), remark, "dim")
        failed = report(sandbox, layers, groups=group or (), json=json)
    if failed:
        raise typer.Exit(1)


def report(
    sandbox: Sandbox, layers: Sequence[Layer], *, groups: Sequence[str] = (), json: bool = False
) -> bool:
    """Run the suite, or some groups of it, print how it went, and say whether a case failed.

    Raises ``SettingsError`` for a group that does not exist, and ``SandboxError`` where no program runs.
    """
    from sandboxes.conformance import run_cases, suite  # noqa: PLC0415 - hundreds of programs

    cases = suite()
    known = list(dict.fromkeys(case.group for case in cases))
    if unknown := [group for group in groups if group not in known]:
        raise SettingsError(f"there is no group {', '.join(unknown)}; there are {', '.join(known)}")
    cases = [case for case in cases if not groups or case.group in groups]
    results = []
    with _progress(json) as progress:
        bar = progress.add_task("checking", total=len(cases), failed=0)
        for result in run_cases(sandbox, cases):
            results.append(result)
            progress.update(bar, advance=1, failed=sum(one.problem is not None for one in results))
            if json:
                print_json(_record(result))
    if not json:
        _print_table(results, layers)
    return any(result.problem is not None for result in results)


def _progress(json: bool) -> Progress:
    on = console() if sys.stdout.isatty() else error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=on,
        transient=True,
        disable=not on.is_terminal or (json and sys.stdout.isatty()),
    )


def _record(result: CaseResult) -> dict[str, Any]:
    return {
        "group": result.case.group,
        "name": result.case.name,
        "passed": result.passed,
        "problem": result.problem,
        "skipped": result.skipped,
        "seconds": round(result.seconds, 4),
    }


def _print_table(results: Iterable[CaseResult], layers: Sequence[Layer]) -> None:
    results = list(results)
    total = Counter(result.case.group for result in results)
    passed = Counter(result.case.group for result in results if result.passed)
    skipped = Counter(result.case.group for result in results if result.skipped)
    failed = [result for result in results if result.problem is not None]
    rows = [("group", "passed", "enforced by")]
    for group in total:
        counts = f"{passed[group]}/{total[group]}" + (f", {skipped[group]} skipped" if skipped[group] else "")
        rows.append((group, counts, _enforced_by(group, layers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    broken = {result.case.group for result in failed}
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        style = "dim" if row is rows[0] else "red" if row[0] in broken else ""
        print_line(console(), "  ".join(cells).rstrip(), style)
    for layer in layers:
        if not layer.holds:
            print_line(console(), f"missing: {layer.name}: {layer.detail}", "yellow")
    for result in failed:
        print_line(console(), f"failed: {result.case.group}: {result.case.name}: {result.problem}", "red")
    seconds = sum(result.seconds for result in results)
    summary = f"{passed.total()} of {total.total()} cases passed in {seconds:.0f} s"
    print_line(console(), summary, "red" if failed else "green")


def _enforced_by(group: str, layers: Sequence[Layer]) -> str:
    return ", ".join(layer.name for layer in layers if layer.holds and group in layer.covers)
