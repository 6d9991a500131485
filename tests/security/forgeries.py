"""Changes one value of a corpus and mends every digest, so that the corpus looks authentic.

Each change follows from a seed: a key that is missing, a value of another type, a number out of all bounds, nesting
without end, a name that leads elsewhere, an array whose header or content makes no sense, another kind of file in the
place of a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import stat
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

DEEP = "@@deep@@"
"""Stands for a value that is nested 100,000 deep. :func:`json.dumps` could not write it."""
NUMBERS = (-1, 0, 1, 2, 7, 10**6, 2**31, 2**32, 2**40, 2**53, 2**63, 2**64, 10**13, -(10**13), 10**30, 10**400, 0.5,
           1e12, 1e308, -1e308, 5e-324, float("nan"), float("inf"))
TEXTS = ("", "x", "../../victim", "a\0b", "\ud800", "é" * 300, "9" * 5000, "/dev/zero", "0Hz-0s", "NaN")
OTHERS: tuple[Any, ...] = (None, True, [], {}, [1], {"a": 1}, [[1, 2], [3]], DEEP)
MAX_MENDED_BYTES = 1 << 26
SPARSE_BYTES = 1 << 40
Change = Callable[[Path, random.Random], str]


def write_json(path: Path, record: Any) -> None:
    """Write a record, with nesting in the place of each :data:`DEEP`."""
    path.write_bytes(as_json(record))


def as_json(record: Any) -> bytes:
    return json.dumps(record).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000).encode()


def alter(record: Any, chance: random.Random) -> tuple[Any, str]:
    """Change one value of a JSON record; return it and words that say what was done."""
    places = [((), record), *_places(record, ())]
    path, value = chance.choice(places)
    how = chance.choice(("number", "number", "number", "type", "text", "missing", "more"))
    if how == "missing" and path:
        return _without(record, path), f"without {'.'.join(map(str, path))}"
    if how == "more" and isinstance(value, dict):
        new: Any = {**value, chance.choice(("mystery", "sha256", "", "../x")): chance.choice((*OTHERS, *TEXTS))}
    elif how == "text":
        new = chance.choice(TEXTS)
    elif how == "type":
        new = chance.choice(OTHERS)
    else:
        new = chance.choice(NUMBERS)
    return _with(record, path, new), f"{'.'.join(map(str, path))[:80] or 'all'} = {str(new)[:40]!r}"


def _places(record: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        yield (*path, key), value
        yield from _places(value, (*path, key))


def _with(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy: Any = dict(record) if isinstance(record, dict) else list(record)
    copy[path[0]] = _with(copy[path[0]], path[1:], value)
    return copy


def _without(record: Any, path: tuple[Any, ...]) -> Any:
    if len(path) > 1:
        return _with(record, path[:1], _without(record[path[0]], path[1:]))
    copy: Any = dict(record) if isinstance(record, dict) else list(record)
    del copy[path[0]]
    return copy


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def mend_group(folder: Path) -> None:
    """Give a group the digests of what it holds now. What is no file keeps its old digest, with its size."""
    path = digests_of(folder)
    if not path.is_file() or path.stat().st_size > MAX_MENDED_BYTES:  # reading a pipe would wait for ever
        return
    try:
        record = json.loads(path.read_bytes())
        files = record["files"] if path.name == "group.json" else record
        list(files.items())
    except (ValueError, LookupError, TypeError, AttributeError):
        return
    for name in list(files):
        try:
            status = os.stat(folder / name)
        except OSError:
            del files[name]
            continue
        content = b""
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_MENDED_BYTES:
            content = (folder / name).read_bytes()
        files[name] = [status.st_size, _sha(content)]
    path.write_bytes(seal(record) if path.name == "group.json" else as_json(record))


def digests_of(folder: Path) -> Path:
    """Return the file with the digests of a group, in either format."""
    new = folder / "group.json"
    return new if os.path.lexists(new) else folder / "digests.json"


def seal(record: Any) -> bytes:
    """Return a record as JSON that ends with its own digest."""
    if not isinstance(record, dict):
        return as_json(record)
    content = as_json({name: value for name, value in record.items() if name != "sha256"})
    return content[:-1] + b',"sha256":"%s"}' % _sha(content).encode()


def mend_vectors(root: Path, source_id: str) -> None:
    """Say in each group of vectors of a source that it was made of the windows that are there now."""
    path = digests_of(root / "sources" / source_id)
    try:
        record = json.loads(path.read_bytes())
        files = record["files"] if path.name == "group.json" else record
        rows = _sha(json.dumps({name: entry for name, entry in files.items()
                                if name.startswith(("windows/", "windows.npy", "cutout/"))}, sort_keys=True).encode())
    except (ValueError, LookupError, TypeError, AttributeError):
        return
    for folder in root.glob(f"vectors/*/{source_id}"):
        attributes = folder / ("group.json" if digests_of(folder).name == "group.json" else "zarr.json")
        record = json.loads(attributes.read_bytes())
        (record["attributes"] if attributes.name == "zarr.json" else record)["rows"] = rows
        write_json(attributes, record)
        mend_group(folder)


def mend_segment(folder: Path, record: Any = None) -> None:
    """Give a segment the sizes, shapes and digests of what it holds now."""
    path = folder / "segment.json"
    record = json.loads(path.read_bytes()) if record is None else record
    if isinstance(record, dict):
        for name, entry in record["arrays"].items() if isinstance(record.get("arrays"), dict) else ():
            file = folder / f"{name}.npy"
            if isinstance(entry, dict) and file.is_file() and file.stat().st_size <= MAX_MENDED_BYTES:
                entry |= {"bytes": file.stat().st_size, "sha256": _sha(file.read_bytes())}
        record.pop("sha256", None)
        record["sha256"] = _sha(json.dumps(record, sort_keys=True).encode())
    write_json(path, record)


def mend_manifest(root: Path, record: Any) -> None:
    """Write the current manifest, its copy, and a pointer to it."""
    number = int((root / "CURRENT").read_text().split()[0])
    content = seal(record)
    for suffix in ("json", "copy"):
        (root / "manifest" / f"{number:08d}.{suffix}").write_bytes(content)
    (root / "CURRENT").write_text(f"{number} {_sha(content)}\n")


def manifest_of(root: Path) -> tuple[Path, Any]:
    path = root / "manifest" / f"{int((root / 'CURRENT').read_text().split()[0]):08d}.json"
    return path, json.loads(path.read_bytes())


def alter_manifest(root: Path, chance: random.Random) -> str:
    _, record = manifest_of(root)
    if chance.random() < 0.3:  # most values are in entries of files and sources
        part = chance.choice(("segments", "encoders", "retired", "losses", "generation", "weights", "removed"))
        record[part], what = alter(record[part], chance)
        what = f"{part}: {what}"
    else:
        record, what = alter(record, chance)
    mend_manifest(root, record)
    return f"manifest {what}"


def alter_identity(root: Path, chance: random.Random) -> str:
    path = root / "identity.json"
    record, what = alter(json.loads(path.read_bytes()), chance)
    if isinstance(record, dict):
        rest = {key: value for key, value in record.items() if key not in ("format", "sha256")}
        record["sha256"] = _sha(json.dumps(rest, sort_keys=True).encode())
    write_json(path, record)
    return f"identity {what}"


def alter_configuration(root: Path, chance: random.Random) -> str:
    path = root / "corpus.toml"
    lines = path.read_text().splitlines()
    i = chance.choice([i for i, line in enumerate(lines) if "=" in line and not line.startswith("#")])
    value = chance.choice(("10" + "0" * 29, "-1", "0", "1e308", "nan", "inf", '"x"', '"a\\u0000b"', "[]", "{}", "true",
                           "[" * 100_000 + "]" * 100_000, "", "9" * 5000, "1.5"))
    lines[i] = f"{lines[i].split('=')[0]}= {value}" if value else ""
    path.write_text("\n".join(lines))
    return f"corpus.toml {lines[i][:60]}"


def alter_pointer(root: Path, chance: random.Random) -> str:
    old = (root / "CURRENT").read_text()
    new = chance.choice(("", old[:-1], old + old, "9" * 5000 + old, "-1" + old[1:], "\0" * 100, "٣" + old[1:],
                         old * 10**5))
    (root / "CURRENT").write_text(new)
    return f"CURRENT {new[:20]!r}"


def alter_lock(root: Path, chance: random.Random) -> str:
    record: Any = {"host": socket.gethostname(), "pid": 1, "since": "", "command": "x", "place": "", "started": ""}
    record, what = alter(record, chance)
    (root / "lock").mkdir(exist_ok=True)
    path = root / "lock" / "00000999"
    write_json(path, record)
    os.utime(path, (1e9, 1e9))
    return f"lock {what}"


def alter_group(root: Path, chance: random.Random) -> str:
    """Change a value of a ``zarr.json``, a ``group.json`` or the digests of a group."""
    folder = chance.choice(sorted(_groups(root)))
    path = chance.choice([digests_of(folder), *sorted(folder.rglob("zarr.json")), *folder.glob("zarr.json"),
                          *folder.glob("windows/number/zarr.json"), *folder.glob("vector/zarr.json")])
    record, what = alter(json.loads(path.read_bytes()), chance)
    path.write_bytes(seal(record) if path.name == "group.json" else as_json(record))
    if path.name == "zarr.json":
        _mend_all(root, folder)
    elif path.name == "group.json" and folder.parent.name == "sources":
        mend_vectors(root, folder.name)
    return f"{path.relative_to(root)} {what}"


def alter_chunk(root: Path, chance: random.Random) -> str:
    """Delete or change the data of an array, or put those of another array there."""
    folder = chance.choice(sorted(_groups(root)))
    path = chance.choice(_data_of(folder))
    how = chance.choice(("delete", "empty", "noise", "other"))
    if how == "delete":
        path.unlink()
    else:
        other = chance.choice(_data_of(folder))
        path.write_bytes({"empty": b"", "noise": chance.randbytes(200)}.get(how, other.read_bytes()))
    _mend_all(root, folder)
    return f"{path.relative_to(root)} {how}"


def _data_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".json"]


def _groups(root: Path) -> Iterator[Path]:
    yield from root.glob("sources/*")
    yield from root.glob("vectors/*/*")


def _mend_all(root: Path, folder: Path) -> None:
    mend_group(folder)
    if folder.parent.name == "sources":
        mend_vectors(root, folder.name)


def alter_segment(root: Path, chance: random.Random) -> str:
    folder = chance.choice(sorted(path.parent for path in root.glob("index/**/segment.json")))
    record, what = alter(json.loads((folder / "segment.json").read_bytes()), chance)
    try:
        mend_segment(folder, record)
    except RecursionError:
        return "nothing"
    return f"{folder.relative_to(root)}/segment.json {what}"


def alter_array(root: Path, chance: random.Random) -> str:
    """Change numbers, shape or header of an array of the index, or of a group."""
    of_groups = sorted(path for folder in ("sources", "vectors") for path in (root / folder).rglob("*.npy"))
    of_index = sorted(root.glob("index/**/*.npy"))
    path = chance.choice(of_groups if of_groups and chance.random() < 0.5 else of_index)
    array = np.load(path)
    how = chance.choice(("one", "all", "shuffle", "shorter", "longer", "type", "header", "cut"))
    if how == "header":
        header = chance.choice((b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 128), }",
                                b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", b"(" * 5000, b"\0" * 90,
                                b"{'descr': '<i4', 'fortran_order': False, 'shape': (1%s,), }" % (b"0" * 30)))
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + array.tobytes())
    elif how == "cut":
        os.truncate(path, chance.randrange(path.stat().st_size))
    else:
        _write_altered(path, array, how, chance)
    if path in of_index:
        mend_segment(path.parent)
    else:
        _mend_all(root, path.parent)
    return f"{path.relative_to(root)} {how}"


def _write_altered(path: Path, array: Any, how: str, chance: random.Random) -> None:
    if array.dtype.names:  # a table: another number of rows, or one of its columns
        name = chance.choice(array.dtype.names)
        if how in ("one", "all"):
            column = array[name].copy()
            _alter_numbers(column, how, chance)
            array[name] = column
        elif how == "type":
            array = array[[other for other in array.dtype.names if other != name]]
    elif how in ("one", "all"):
        _alter_numbers(array, how, chance)
    elif how == "type":
        array = array.astype(chance.choice(("<f8", ">i4", "<i2", "|b1", "<c8")))
    if how == "shuffle":
        array = array[np.random.default_rng(chance.getrandbits(32)).permutation(len(array))]
    elif how in ("shorter", "longer"):
        array = array[:-1] if how == "shorter" else np.concatenate([array, array[:1]])
    buffer = BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getvalue())


def _alter_numbers(array: Any, how: str, chance: random.Random) -> None:
    """Change one number of an array, or all, in place."""
    if array.size:
        value = chance.choice((0.0, 2.0, 1e-3, float("nan"), float("inf"), 1e30) if array.dtype.kind == "f" else
                              (-1, 0, 1, 5, 10**6, -(2**31), 2**31 - 1))
        with np.errstate(over="ignore"):
            array.reshape(-1)[chance.randrange(array.size) if how == "one" else slice(None)] = (
                np.array(value).astype(array.dtype))


def replace_file(root: Path, chance: random.Random) -> str:
    """Put another kind of file in the place of a file."""
    path = chance.choice([*_heads(root), *sorted(path for path in root.rglob("*") if path.is_file())])
    how = chance.choice(KINDS)
    path.unlink()
    if how == "socket":
        _bind(path)
    elif how == "sparse":
        path.write_bytes(b"")
        os.truncate(path, SPARSE_BYTES)
    elif how.startswith("link"):
        targets = {"link": path.name, "link to a device": "/dev/zero", "link outside": root.parent / "victim/precious"}
        path.symlink_to(targets[how])
    elif how == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    else:
        {"pipe": os.mkfifo, "folder": os.mkdir, "empty": Path.touch}[how](path)
    folder = next((one for one in _groups(root) if one in path.parents), None)
    if folder is not None:
        mend_group(folder)
    elif "index" in path.parts and path.name != "segment.json":
        mend_segment(path.parent)
    return f"{path.relative_to(root)} is a {how}"


KINDS = ("pipe", "folder", "socket", "sparse", "empty", "link", "link to a device", "link outside",
         *(["device"] if os.geteuid() == 0 else []))


def _heads(root: Path) -> list[Path]:
    return [root / name for name in ("CURRENT", "identity.json", "corpus.toml")] + [manifest_of(root)[0]]


def _bind(path: Path) -> None:
    """Make a socket; its path may be longer than the address of a socket can be."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(before)


CHANGES: tuple[Change, ...] = (
    alter_manifest, alter_manifest, alter_manifest, alter_identity, alter_configuration, alter_pointer, alter_lock,
    alter_group, alter_group, alter_group, alter_chunk, alter_segment, alter_segment, alter_array, alter_array,
    replace_file, replace_file, replace_file)


def forge(root: Path, chance: random.Random) -> str:
    """Make one change of a corpus; return what was done."""
    return chance.choice(CHANGES)(root, chance)
