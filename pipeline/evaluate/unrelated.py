"""Make the vectors of unrelated signals that the significance of hits is measured by.

``python -m pipeline.evaluate.unrelated`` writes the file of the default encoder into the package. Run it after a change
of the weights or of the simulation.
"""

from __future__ import annotations

from pathlib import Path

import pipeline.significance
from pipeline.encoders import load_encoder
from pipeline.significance import write_unrelated
from pipeline.simulate import every_unrelated_cutout


def main() -> None:
    """Write the file of the default encoder."""
    encoder = load_encoder("spectral")
    folder = Path(pipeline.significance.__file__).parent / "vectors"
    write_unrelated(folder / f"{encoder.spec.key}.npy", encoder.encode(every_unrelated_cutout()))


if __name__ == "__main__":
    main()
