"""Only regular files are read: whatever else is there is refused at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.support.regular_files import file_size, read_file


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


OTHERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (os.mkfifo, "is a pipe, not a file"), "folder": (Path.mkdir, "is a folder, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "socket": (_socket, "is a socket"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    make, message = OTHERS[kind]
    make(Path("x"))
    for read in (lambda path: read_file(path, 100), file_size):
        with pytest.raises(OSError, match="not a file") as caught:
            read(Path("x"))
        assert message in str(caught.value.strerror)


def test_a_file_is_read_and_a_large_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"text")
    assert (read_file(path, 4), file_size(path)) == (b"text", 4)
    with pytest.raises(OSError, match="has 4 bytes, more than 3"):
        read_file(path, 3)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing", 3)


def test_a_hole_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"{")
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="holds zero bytes"):
        read_file(path, 1 << 41)
    os.truncate(path, 3)
    assert read_file(path, 3, is_text=False) == b"{\0\0"
