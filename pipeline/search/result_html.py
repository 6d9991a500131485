"""A search result as HTML, for notebooks: self-contained, with all text escaped."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.support.text import counted, short_number, shown
from pipeline.views import shown_view

if TYPE_CHECKING:
    from pipeline.search.result import SearchResult

MAX_ROWS = 50
"""Maximum number of hits in the table."""


def html_of(result: SearchResult) -> str:
    """Return a heading, a picture of the query and its best ten hits, and a table of the hits.

    Where the pictures cannot be drawn, such as from a damaged corpus, a line says why.
    """
    counts = result.corpus
    head = (f"{counted(len(result), 'hit')} for {result.description} among {counted(counts['searched'], 'signal')} "
            f"({counted(counts['windows'], 'window')}, {counted(counts['sources'], 'source')}), by {result.encoder}")
    parts = [f"<p><b>{_text(head)}</b></p>"]
    if result.hits:
        parts.append(f"<p>{_text(result.words_of_verdict[:1].upper() + result.words_of_verdict[1:])}</p>")
    if result.description.note:
        parts.append(f"<p>Note: {_text(result.description.note)}</p>")
    parts += [_picture(result), _table(result)]
    if len(result) > MAX_ROWS:
        parts.append(f"<p>… and {len(result) - MAX_ROWS:,} more</p>")
    return f"<div>{''.join(parts)}</div>"


def _picture(result: SearchResult) -> str:
    if not result.hits:
        return ""
    try:
        png = result.plot().png
    except PipelineError as error:
        return f"<p>No pictures: {_text(str(error))}</p>"
    return (f'<img alt="The query and its best hits as waterfalls" style="max-width:100%" '
            f'src="data:image/png;base64,{b64encode(png).decode("ascii")}">')


def _table(result: SearchResult) -> str:
    hits = result.hits[:MAX_ROWS]
    if not hits:
        return ""
    has_match, has_views = hits[0].match is not None, any(hit.view for hit in hits)
    has_chance, has_q = hits[0].expected is not None, hits[0].q is not None
    has_known = any(hit.known for hit in hits)
    heads = ["", "Score", *(["Expected by chance"] if has_chance else []), *(["q"] if has_q else []),
             *(["Correlation"] if has_match else []), *(["View"] if has_views else []),
             *(["ON/OFF"] if hits[0].on_off else []), "Frequency [MHz]", "Time [s]", "MJD (UTC)", "SNR [σ]", "Target",
             "Window", *(["Known interference there"] if has_known else []), "File"]
    rows = [f"<tr>{''.join(f'<th>{_text(head)}</th>' for head in heads)}</tr>"]
    for hit in hits:
        window = hit.window
        cells = [str(hit.rank), f"{hit.score:.3f}", *([result.words_of_expected(hit)] if has_chance else []),
                 *([] if hit.q is None else [short_number(hit.q)]),
                 *([f"{hit.match.correlation:.3f}"] if hit.match else []),
                 *([shown_view(hit.view)] if has_views else []), *([hit.on_off.state] if hit.on_off else []),
                 f"{window.f_start_mhz:.6f}–{window.f_stop_mhz:.6f}", f"{window.t_start_s:.0f}–{window.t_stop_s:.0f}",
                 f"{window.mjd:.5f}", f"{hit.snr:.1f}", hit.target,
                 f"{hit.source_id}/{window.number}{result.words_of_merged(hit)}",
                 *([", ".join(hit.known)] if has_known else []), ", also at ".join([hit.file, *hit.also_at])]
        rows.append(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _text(text: str) -> str:
    """Escape text for HTML; controls and bytes that are no UTF-8 become printable first."""
    return escape(shown(text))
