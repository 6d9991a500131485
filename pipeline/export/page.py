"""Search results and other tables as HTML, for notebooks and as pages: self-contained, with all text escaped."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

from pipeline.errors import PipelineError
from pipeline.export.columns import Column
from pipeline.export.table import Table
from pipeline.model import Digits, Hit, Result
from pipeline.support.text import counted, short_chance, shown
from pipeline.views import shown_view

NOTEBOOK_ROWS, NOTEBOOK_PICTURES = 50, 10
"""Maximum number of hits in the table and in the picture of a notebook."""
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 96rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .15rem .9rem .15rem 0; }
td:last-child { overflow-wrap: anywhere; min-width: 11rem; }
th { font-weight: 600; border-bottom: 1px solid #8886; }
pre { overflow-x: auto; padding: .5rem; background: #8882; font-size: .85em; }
.wide { overflow-x: auto; }
img { max-width: 100%; background: white; }
"""


def notebook_html_of(result: Result) -> str:
    """Return a heading, a picture of the query and its best ten hits, and a table of at most 50 hits.

    Where the pictures cannot be drawn, such as from a damaged corpus, a line says why.
    """
    parts = [f"<p><b>{_text(_heading(result))}</b></p>", *_remarks(result), _picture(result, NOTEBOOK_PICTURES),
             _table(result, NOTEBOOK_ROWS)]
    if len(result.hits) > NOTEBOOK_ROWS:
        parts.append(f"<p>… and {len(result.hits) - NOTEBOOK_ROWS:,} more</p>")
    return f"<div>{''.join(parts)}</div>"


def page_of(result: Result) -> bytes:
    """Return a page with the verdict, a picture of the query and all hits, their table, and commands that continue.

    The page needs no other file and runs no script.
    """
    title = _text(f"Look-alikes of {result.description}")
    parts = [f"<h1>{title}</h1>", f"<p>{_text(_heading(result))}</p>", *_remarks(result), _picture(result, None),
             f'<div class="wide">{_table(result, None)}</div>', *_commands(result),
             "<details><summary>How it was searched</summary>"
             f"<pre>{_text_of_lines(json.dumps(result.query, indent=1))}</pre></details>"]
    return _whole_page(title, parts)


def table_page_of(table: Table) -> bytes:
    """Return a page with a table, and what is known about all of it."""
    title = _text(table.description)
    heads = "".join(f'<th title="{_text(column.description)}">{_text(_head(name, column))}</th>'
                    for name, column in table.columns.items())
    rows = ["".join(f"<td>{_text(_shown_cell(row[name]))}</td>" for name in table.columns) for row in table.rows]
    facts = [f"<p>{_text(f'{name}: {value}')}</p>" for name, value in table.about.items()]
    body = "".join(f"<tr>{row}</tr>" for row in (heads, *rows))
    return _whole_page(title, [f"<h1>{title}</h1>", f"<p>{len(table.rows):,} {_text(table.name)}</p>", *facts,
                               f'<div class="wide"><table>{body}</table></div>'])


def _head(name: str, column: Column) -> str:
    """Return the heading of a column: its name in words, with its unit."""
    words = name.removesuffix(f"_{column.unit.lower()}").replace("_", " ") if column.unit else name.replace("_", " ")
    return f"{words} [{column.unit}]" if column.unit else words


def _shown_cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _whole_page(title: str, parts: Sequence[str]) -> bytes:
    """Return a page, given its title and its parts, which are HTML."""
    page = (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" '
            f'content="width=device-width, initial-scale=1">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
            f"</head>\n<body>\n{chr(10).join(parts)}\n</body>\n</html>\n")
    return page.encode()


def _heading(result: Result) -> str:
    counts = result.corpus
    return (f"{counted(len(result.hits), 'hit')} for {result.description} among "
            f"{counted(counts['searched'], 'signal')} ({counted(counts['windows'], 'window')}, "
            f"{counted(counts['sources'], 'source')}), by {result.encoder}")


def _remarks(result: Result) -> list[str]:
    verdict, note = result.words_of_verdict, result.description.note
    remarks = verdict[:1].upper() + verdict[1:], note and f"Note: {note}"
    return [f"<p>{_text(words)}</p>" for words in remarks if words]


def _picture(result: Result, most: int | None) -> str:
    if not result.hits:
        return ""
    try:
        png = result.picture("png", most)
    except PipelineError as error:
        return f"<p>No pictures: {_text(str(error))}</p>"
    return (f'<img alt="The query and its best hits as waterfalls" style="max-width:100%" '
            f'src="data:image/png;base64,{b64encode(png).decode("ascii")}">')


def _table(result: Result, most: int | None) -> str:
    hits = result.hits[:most]
    if not hits:
        return ""
    has_match, has_views = hits[0].match is not None, any(hit.view for hit in hits)
    has_chance, has_q = hits[0].expected is not None, hits[0].q is not None
    has_known = any(hit.known for hit in hits)
    digits = Digits.of([hit.window for hit in hits])
    heads = ["", "Score", *(["Expected by chance"] if has_chance else []), *(["q"] if has_q else []),
             *(["Correlation", "Re-ranked"] if has_match else []), *(["View"] if has_views else []),
             *(["ON/OFF"] if hits[0].on_off else []), "Frequency [MHz]", "Time [s]", "MJD (UTC)", "SNR [σ]", "Target",
             "Window", *(["Known interference there"] if has_known else []), "File"]
    rows = [f"<tr>{''.join(f'<th>{_text(head)}</th>' for head in heads)}</tr>"]
    for hit in hits:
        window = hit.window
        cells = [str(hit.rank), f"{hit.score:.3f}", *([result.words_of_expected(hit)] if has_chance else []),
                 *([] if hit.q is None else [short_chance(hit.q)]),
                 *([f"{hit.match.correlation:.3f}", f"{hit.final_score:.3f}"] if hit.match else []),
                 *([shown_view(hit.view)] if has_views else []), *([hit.on_off.state] if hit.on_off else []),
                 digits.frequencies(window), digits.times(window), digits.date(window), f"{hit.snr:.1f}", hit.target,
                 f"{hit.source_id}/{window.number}{result.words_of_merged(hit)}",
                 *([", ".join(hit.known)] if has_known else []), ", also at ".join([hit.file, *hit.also_at])]
        rows.append(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _commands(result: Result) -> list[str]:
    """Return the section of commands that continue from each hit."""
    if not result.hits:
        return []
    corpus = shlex.quote(str(result.root))
    blocks = [f"<p>Hit {hit.rank}: {_text(hit.file)}</p><pre>{_text_of_lines(_command_of(hit, corpus))}</pre>"
              for hit in result.hits]
    return ["<h2>Go on from a hit</h2>", "<p>In a shell: what looks like this hit. In Python: its power from the file "
            "itself.</p>", *blocks]


def _command_of(hit: Hit, corpus: str) -> str:
    window = hit.window
    return (f"lookalike search --corpus {shown(corpus)} --window {shlex.quote(f'{hit.source_id}/{window.number}')}\n"
            f"lookalike.read_waterfall({hit.file!r}, {window.f_start_mhz:.9f}, {window.f_stop_mhz:.9f})")


def _text(text: str) -> str:
    """Escape text for HTML; controls and bytes that are no UTF-8 become printable first."""
    return escape(shown(text))


def _text_of_lines(text: str) -> str:
    return "\n".join(map(_text, text.splitlines()))
