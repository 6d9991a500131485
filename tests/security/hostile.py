"""Runs commands on corpora that were forged: ``python -m tests.security.hostile FOLDER FIRST STOP``.

For each number from FIRST to STOP one corpus is forged, always the same, and one command is run on it in a process of
its own, which is forked so that imports are paid once. A line of JSON says what came of it. A case is replayed with its
number: ``python -m tests.security.hostile FOLDER 17 18``.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tarfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.cli import main
from pipeline.store import CorpusStore
from tests.fixtures.old_corpus import HERE
from tests.run.damages import CONFIG
from tests.run.small import archive
from tests.security.attacked import snapshot
from tests.security.forgeries import forge

CPU_S = 10
"""Processor time that a command may take."""
HANG_S = 60
"""Seconds after which a command counts as hanging. It is long, because the machine may be busy."""
MEMORY_BYTES = 1 << 30
"""Memory that a command may take, beside that of the server."""
CODES = {0, 2, 3, 4, 5}
"""Expected exit codes, each with a message. An unexpected error has exit code 1 and a traceback."""
SEARCHES = {"search", "rerank", "filter", "walk"}
"""Commands that change nothing, and whose hits are compared with those in the corpus as it was."""
WALK = "walk"
"""A search along the graph. Python always offers it; the command line only uses it for large corpora."""


def commands(root: Path, data: Path) -> dict[str, list[str]]:
    """The commands, by name, with a window of the corpus as it was."""
    source, low, high = (root.parent / "query").read_text().split()
    at, key = ["--corpus", str(root)], "power-spectrum"
    return {
        "status": ["status", *at], "verify": ["verify", *at], "repair": ["verify", *at, "--repair", "--serial"],
        "search": ["search", *at, "--window", f"{source}/0", "--encoder", key, "--json"],
        "rerank": ["search", *at, "--window", f"{source}/1", "--encoder", key, "--rerank", "--json"],
        "filter": ["search", *at, "--window", f"{source}/0", "--encoder", key, "--only-mhz", "1:1e5", "--per-mhz", "2",
                   "--json"],
        "range": ["search", *at, "--file", source, "--f-start", low, "--f-stop", high],
        "ingest": ["ingest", str(data), *at, "--serial"], "index": ["index", *at],
        "embed": ["embed", *at, "--encoder", key, "--serial"], "remove": ["remove", source, *at],
        "upgrade": ["upgrade", *at], "nightly": ["nightly", str(data), *at, "--serial", "--min-age", "0s"],
        WALK: [source],
    }


def run_command(root: Path, data: Path, name: str) -> None:
    """Run one command in this process."""
    arguments = commands(root, data)[name]
    if name != WALK:
        main(arguments)
        return
    from pipeline.errors import PipelineError
    from pipeline.search import open_corpus

    try:
        found = open_corpus(root).search(window=f"{arguments[0]}/0", exact=False, encoder="power-spectrum")
        sys.stdout.write(json.dumps(found.to_json()))
    except PipelineError as error:
        sys.stderr.write(f"lookalike: {error}\n")
        sys.exit(error.exit_code)


def bases(folder: Path) -> list[Path]:
    """Make the corpora that are forged: one with its files, and old ones with a graph and with cells."""
    with tarfile.open(HERE / "corpus_218a0fb.tar.xz") as archived:
        members = [member for member in archived.getmembers() if member.name.split("/")[0] in ("graph", "routed")]
        archived.extractall(folder, members, filter="data")
    for name in ("graph", "routed"):
        (folder / name).rename(folder / f"{name}-corpus")
        (folder / name).mkdir()
        (folder / f"{name}-corpus").rename(folder / name / "corpus")
        (folder / name / "data").mkdir()
    _make(folder / "made")
    for base in ("graph", "routed", "made"):
        source_id, entry = min(CorpusStore.open(folder / base / "corpus").manifest().sources.items())
        low = entry.header.f_min_mhz
        (folder / base / "query").write_text(f"{source_id} {low:.6f} {low + 1000 * entry.header.channel_width_mhz:.6f}")
        (folder / base / "data" / "empty.h5").touch()
        (folder / base / "victim" / "sub").mkdir(parents=True)
        (folder / base / "victim" / "precious").write_text("of somebody")
        (folder / base / "victim" / "sub" / "c").write_text("named as the store names its own")
    return [folder / base for base in ("graph", "routed", "made")]


def _make(folder: Path) -> None:
    """Ingest a small file. This also loads what the commands load. No command builds a graph, which takes a minute."""
    from pipeline.index import build
    from pipeline.run import index, ingest

    archive(folder / "data", 1)
    build.MIN_GRAPH_VECTORS = 10**9
    ingest([folder / "data"], folder / "corpus", config=CONFIG, serial=True)
    index(folder / "corpus", config=CONFIG)


def case(places: list[Path], folder: Path, seed: int) -> dict[str, Any]:
    """Forge a corpus, run a command on it in a child process, and report what came of it."""
    chance = random.Random(seed)
    base = chance.choice(places)
    name = chance.choice(sorted(commands(base / "corpus", base / "data")))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for part in ("corpus", "victim"):
        shutil.copytree(base / part, folder / part, symlinks=True)
    shutil.copy(base / "query", folder)
    what = forge(folder / "corpus", chance)
    outside = snapshot(folder / "victim"), snapshot(base / "data")
    report = {"seed": seed, "base": base.name, "what": what, "command": name}
    report |= forked(folder, lambda: run_command(folder / "corpus", base / "data", name))
    if what.startswith("index/") and name in SEARCHES and not report["fault"] and report["code"] == 0:
        report["fault"] = _unnoticed(base, folder, name)
    if (snapshot(folder / "victim"), snapshot(base / "data")) != outside:
        report["fault"] = "changed something outside the corpus"
    return report


def forked(folder: Path, run: Callable[[], None]) -> dict[str, Any]:
    """Run a function in a child with limits on memory and time; return exit code, output, and what is wrong with it."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        _limited(folder, run)
    _, status, used = os.wait4(child, 0)
    output = (folder / "output").read_text(errors="replace")
    cpu_s = used.ru_utime + used.ru_stime
    report = {"code": os.waitstatus_to_exitcode(status), "cpu_s": round(cpu_s, 2),
              "wall_s": round(time.monotonic() - began, 2), "peak_mb": used.ru_maxrss >> 10}
    return {**report, "output": output[-2000:], "fault": _fault(report, output, folder)}


