"""Load a picture that may come from anywhere: of few formats, of bounded size, as red, green and blue."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.support.disk_faults import cause_of
from pipeline.support.text import shown

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
"""Formats that are read."""
MAX_PIXELS = 40_000_000
"""Maximum number of pixels. Decoding and reading a picture needs about 30 bytes for each."""


def load_picture(path: Path, content: bytes | None = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture as colours on white paper.

    Parameters
    ----------
    path : Path
    content : bytes, optional
        The file, if it is in memory. Then ``path`` is only a name of it, for messages.
    max_pixels : int
        Maximum number of pixels.

    Returns
    -------
    (height, width, 3) uint8
        Red, green and blue; row 0 is at the top.

    Raises
    ------
    QueryError
        The file cannot be read, is no picture of :data:`FORMATS`, is damaged, or has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with path.open("rb") if content is None else BytesIO(content) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which are refused below, and of odd metadata
            with Image.open(file, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > max_pixels:
                    raise QueryError(f"{shown(path)}: has {width:,} × {height:,} pixels, more than {max_pixels:,}; "
                                     "scale it down or cut it to the plot")
                coloured = picture.convert("RGBA")
    except QueryError:
        raise
    except Image.DecompressionBombError as error:
        raise QueryError(f"{shown(path)}: has more than {MAX_PIXELS:,} pixels; scale it down or cut it to the plot"
                         ) from error
    except UnidentifiedImageError as error:
        raise QueryError(f"{shown(path)}: no picture of the formats {', '.join(FORMATS)}; convert it to PNG") from error
    except OSError as error:
        if error.errno is None:  # of the decoder, which lacks bytes
            raise _damaged(path, error) from error
        raise QueryError(f"{shown(path)}: cannot be read ({cause_of(error)})") from error
    except Exception as error:  # decoders raise errors of many kinds for damaged files
        raise _damaged(path, error) from error
    paper = Image.new("RGBA", coloured.size, "white")
    return np.asarray(Image.alpha_composite(paper, coloured).convert("RGB"))


def _damaged(path: Path, error: Exception) -> QueryError:
    return QueryError(f"{shown(path)}: the picture is damaged or cut off ({shown(str(error))}); fetch it again")
