import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import CorpusDamaged
from pipeline.run.preconditions import put_in_order
from pipeline.store import CorpusStore, corpus


def note(store: CorpusStore, name: str) -> Manifest:
    return store.publish(lambda manifest: manifest.with_files({name: FileEntry(1, 2, "done")}))


def test_each_publish_is_the_next_generation(store: CorpusStore):
    assert store.manifest() == Manifest(generation=0)
    assert note(store, "/a").generation == 1
    assert note(store, "/b").generation == 2
    assert store.manifest() == CorpusStore.open(store.root).manifest()
    assert set(store.manifest().files) == {"/a", "/b"}
    assert (store.root / "CURRENT").read_text().startswith("2 ")
    assert (store.root / "manifest" / "00000002.json").exists()


def test_a_change_that_changes_nothing_publishes_nothing(store: CorpusStore):
    note(store, "/a")
    assert store.publish(lambda manifest: manifest).generation == 1
    assert store.manifest().generation == 1


def test_a_change_that_fails_publishes_nothing(store: CorpusStore):
    with pytest.raises(KeyError):
        store.publish(lambda manifest: manifest.without_segments(["none"]))
    assert store.manifest().generation == 0
    assert note(store, "/a").generation == 1


def test_a_reader_keeps_its_generation_and_the_last_ten_stay_on_disk(store: CorpusStore):
    pinned = note(store, "/first")
    for number in range(14):
        note(store, f"/{number}")
    assert (pinned.generation, set(pinned.files)) == (1, {"/first"})
    kept = sorted(path.name for path in (store.root / "manifest").iterdir())
    assert kept == [*(f"{number:08d}.json" for number in range(6, 15)), "00000015.copy", "00000015.json"]


def test_what_killed_writers_left_is_swept(store: CorpusStore):
    manifests = store.root / "manifest"
    litter = [store.root / ".dead.tmp", manifests / ".dead.tmp", manifests / "00000001.json"]
    for path in litter:
        path.write_text("half a manif")
    assert note(store, "/a").generation == 1
    assert CorpusStore.open(store.root).manifest().files.keys() == {"/a"}
    assert not litter[0].exists()
    assert not litter[1].exists()


def test_a_run_that_publishes_nothing_sweeps_generations_of_killed_writers(store: CorpusStore):
    note(store, "/a")
    manifests = store.root / "manifest"
    expected = sorted(path.name for path in manifests.iterdir())
    for name in ("00000000.copy", "00000002.json", "00000002.copy", *(f"{number:08d}.json" for number in range(3, 20))):
        (manifests / name).write_bytes((manifests / "00000001.json").read_bytes())
    put_in_order(store)
    assert store.manifest().generation == 1
    assert sorted(path.name for path in manifests.iterdir()) == expected


def test_another_store_s_generation_is_seen(store: CorpusStore):
    reader = CorpusStore.open(store.root)
    assert reader.manifest().generation == 0
    note(store, "/a")
    assert reader.manifest().generation == 1
    assert reader.manifest() is reader.manifest(), "read once a generation"


def test_any_flipped_bit_of_a_manifest_is_damage_that_names_it(store: CorpusStore):
    note(store, "/a")
    path = store.root / "manifest" / "00000001.json"
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 7):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises(CorpusDamaged, match=r"00000001\.json"):
            CorpusStore.open(store.root).manifest()


@pytest.mark.parametrize("pointer", ["", "1", "one", "1 abc\n", "1 " + "0" * 63 + "g\n", "\xff"])
def test_a_pointer_that_is_not_one_is_damage(store: CorpusStore, pointer: str):
    (store.root / "CURRENT").write_bytes(pointer.encode("latin-1"))
    with pytest.raises(CorpusDamaged, match="CURRENT"):
        store.manifest()


def test_a_missing_manifest_or_pointer_is_damage(store: CorpusStore):
    note(store, "/a")
    (store.root / "manifest" / "00000001.json").unlink()
    with pytest.raises(CorpusDamaged, match=r"00000001\.json"):
        CorpusStore.open(store.root).manifest()
    (store.root / "CURRENT").unlink()
    with pytest.raises(CorpusDamaged, match="CURRENT"):
        store.manifest()


PUBLISHER = """
import sys
from pipeline.catalogue import FileEntry
from pipeline.store import CorpusStore
store = CorpusStore.open(sys.argv[1])
for number in range(200):
    store.publish(lambda manifest: manifest.with_files({f"/{number}": FileEntry(1, number, "done")}))
"""


def test_a_reader_beside_a_busy_publisher_sees_whole_generations_in_order(store: CorpusStore):
    seen = []
    with subprocess.Popen([sys.executable, "-c", PUBLISHER, str(store.root)]) as process:
        while process.poll() is None:
            manifest = store.manifest()
            assert len(manifest.files) == manifest.generation
            seen.append(manifest.generation)
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 10
    assert store.manifest().generation == 200


def test_a_reader_overtaken_by_more_generations_than_are_kept_reads_the_newest(
    store: CorpusStore, monkeypatch: pytest.MonkeyPatch
):
    reader = CorpusStore.open(store.root)
    read_generation = corpus.read_generation

    def overtaken(root: Path, pointer: str) -> Manifest:
        monkeypatch.setattr(corpus, "read_generation", read_generation)
        for number in range(12):
            note(store, f"/{number}")
        return read_generation(root, pointer)

    monkeypatch.setattr(corpus, "read_generation", overtaken)
    assert reader.manifest().generation == 12


def test_reading_a_manifest_needs_no_zarr(store: CorpusStore):
    script = ("import sys; from pipeline.store import CorpusStore; CorpusStore.open(sys.argv[1]).manifest(); "
              "sys.exit('zarr' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", script, str(store.root)], check=False).returncode == 0


def test_a_root_that_is_not_utf_8_works(tmp_path: Path, identity: dict[str, object]):
    root = tmp_path / "caf\udce9"
    note(CorpusStore.create(root, identity), "/a")
    assert CorpusStore.open(root).manifest().generation == 1
