"""Puts each fault of the table into a copy of the tree, one at a time, and has the tests find it.

    python -m tests.mutants [--only TEXT]

The copy has no environment of its own: this interpreter runs the tests, from the copy's root, so that the copy's
packages hide the installed ones (which is checked first). The core is built by cargo alone, quickly, into one target
directory of all runs. Without any fault everything must pass, or nothing that follows would mean anything.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mutants import dispatch, durability, table
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "target" / "mutants"
CORE = "engine/_core.abi3.so"
TESTS_END_WITHIN_S = 1800
WHERE_FROM = """
from pathlib import Path
import actors, api, engine, engine._core, kernels, tests.duel

def test_everything_comes_from_the_copy() -> None:
    for module in (actors, api, engine, engine._core, kernels, tests.duel):
        assert Path(module.__file__).is_relative_to(Path(__file__).parent), module.__file__
"""


class Unusable(Exception):  # noqa: N818
    """The suite itself is broken: a text that is not there, a tree that does not build, a test that always fails."""


class Copy:
    """A copy of what git knows or would, with a core of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)  # as of now: what cargo built for a run before is older
        self.build()
        shutil.copy2(root / CORE, root / "core.unharmed")

    def build(self) -> None:
        command = ["cargo", "build", "--quiet", "--lib", "--features", "extension-module"]
        environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET), "PYO3_PYTHON": sys.executable}
        done = subprocess.run(command, cwd=self.root, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Unusable(f"The core does not build:\n{done.stderr}")
        shutil.copy2(TARGET / "debug" / "lib_core.so", self.root / CORE)

    @contextmanager
    def harmed_by(self, mutant: Mutant) -> Iterator[None]:
        path = self.root / mutant.file
        unharmed = path.read_text("utf-8")
        if unharmed.count(mutant.old) != 1:
            raise Unusable(f"{mutant.name}: in {mutant.file} the text stands {unharmed.count(mutant.old)} times.")
        path.write_text(unharmed.replace(mutant.old, mutant.new), "utf-8")
        try:
            if path.suffix == ".rs":
                self.build()
            yield
        finally:
            path.write_text(unharmed, "utf-8")
            shutil.copy2(self.root / "core.unharmed", self.root / CORE)

    def test(self, *tests: str) -> tuple[int, list[str]]:
        """The exit code of pytest, and how each test failed."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
        try:
            done = subprocess.run(
                command, cwd=self.root, check=False, capture_output=True, text=True, timeout=TESTS_END_WITHIN_S
            )
        except subprocess.TimeoutExpired as late:
            raise Unusable(f"{' '.join(tests)} did not end: this fault hangs, which proves no test.") from late
        if not report.exists():
            raise Unusable(f"pytest did not run:\n{done.stdout}{done.stderr}")
        failures = ElementTree.parse(report).iter("failure")
        return done.returncode, [failure.get("message", "") for failure in failures]


def caught(copy: Copy, mutant: Mutant) -> str:
    """How the tests noticed; empty if they did not."""
    with copy.harmed_by(mutant):
        code, failures = copy.test(*mutant.tests)
    if code == 0:
        return ""
    by_assertion = [failure for failure in failures if failure.startswith(("AssertionError", "assert", "Failed"))]
    if code != 1 or not by_assertion:
        raise Unusable(f"{mutant.name}: pytest ended with {code} and no failing assertion: {failures}")
    return by_assertion[0].removeprefix("AssertionError: ").splitlines()[0]


def check_control(copy: Copy, mutants: list[Mutant], console: Console) -> None:
    (copy.root / "test_where_from.py").write_text(WHERE_FROM, "utf-8")
    code, failures = copy.test("test_where_from.py")
    if code:
        raise Unusable(f"The tests would not run on the copy: {failures}")
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    console.print(f"without any fault: {' '.join(tests)}")
    begin = time.monotonic()
    code, failures = copy.test(*tests)
    if code:
        raise Unusable(f"Without any fault these fail already: {failures}")
    console.print(f"passes, in {time.monotonic() - begin:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Seeds faults in the rules; the tests must catch each.")
    parser.add_argument("--only", default="", help="those with this text in their name or file")
    only = parser.parse_args().only
    mutants = [
        mutant
        for mutant in (*table.MUTANTS, *dispatch.MUTANTS, *durability.MUTANTS)
        if only in mutant.name or only in mutant.file
    ]
    console, results = Console(), Table("fault", "noticed", "seconds")
    survivors = 0
    try:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            copy = Copy(Path(folder))
            check_control(copy, mutants, console)
            for mutant in track(mutants, "faults", console=console):
                begin = time.monotonic()
                how = caught(copy, mutant)
                survivors += not how
                shown = how[:60] if how else "[bold red]survives"
                results.add_row(mutant.name, shown, f"{time.monotonic() - begin:.0f}")
    except Unusable as error:
        console.print(str(error), markup=False)
        raise SystemExit(2) from None
    console.print(results)
    console.print(f"{len(mutants) - survivors} of {len(mutants)} caught")
    raise SystemExit(survivors > 0)


if __name__ == "__main__":
    main()
