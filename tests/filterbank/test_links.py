import errno
import os

import h5py
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Buffer, open_filterbank
from pipeline.filterbank.access import access_error

from .files import GBT, attributes, in_file_order, power_of, read_all, write_h5

SHAPE = (GBT.nsamples, 1, GBT.nchans)


@pytest.fixture
def root(tmp_path):
    """Data folder with whole.h5. tmp_path/elsewhere/whole.h5 is a copy outside the folder."""
    for folder in ("root/sub", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("root", "elsewhere"):
        write_h5(tmp_path / folder / "whole.h5", in_file_order(power_of(GBT), GBT), attributes(), chunks=(1, 1, 37))
    return tmp_path / "root"


def link(path, target, name="data"):
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file["data"] = h5py.ExternalLink(os.fspath(target), name)
    return path


def virtual(path, sources, shape=SHAPE):
    """Write a virtual dataset: ``sources`` maps (file, dataset) to the channels it supplies."""
    layout = h5py.VirtualLayout(shape, np.float32)
    for (file, name), (start, stop) in sources.items():
        layout[:, :, start:stop] = h5py.VirtualSource(os.fspath(file), name, SHAPE)[:, :, start:stop]
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes())
    return path


def refused(path, reason, match=None, **options):
    with pytest.raises(SourceError, match=match) as caught:
        open_filterbank(path, **options)
    assert caught.value.reason is reason


@pytest.mark.parametrize("target", ["../elsewhere/whole.h5", "ABSOLUTE"])
@pytest.mark.parametrize("kind", ["link", "virtual"])
def test_what_leaves_the_root_is_refused(root, tmp_path, kind, target):
    target = tmp_path / "elsewhere/whole.h5" if target == "ABSOLUTE" else target
    path = root / "leaving.h5"
    if kind == "link":
        link(path, target)
    else:
        virtual(path, {("whole.h5", "data"): (0, 60), (target, "data"): (60, 100)})
    refused(path, Reason.REFUSED_LINK, "elsewhere/whole.h5, outside the data root")
    np.testing.assert_array_equal(read_all(path, root=tmp_path), power_of(GBT))


def test_the_root_is_the_files_folder_unless_it_is_given(root):
    path = link(root / "sub/up.h5", "../whole.h5")
    refused(path, Reason.REFUSED_LINK)
    np.testing.assert_array_equal(read_all(path, root=root), power_of(GBT))


def test_a_symbolic_link_is_no_way_out(root, tmp_path):
    (root / "inside.h5").symlink_to(tmp_path / "elsewhere/whole.h5")
    refused(link(root / "leaving.h5", "inside.h5"), Reason.REFUSED_LINK)


def test_links_may_lead_through_several_files_and_groups(root):
    with h5py.File(root / "groups.h5", "w") as file:
        file["soft"] = h5py.SoftLink("/deep/link")
        file["deep/link"] = h5py.ExternalLink("whole.h5", "/data")
        file["deep/relative"] = h5py.SoftLink("link")
    for name in ("soft", "deep/link", "/deep/relative"):
        np.testing.assert_array_equal(read_all(link(root / "first.h5", "groups.h5", name)), power_of(GBT))


def test_every_link_of_a_chain_is_checked(root):
    link(root / "second.h5", "../elsewhere/whole.h5")
    refused(link(root / "first.h5", "second.h5"), Reason.REFUSED_LINK)
    virtual(root / "third.h5", {("first.h5", "data"): (0, 100)})
    refused(root / "third.h5", Reason.REFUSED_LINK)


def test_links_in_a_circle_end(root):
    link(root / "a.h5", "b.h5")
    link(root / "b.h5", "a.h5")
    refused(root / "a.h5", Reason.BAD_LINK, "more than 8 links")


def test_a_missing_target_is_a_bad_link(root):
    refused(link(root / "a.h5", "gone.h5"), Reason.BAD_LINK, r"gone\.h5, which does not exist")
    virtual(root / "b.h5", {("gone.h5", "data"): (0, 100)})
    refused(root / "b.h5", Reason.BAD_LINK, r"gone\.h5, which does not exist")


def test_a_virtual_dataset_reads_each_part_from_its_file(root):
    halves = {("low.h5", "data"): (0, 41), (".", "own"): (41, 63), ("whole.h5", "data"): (63, 100)}
    stored = in_file_order(power_of(GBT), GBT)
    write_h5(root / "low.h5", stored, attributes(), chunks=(2, 1, 16))
    path = virtual(root / "spliced.h5", halves)
    with h5py.File(path, "r+") as file:
        file["own"] = stored
    with open_filterbank(path) as filterbank:
        for start, stop in ((0, 100), (30, 40), (20, 70), (58, 60)):
            np.testing.assert_array_equal(filterbank.read(3, 17, start, stop), power_of(GBT)[3:17, start:stop])


