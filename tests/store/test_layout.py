from pathlib import Path

import pytest

from pipeline.store.layout import parts_folder, projection_file, segment_folder, source_folder, vector_folder


def test_each_object_has_its_own_folder():
    root = Path("/c")
    assert source_folder(root, "GBT_1_2_x+y") == Path("/c/sources/GBT_1_2_x+y")
    assert vector_folder(root, "power-spectrum-v1", "s") == Path("/c/vectors/power-spectrum-v1/s")
    assert segment_folder(root, "0001") == Path("/c/index/0001")
    assert segment_folder(root, "0001/cell-0012") == Path("/c/index/0001/cell-0012")
    assert projection_file(root, "resnet50") == Path("/c/encoders/resnet50/projection.npz")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc", "a\0b", "../cell-1", "a/cell-1/b"])
def test_a_name_that_would_leave_its_folder_is_refused(name: str):
    for place in (source_folder, segment_folder, parts_folder, projection_file):
        with pytest.raises(ValueError, match="cannot name a folder"):
            place(Path("/c"), name)
    with pytest.raises(ValueError, match="cannot name a folder"):
        vector_folder(Path("/c"), name, "s")
    with pytest.raises(ValueError, match="cannot name a folder"):
        vector_folder(Path("/c"), "key", name)
