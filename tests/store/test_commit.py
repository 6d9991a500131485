import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import EncoderSpec
from pipeline.store import (
    CorpusStore,
    Part,
    SourceGroup,
    VectorGroup,
    arrays,
    commit_source_group,
    commit_vector_group,
    remove_parts,
    write_part,
    write_part_vectors,
)
from pipeline.store.staging import part_path

Stage = Callable[..., Any]


def commit(store: CorpusStore, staged: Any, **changes: Any) -> SourceGroup:
    arguments = {"report": staged.report, "fingerprint": "f00d", **changes}
    return commit_source_group(store.root, staged.staging, staged.source, staged.n_parts, **arguments)


@pytest.mark.parametrize("counts", [(0,), (0, 0, 0)])
def test_a_source_of_which_nothing_was_kept(
    store: CorpusStore, stage: Stage, spec: EncoderSpec, counts: tuple[int, ...]
):
    staged = stage(*counts)
    group = commit(store, staged)
    assert group.n_windows == 0
    assert group.cutouts().shape == (0, 4, 8)
    assert group.numbers.dtype == np.int64
    np.testing.assert_array_equal(group.exposure("searched"), staged.exposure["searched"])
    vectors = commit_vector_group(store.root, staged.staging, staged.source.id, len(counts), spec=spec)
    assert vectors.vectors().shape == (0, spec.dimension)
    group.verify()
    vectors.verify()


def test_a_second_commit_finds_it_done(store: CorpusStore, stage: Stage, spec: EncoderSpec):
    staged = stage(3, 4)
    first = commit(store, staged)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = stage(3, 4)
    part_path(again.staging, again.source.id, 1).unlink()  # not even looked at
    later = commit(store, again, report=replace(staged.report, message="a later run"))
    assert later.report == staged.report
    commit_vector_group(store.root, staged.staging, staged.source.id, 2, spec=spec)
    commit_vector_group(store.root, again.staging, staged.source.id, 2, spec=spec)
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