def test_a_part_may_lie_elsewhere_in_its_file(root):
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    whole = h5py.VirtualSource("whole.h5", "data", SHAPE)
    layout[:7], layout[7:] = whole[11:], whole[:11]
    with h5py.File(root / "turned.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes())
    with open_filterbank(root / "turned.h5") as filterbank:
        np.testing.assert_array_equal(filterbank.read(3, 12, 5, 90), np.roll(power_of(GBT), 7, axis=0)[3:12, 5:90])


def test_a_damaged_chunk_of_a_part_is_found(root):
    path = virtual(root / "spliced.h5", {("whole.h5", "data"): (0, 100)})
    with h5py.File(root / "whole.h5") as file:
        offset = file["data"].id.get_chunk_info_by_coord((4, 0, 37)).byte_offset
    with open(root / "whole.h5", "r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    with pytest.raises(SourceError, match=r"whole\.h5: the chunk at spectrum 4, channel 37") as caught:
        read_all(path)
    assert caught.value.reason is Reason.CORRUPT_CHUNK


def test_a_virtual_dataset_with_a_gap_is_truncated(root):
    refused(virtual(root / "gap.h5", {("whole.h5", "data"): (0, 99)}), Reason.TRUNCATED, "no file supplies")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("parts", [
    [((0, 18), (0, 60)), ((0, 18), (40, 80))],  # as many samples as the whole, yet none above channel 80
    [((0, 12), (0, 100)), ((6, 12), (0, 100))],
    [((0, 12), (0, 70)), ((3, 16), (20, 95)), ((2, 5), (0, 100))],
])
def test_what_overlapping_parts_leave_out_is_no_measurement(root, parts, turned):
    layout, source = h5py.VirtualLayout(SHAPE, np.float32), h5py.VirtualSource("whole.h5", "data", SHAPE)
    expected = np.full((GBT.nsamples, GBT.nchans), np.nan, np.float32)
    for (first, last), (start, stop) in parts[::-1] if turned else parts:
        layout[first:last, :, start:stop] = source[first:last, :, start:stop]
        expected[first:last, start:stop] = in_file_order(power_of(GBT), GBT)[first:last, 0, start:stop]
    with h5py.File(root / "overlapping.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes())
    assert np.isnan(expected).any()
    expected = expected[:, ::-1]  # descending
    with open_filterbank(root / "overlapping.h5") as filterbank:
        stale = np.full(expected.size, 7, np.float32)
        np.testing.assert_array_equal(filterbank.read(0, 18, 0, 100, stale), expected)
        room = Buffer()
        room.take(4 * expected.size).view(np.float32)[:] = 7
        fetched = filterbank.fetch(0, 18, 0, 100, room)
        np.testing.assert_array_equal(fetched.read(1, 17, 3, 99), expected[1:17, 3:99])


def test_a_part_shorter_than_promised_is_truncated(root):
    short = in_file_order(power_of(GBT), GBT)[:9]
    write_h5(root / "short.h5", short, attributes())
    refused(virtual(root / "spliced.h5", {("short.h5", "data"): (0, 100)}), Reason.TRUNCATED, r"short\.h5")


def test_parts_that_are_no_boxes_are_not_read(root):
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    layout[:, :, ::2] = h5py.VirtualSource("whole.h5", "data", SHAPE)[:, :, ::2]
    layout[:, :, 1::2] = h5py.VirtualSource("whole.h5", "data", SHAPE)[:, :, 1::2]
    with h5py.File(root / "comb.h5", "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes())
    refused(root / "comb.h5", Reason.BAD_HEADER, "boxes")


def test_raw_files_beside_the_file_are_refused(root):
    (root / "raw").write_bytes(bytes(4 * GBT.nsamples * GBT.nchans))
    with h5py.File(root / "external.h5", "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file.create_dataset("data", SHAPE, np.float32, external=[(os.fspath(root / "raw"), 0, h5py.h5f.UNLIMITED)])
        file["data"].attrs.update(attributes())
    refused(root / "external.h5", Reason.REFUSED_LINK, "h5repack")


def test_a_link_that_cannot_be_read_is_gone(tmp_path, monkeypatch):
    def gone(path):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    monkeypatch.setattr(os, "readlink", gone)
    error = access_error(FileNotFoundError(errno.ENOENT, "No such file or directory"), tmp_path / "link.h5")
    assert error.reason is Reason.GONE