def _fault(report: dict[str, Any], output: str, folder: Path) -> str:
    code = report["code"]
    if code == -signal.SIGALRM:
        return "hangs"
    if code == -signal.SIGXCPU:
        return f"takes more than {CPU_S} s"
    if "Traceback" in output or code not in CODES:
        return "traceback" if "Traceback" in output else f"ends with {code}"
    if "Unable to allocate" in output or "MemoryError" in output:
        return "asks for too much memory"
    if report["peak_mb"] - (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) > MEMORY_BYTES >> 20:
        return f"takes {report['peak_mb']} MB"
    return "names no file of the corpus" if code == 5 and str(folder / "corpus") not in output else ""


def _unnoticed(base: Path, folder: Path, name: str) -> str:
    """Compare the hits of a search with those in the corpus as it was. If they differ, verify must name the damage.

    A search checks all that its walk relies on. It does not compare vectors and window numbers with the sources, which
    would take longer than the search.
    """
    answers = base / f"answer-{name}"
    found = _hits(folder / "output")
    if not answers.exists():
        forked(base, lambda: run_command(base / "corpus", base / "data", name))
        shutil.copy(base / "output", answers)
    if found == _hits(answers):
        return ""
    verified = forked(folder, lambda: run_command(folder / "corpus", base / "data", "verify"))
    return verified["fault"] or ("answers otherwise, and verify finds nothing" if verified["code"] != 5 else "")


def _hits(output: Path) -> list[tuple[str, int, float]]:
    try:
        hits = json.loads(output.read_text())["hits"]
    except (ValueError, KeyError, TypeError):
        return []
    return [(hit["source"], hit["window"], round(hit["score"], 4)) for hit in hits]


def _limited(folder: Path, run: Callable[[], None]) -> None:
    """Run a function and end this process, whatever happens."""
    code = 70
    try:
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        held = next(int(line.split()[1]) << 10 for line in Path("/proc/self/status").read_text().splitlines()
                    if line.startswith("VmData"))
        _limit(resource.RLIMIT_DATA, held + MEMORY_BYTES + (1 << 28))  # threads have stacks
        spent = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(spent.ru_utime + spent.ru_stime) + CPU_S)
        signal.alarm(HANG_S)
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _limit(what: int, value: int) -> None:
    """Set a limit that a process started from here may raise again, as the one that parses HDF5 files does."""
    resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


if __name__ == "__main__":
    place, first, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.environ["XDG_CONFIG_HOME"] = str(place / "settings")
    made = bases(place / "bases")
    for number in range(first, stop):
        print(json.dumps(case(made, place / "case", number)), flush=True)  # noqa: T201
