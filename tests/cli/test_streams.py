"""Streams and signals of all commands: output that cannot be written, logs, and Control-C."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline.search
from pipeline.errors import RunError
from pipeline.support.interrupts import note_saved, noting_interrupts, words_on_interrupt
from tests.cli.conftest import Lookalike, environment

# --- Control-C -----------------------------------------------------------------------------------------------------

SLOW = """
import ctypes, sys, time
from pipeline import tasks
from pipeline.cli import main

scan = tasks.scan_part

def plain():
    time.sleep(60)

def as_an_error():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise SystemError("returned a result with an exception set")

def as_a_result():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass

@ctypes.CFUNCTYPE(None)
def swallowed():
    time.sleep(60)

def as_nothing():
    swallowed()
    time.sleep(0.5)  # the library goes on

def slow(work, part_no):
    if work.source.path.endswith("scan1.fil"):
        print("now", flush=True)
        how()
    return scan(work, part_no)

how = globals()[sys.argv.pop(1)]
tasks.scan_part = slow
main()
"""


@pytest.mark.parametrize("how", ["plain", "as_an_error", "as_a_result", "as_nothing"])
def test_control_c_ends_a_run_with_what_it_has_committed_whatever_becomes_of_the_exception(
    lookalike: Lookalike, data: Path, tmp_path: Path, how: str
) -> None:
    ingest = ["ingest", str(data), "--corpus", str(tmp_path / "corpus"), "--serial", "--coarse-width", "4096",
              "--encoder", "power-spectrum"]
    with subprocess.Popen([sys.executable, "-c", SLOW, how, *ingest], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)

    assert process.returncode == 130
    assert out == ""
    *_, last = err.strip().splitlines()  # a busy machine shows progress before
    assert last == "lookalike: interrupted; 1 source is saved. Run the command again to continue"
    assert "sources   1" in lookalike("status", "--corpus", tmp_path / "corpus").out
    again = lookalike(*ingest)
    assert again.code == 0
    assert "2 done, 1 skipped" in again.out
    assert "sources   3" in lookalike("status", "--corpus", tmp_path / "corpus").out


EARLY = """
import os, signal, sys, time
from pipeline import tasks
from pipeline.cli import main

def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

setattr(tasks, sys.argv.pop(1), interrupted)
main()
"""


@pytest.mark.parametrize("task", ["probe_batch", "scan_part", "embed_parts"])
def test_control_c_before_a_source_is_finished_promises_nothing(
    lookalike: Lookalike, data: Path, tmp_path: Path, task: str
) -> None:
    ingest = ["ingest", str(data), "--corpus", str(tmp_path / "corpus"), "--serial", "--coarse-width", "4096",
              "--encoder", "power-spectrum"]
    done = subprocess.run([sys.executable, "-c", EARLY, task, *ingest], env=environment(), capture_output=True,
                          text=True, timeout=90)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "lookalike: interrupted; nothing is finished yet. Run the command again to continue"
    again = lookalike(*ingest)
    assert again.out.startswith("3 files: 3 done")
    said = "1 file searched by an earlier run: only the vectors were missing\n"
    assert (said in again.out) is (task == "embed_parts")
    assert "warning" not in again.out


def test_what_is_saved_is_named_with_its_number() -> None:
    with noting_interrupts(until_exit=False):
        assert words_on_interrupt() == "interrupted"
        for of, noun, count, said in (
            ("", "source", 0, "nothing is finished yet"), ("", "source", 1, "1 source is saved"),
            ("", "source", 1000, "1,001 sources are saved"),
            ("the vectors of ", "source", 1, "1,001 sources and the vectors of 1 source are saved"),
            ("", "segment", 0, "1,001 sources and the vectors of 1 source are saved"),
        ):
            note_saved(noun, count, of=of)
            assert words_on_interrupt() == f"interrupted; {said}. Run the command again to continue"
    with noting_interrupts(until_exit=False):
        assert words_on_interrupt() == "interrupted", "another command has saved nothing"
        note_saved("source", 1, of="the vectors of ")
        assert "the vectors of 1 source are saved" in words_on_interrupt()


# --- where things are written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_nobody_needs_to_read_to_the_end(corpus: Path, kept: str, form: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "pipeline", "search", "--corpus", corpus, "--window", kept, *form],
                          env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (
        0, "lookalike: the rest of the output is not printed, because its reader has closed it\n")


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["search"], ["search", "--csv"], ["search", "--json"],
                                     ["status"]], ids=" ".join)
@pytest.mark.parametrize(("redirection", "cause"), [
    (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_output_that_cannot_be_written_is_told(
    corpus: Path, kept: str, command: list[str], redirection: str, cause: str
) -> None:
    words = [*command, "--corpus", str(corpus)] if command[0] in ("search", "status") else command
    words += ["--window", kept] if command[0] == "search" else []
    done = subprocess.run(f"{shlex.join([sys.executable, '-m', 'pipeline', *words])} {redirection}", shell=True,
                          env=environment(), stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"lookalike: standard output: cannot be written ({cause}); ")
    assert done.stderr.count("\n") == 1


def test_the_other_streams_may_be_closed(corpus: Path, kept: str) -> None:
    words = [sys.executable, "-m", "pipeline", "search", "--corpus", str(corpus), "--window", kept]
    done = subprocess.run(f"{shlex.join(words)} 2>&- <&-", shell=True, env=environment(), stdout=subprocess.PIPE,
                          text=True)
    assert done.returncode == 0
    assert "hits among" in done.stdout


def test_a_limit_on_the_size_of_files_is_named_with_file_and_remedy(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    words = [sys.executable, "-m", "pipeline", "ingest", str(data), "--corpus", str(root), "--serial", "--coarse-width",
             "4096", "--encoder", "power-spectrum"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
    assert done.returncode == 1
    assert done.stderr.startswith(f"lookalike: {root}: cannot be written (")
    assert "File too large" in done.stderr
    assert "ulimit -f" in done.stderr
    assert "CRASHED" not in done.stdout + done.stderr


def test_a_file_of_another_user_is_named(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(corpus: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", f"{corpus}/CURRENT")

    monkeypatch.setattr(pipeline.search, "open_corpus", refuse)
    lookalike("status").assert_refused(
        1, "corpus/CURRENT: cannot be read or written (Permission denied); ask its owner for permission")


def test_a_terminal_without_dashes_gets_escapes(corpus: Path, kept: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "search", "--corpus", corpus, "--window", kept],
                          env={**environment(), "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True)
    assert rb"\u2013" in done.stdout
    assert done.stdout.isascii()


def test_verbose_logs_to_standard_error(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    def log(corpus: Path) -> None:
        logging.getLogger("pipeline.search").info("looking")
        raise RunError("enough")

    monkeypatch.setattr(pipeline.search, "open_corpus", log)
    assert lookalike("-v", "status").err == "INFO pipeline.search: looking\nlookalike: enough\n"
    assert lookalike("status").err == "lookalike: enough\n"
