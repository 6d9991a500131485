"""Read a Lookalike corpus with zarr, numpy and json alone: the package itself is not needed.

    python read_corpus.py CORPUS                      # list the windows
    python read_corpus.py CORPUS SOURCE/NUMBER        # and compare one of them with all others

The format is described in docs/corpus-format.md.
"""

import hashlib
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import zarr


def read_manifest(corpus):
    """Return the current manifest, having compared it with the digest in CURRENT."""
    while True:
        pointer = (corpus / "CURRENT").read_text()
        number, digest = pointer.split()
        content = (corpus / "manifest" / f"{int(number):08d}.json").read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            return json.loads(content)
        if (corpus / "CURRENT").read_text() == pointer:  # else a newer one was published meanwhile
            raise ValueError(f"{corpus}: the manifest is damaged")


def check_digests(folder):
    """Raise an error unless every file of a group is what its digests say."""
    if (folder / "group.json").exists():
        text = (folder / "group.json").read_text()
        record = json.loads(text)
        whole = text.replace(f',"sha256":"{record["sha256"]}"}}', "}")
        if hashlib.sha256(whole.encode()).hexdigest() != record["sha256"]:
            raise ValueError(f"{folder / 'group.json'}: damaged")
        files = record["files"]
    else:  # format 1
        files = json.loads((folder / "digests.json").read_bytes())
    for name, (size, digest) in files.items():
        content = (folder / name).read_bytes()
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{folder / name}: damaged")


def read_windows(folder, name):
    """Return a column of the windows of a source."""
    if not (folder / "group.json").exists():  # format 1
        return read_array(folder / "windows" / name)
    return read_array(folder / name) if name == "cutout" else np.load(folder / "windows.npy")[name]


def read_vectors(folder):
    """Return the vectors of a source as float32."""
    return read_array(folder / "vector").astype(np.float32)


def read_array(folder):
    """Return a whole Zarr array."""
    return zarr.open_array(str(folder), mode="r")[:]


def first_pixels(numbers, header, coarse, scan):
    """Return first spectrum and first channel, counted from low frequency, of each window number."""
    rows, cover = scan["integrations"], scan.get("cover", False)
    edges = [0, *range(coarse["offset"], header["nchans"], coarse["width"]), header["nchans"]]  # of coarse channels
    channels = np.concatenate([low + starts(high - low, scan["window"], scan["step"], cover)
                               for low, high in pairwise(edges)])
    blocks, places = np.divmod(numbers, len(channels))
    return starts(header["nsamples"], rows, rows, cover)[blocks], channels[places]


def starts(length, size, step, cover):
    """Return where windows of one size begin in a length; with cover, the last one ends where the length does."""
    first = np.arange(0, length - size + 1, step)
    has_rest = cover and len(first) and first[-1] + size < length
    return np.append(first, length - size) if has_rest else first


def frequencies(channels, header):
    """Return the lower edge in MHz of channels counted from low frequency."""
    width = abs(header["foff_mhz"])
    centre = header["fch1_mhz"] + (header["nchans"] - 1) * min(header["foff_mhz"], 0)  # of the lowest channel
    return centre - width / 2 + channels * width


def power_of(cutouts, spread):
    """Return linear power, noise at 1, of cutouts (n, T, F); masked pixels are NaN."""
    u = np.sinh(-3 + 10 / 254 * (cutouts.astype(float) - 1))
    return np.where(cutouts == 0, np.nan, np.exp(u * spread[:, None, None]))


def read_corpus(corpus, encoder=None):
    """Return a list of windows, each a dictionary; `vector` is that of the encoder with the most vectors, or None."""
    corpus = Path(corpus)
    scan = json.loads((corpus / "identity.json").read_bytes())["scan"]
    manifest = read_manifest(corpus)
    if encoder is None and manifest["encoders"]:
        encoder = max(manifest["encoders"],
                      key=lambda key: sum(entry["vectors"].get(key, 0) for entry in manifest["sources"].values()))
    windows = []
    for source_id, entry in manifest["sources"].items():
        folder = corpus / "sources" / source_id
        check_digests(folder)
        header = entry["header"]
        numbers = read_windows(folder, "number")
        spectra, channels = first_pixels(numbers, header, entry["coarse"], scan)
        low, high = frequencies(channels, header), frequencies(channels + scan["window"], header)
        seconds = spectra * header["tsamp_s"]
        snr, power = read_windows(folder, "snr"), power_of(
            read_windows(folder, "cutout"), read_windows(folder, "spread"))
        vectors = [None] * len(numbers)
        if encoder in entry["vectors"]:
            made = corpus / "vectors" / encoder / source_id
            check_digests(made)
            vectors = read_vectors(made)
        for i, number in enumerate(numbers):
            windows.append({"window": f"{source_id}/{number}", "file": entry["path"], "f_start_mhz": low[i],
                            "f_stop_mhz": high[i], "mjd": header["tstart_mjd"] + seconds[i] / 86400,
                            "snr": snr[i], "power": power[i], "vector": vectors[i]})
    return windows


def main():
    windows = read_corpus(sys.argv[1])
    if len(sys.argv) > 2:
        query = next((window for window in windows if window["window"] == sys.argv[2]), None)
        if query is None:
            sys.exit(f"{sys.argv[2]}: {sys.argv[1]} has no such window")
        for window in windows:
            a, b = query["vector"], window["vector"]
            window["score"] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        windows.sort(key=lambda window: -window["score"])
    for window in windows:
        score = f"{window['score']:.3f}  " if "score" in window else ""
        print(f"{score}{window['f_start_mhz']:.6f} MHz  MJD {window['mjd']:.5f}  SNR {window['snr']:7.1f}  "
              f"{window['window']}")


if __name__ == "__main__":
    main()
