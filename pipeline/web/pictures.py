"""Pictures of plots that people send: what was read from them, and the search for that."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from pipeline.errors import ParameterError, QueryError, parameter
from pipeline.plot_reader import Scale, TimeRuns, read_plot
from pipeline.web.archive import Pinned
from pipeline.web.parts import ItsParts
from pipeline.web.sent_answers import QueryRows
from pipeline.web.uploads import LastSent, SentPicture, Uploads

routes = APIRouter(prefix="/api/v1", tags=["searches"])
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
MAX_PIXELS = 8_000_000
"""Maximum number of pixels of a picture. Reading needs about 30 bytes for each."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a person says of a plot (:func:`pipeline.plot_reader.read_plot`)."""

    hz: Annotated[float | None, Query(gt=0)] = None
    seconds: Annotated[float | None, Query(gt=0)] = None
    colormap: Annotated[str | None, Query(max_length=40)] = None
    scale: Annotated[Scale, Query()] = "db"
    bar_low: Annotated[float | None, Query()] = None
    bar_high: Annotated[float | None, Query()] = None
    time_runs: Annotated[TimeRuns, Query()] = "up"
    frequency_descends: Annotated[bool, Query()] = False
    view: Annotated[str | None, Query(max_length=20)] = None

    def of_reading(self) -> dict[str, Any]:
        """Return keywords of :func:`pipeline.plot_reader.read_plot`."""
        if (self.bar_low is None) != (self.bar_high is None):
            raise ParameterError(f"{parameter('bar')} must be two numbers, the lower one first")
        bar = None if self.bar_low is None or self.bar_high is None else (self.bar_low, self.bar_high)
        return {"hz": self.hz, "seconds": self.seconds, "colormap": self.colormap, "scale": self.scale, "bar": bar,
                "time_runs": self.time_runs, "frequency_descends": self.frequency_descends}


ItsTold = Annotated[Told, Depends()]


def rows_of_picture(content: bytes, name: str, told: Told, pinned: Pinned, uploads: Uploads,
                    pictures: LastSent[SentPicture]) -> dict[str, Any]:
    """Read a plot, keep its power and how it was understood, and return the only row.

    What cannot be used is the reason of the row: the person may say more of the plot, and have it read again.
    """
    row: dict[str, Any] = {"row": 1, "words": "", "request": None, "reason": "", "parameters": []}
    drawn = b""
    try:
        reading = read_plot(Path(name), content=content, max_pixels=MAX_PIXELS, **told.of_reading())
        row["words"], drawn = str(reading), reading.drawn()
        power, view = pinned.corpus.fit_plot(reading, view=told.view)
        drawn = reading.drawn(power)
        row["request"] = {"upload": uploads.add(power), "view": view}
    except (ParameterError, QueryError) as error:
        row["reason"] = pinned.shorten(str(error))
        row["parameters"] = list(error.parameters)
    picture_id = hashlib.sha256(content).hexdigest()[:20]
    pictures.put(picture_id, SentPicture(name, content, drawn), len(content) + len(drawn))
    return {"kind": "picture", "left_out": 0, "rows": [row], "picture": picture_id, "is_drawn": bool(drawn)}


@routes.get("/pictures/{picture_id}.png", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def understood(picture_id: str, parts: ItsParts) -> Response:
    """What was read from a picture last, beside the picture itself."""
    drawn = parts.pictures.get(picture_id).drawn
    if not drawn:
        raise QueryError("nothing was read from this picture")
    return Response(drawn, media_type="image/png")


@routes.post("/pictures/{picture_id}", responses={200: {"model": QueryRows}})
async def read_again(picture_id: str, parts: ItsParts, told: ItsTold) -> dict[str, Any]:
    """Read a picture again that was sent before, with more said of it. The answer is that of ``query-rows``."""
    sent = parts.pictures.get(picture_id)
    return await parts.drawing.run(lambda: rows_of_picture(
        sent.content, sent.name, told, parts.archive.pinned, parts.uploads, parts.pictures))