def test_a_name_that_was_not_flushed_fails_the_commit_and_the_next_one_flushes_it(
    store: CorpusStore, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    staged = stage(3, 4)
    rename, fsync = os.rename, os.fsync
    flushed: list[int] = []

    def renamed(*arguments: Any) -> None:
        rename(*arguments)
        monkeypatch.setattr(os, "fsync", failing)

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def recorded(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "rename", renamed)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        commit(store, staged)
    monkeypatch.setattr(os, "fsync", recorded)
    group = commit(store, staged)
    assert group.folder.parent.stat().st_ino in flushed
    group.verify()


def test_nothing_is_left_in_staging_but_the_parts(store: CorpusStore, stage: Stage):
    staged = stage(3)
    commit(store, staged)
    left = sorted(path.name for path in (staged.staging / staged.source.id).iterdir())
    assert left == ["part-00000.npz", "part-00000.power-spectrum-v1.npy"]


def test_a_group_of_another_fingerprint_is_never_reused(store: CorpusStore, stage: Stage):
    commit(store, stage(3))
    with pytest.raises(CorpusMismatch, match=r"fingerprint f00d, this run makes .* with beef"):
        commit(store, stage(3), fingerprint="beef")


def test_half_a_group_is_never_reused(store: CorpusStore, stage: Stage):
    group = commit(store, stage(3))
    (group.folder / "group.json").unlink()
    with pytest.raises(CorpusDamaged, match=r"group\.json"):
        commit(store, stage(3))


def test_parts_that_are_not_the_source_are_refused_and_leave_nothing(store: CorpusStore, stage: Stage):
    staged = stage(3, 4)
    with pytest.raises(ValueError, match=r"7 windows in parts, 8 in the report"):
        commit(store, staged, report=replace(staged.report, windows_kept=8))
    with pytest.raises(ValueError, match="at least one part"):
        commit(store, replace(staged, n_parts=0))
    with pytest.raises(CorpusDamaged, match="part-00002"):
        commit(store, replace(staged, n_parts=3))
    windows = {"number": staged.windows["number"][:4], "cutout": np.zeros((4, 4, 8), np.uint8)}
    write_part(staged.staging, staged.source.id, 1, Part(windows, {}))
    with pytest.raises(ValueError, match=r"part 1 has \['cutout', 'windows'\], not"):
        commit(store, staged)
    write_part(staged.staging, staged.source.id, 0, Part(windows, {}))
    with pytest.raises(ValueError, match="repeat window numbers"):
        commit(store, staged, report=replace(staged.report, windows_kept=8))
    assert list((store.root / "sources").iterdir()) == []
    assert list(staged.staging.rglob("group-*")) == []


def test_columns_of_other_type_in_a_later_part_are_refused(store: CorpusStore, stage: Stage):
    staged = stage(3, 4)
    path = part_path(staged.staging, staged.source.id, 1)
    columns = dict(np.load(path))
    wider = [(name, "<f8" if name == "snr" else kind) for name, kind in columns["windows"].dtype.descr]
    np.savez(path, **{**columns, "windows": columns["windows"].astype(wider)})
    with pytest.raises(ValueError, match=r"windows: rows of .*\('snr', '<f8'\).* among rows of .*\('snr', '<f4'\)"):
        commit(store, staged)
    assert list((store.root / "sources").iterdir()) == []
    assert list(staged.staging.rglob("group-*")) == []


def test_vectors_must_fit_the_windows_and_the_encoder(store: CorpusStore, stage: Stage, spec: EncoderSpec):
    staged = stage(3, 4)
    source_id = staged.source.id
    with pytest.raises(CorpusDamaged, match=r"group\.json"):  # no source group yet
        commit_vector_group(store.root, staged.staging, source_id, 2, spec=spec)
    commit(store, staged)
    with pytest.raises(ValueError, match="3 rows where 7"):
        commit_vector_group(store.root, staged.staging, source_id, 1, spec=spec)
    with pytest.raises(ValueError, match="vectors of 8 numbers, not 16"):
        commit_vector_group(store.root, staged.staging, source_id, 2, spec=replace(spec, dimension=16))
    path = staged.staging / source_id / f"part-00001.{spec.key}.npy"
    vectors = np.load(path)
    vectors[2, 1] = np.nan
    np.save(path, vectors)
    with pytest.raises(ValueError, match=r"part 1, power-spectrum-v1: 1 vectors are not finite, .* row 2"):
        commit_vector_group(store.root, staged.staging, source_id, 2, spec=spec)
    assert not (store.root / "vectors" / spec.key / source_id).exists()


def test_vectors_of_another_encoder_under_the_same_key_are_never_reused(
    store: CorpusStore, stage: Stage, spec: EncoderSpec
):
    staged = stage(3)
    commit(store, staged)
    commit_vector_group(store.root, staged.staging, staged.source.id, 1, spec=spec)
    other = replace(spec, input="other")
    with pytest.raises(CorpusMismatch, match="made by EncoderSpec"):
        commit_vector_group(store.root, staged.staging, staged.source.id, 1, spec=other)


def test_a_new_encoder_adds_vectors_beside_the_old(store: CorpusStore, stage: Stage, spec: EncoderSpec):
    staged = stage(3, 4)
    commit(store, staged)
    newer = replace(spec, version=2, dimension=2)
    for part_no, count in enumerate((3, 4)):
        write_part_vectors(staged.staging, staged.source.id, part_no, newer.key, np.full((count, 2), 0.5))
    for each in (spec, newer):
        commit_vector_group(store.root, staged.staging, staged.source.id, 2, spec=each)
    assert VectorGroup.open(store.root, spec.key, staged.source.id).dimension == 8
    assert VectorGroup.open(store.root, newer.key, staged.source.id).dimension == 2


def test_a_slower_process_whose_parts_are_gone_finds_it_done(
    store: CorpusStore, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    staged, faster = stage(3, 4), stage(3, 4)
    write_array = arrays.write_array

    def overtaken(*args: Any) -> None:
        monkeypatch.setattr(arrays, "write_array", write_array)
        commit(store, faster)
        remove_parts(staged.staging, staged.source.id)
        write_array(*args)

    monkeypatch.setattr(arrays, "write_array", overtaken)
    group = commit(store, staged)
    np.testing.assert_array_equal(group.cutouts(), staged.windows["cutout"])
    group.verify()


# Every child is killed at its step, the last one ends well.
CRASHER = """
import itertools, os, signal, sys
from pathlib import Path
import zarr  # imported, not yet used: it has no thread that a fork could lose
from pipeline.model import CoarseLayout, Header, Source, SourceReport
from pipeline.store import SourceCommit, commit_source_groups

root, staging = (Path(argument) for argument in sys.argv[1:])
header = Header(8438.0, -2.8e-6, 1024, 1, 32, 18.25, 16, 57436.5)
commits = [SourceCommit(Source(f"s{i}", header, CoarseLayout(1024, "flag"), "/data", 1, 2), 2,
                        SourceReport("/data", "done", f"s{i}", windows_kept=7)) for i in range(3)]
for names in (("fsync", "rename"), ("rename",)):  # flushes run at once, so only renames are in a certain order
    for step in itertools.count(1):
        child = os.fork()
        if not child:
            calls = itertools.count(1)
            def counted(call):
                def wrapper(*arguments, **options):
                    if next(calls) == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return call(*arguments, **options)
                return wrapper
            for name in names:
                setattr(os, name, counted(getattr(os, name)))
            commit_source_groups(root / f"{len(names)}-{step:03d}", staging, commits, fingerprint="f00d")
            os._exit(0)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break
"""


def test_sources_that_are_committed_together_are_each_there_or_not_after_a_kill(
    store: CorpusStore, stage: Stage, tmp_path: Path
):
    staging = store.new_staging()
    staged = [stage(3, 4, seed=number, source_id=f"s{number}") for number in range(3)]
    for one in staged:
        (one.staging / one.source.id).rename(staging / one.source.id)
    subprocess.run([sys.executable, "-c", CRASHER, str(tmp_path / "roots"), str(staging)], check=True)
    *killed, ended = sorted((tmp_path / "roots").iterdir())
    held = {}
    for root in (*killed, ended):
        groups = [SourceGroup.open(root, path.name) for path in sorted((root / "sources").iterdir())]
        for group in groups:
            group.verify()
            np.testing.assert_array_equal(group.cutouts(), staged[int(group.source_id[1:])].windows["cutout"])
        held[root] = len(groups)
    assert held[ended] == 3
    assert set(held.values()) == {0, 1, 2, 3}


COMMITTER = """
import json, os, sys
from pathlib import Path
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport
from pipeline.store import SourceGroup, commit_source_group, commit_vector_group

root, staging, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
header = Header(8438.0, -2.8e-6, 1024, 1, 32, 18.25, 16, 57436.5)
won = []
rename = os.rename

def counted(source, target):
    rename(source, target)
    won.append(str(target))

os.rename = counted
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    source = Source(f"s{number}", header, CoarseLayout(1024, "flag"), "/data", 1, 2)
    report = SourceReport("/data", "done", source.id, windows_kept=7)
    group = commit_source_group(root, staging, source, 2, report=report, fingerprint="f00d")
    group.verify()
    spec = EncoderSpec("power-spectrum", 1, 8, "cutout-v1 4x8")
    commit_vector_group(root, staging, source.id, 2, spec=spec).verify()
print(json.dumps(won))
"""


def test_of_two_processes_exactly_one_commits_and_the_other_finds_it_done(
    store: CorpusStore, stage: Stage, spec: EncoderSpec
):
    count = 15
    stagings = [store.new_staging() for _ in range(2)]
    for number in range(count):
        staged = stage(3, 4, seed=number, source_id=f"s{number}")
        for staging in stagings:
            (staging / f"s{number}").symlink_to(staged.staging / f"s{number}")
    processes = [
        subprocess.Popen([sys.executable, "-c", COMMITTER, str(store.root), str(staging), str(count)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for staging in stagings
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        outputs.append(process.communicate()[0])
        assert process.returncode == 0
    won = [path for output in outputs for path in json.loads(output)]
    expected = [store.root / "sources" / f"s{number}" for number in range(count)]
    expected += [store.root / "vectors" / spec.key / f"s{number}" for number in range(count)]
    assert sorted(won) == sorted(str(path) for path in expected)
    assert [Path(path).name for path in list((store.root / "staging").rglob("group-*"))] == []
