"""The answers to a hit table as a page: self-contained, with all text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pipeline.hit_tables import HitTable
from pipeline.search.row_answer import RowAnswer
from pipeline.support.text import counted, shown

_STYLE = """:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .15rem .9rem .15rem 0; }
th { font-weight: 600; border-bottom: 1px solid #8886; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }"""
_HEADS = ("Row", "MHz", "Hz/s", "SNR", "Look-alikes", "Family", "Best score (by chance)", "ON/OFF",
          "Known interference there", "Best hits", "Remark")
_HITS_SHOWN = 5


def words_of_rows(table: HitTable, answers: Sequence[RowAnswer]) -> list[str]:
    """Return lines: what was searched, how many rows have look-alikes, and what was left out, if anything was."""
    rows = f"{counted(len(answers), 'row')} of {table.name} ({table.kind})"
    searched = [one for one in answers if one.result is not None]
    if not searched:
        return [rows, "no row could be searched for"]
    first = searched[0].result
    assert first is not None
    found = sum(bool(one.convincing) for one in searched)
    own = sum(one.result.own_windows for one in searched if one.result is not None)
    lines = [f"{rows} among {counted(first.corpus['searched'], 'signal')} "
            f"({counted(first.corpus['windows'], 'window')}, {counted(first.corpus['sources'], 'source')}), by "
            f"{first.encoder}",
            f"{found:,} with convincing look-alikes, {len(searched) - found:,} without, "
            f"{len(answers) - len(searched):,} not searched for"]
    if own:
        lines.append(f"the signal of a row itself is no look-alike: {counted(own, 'window')} of the rows' own scans "
                     "left out")
    if pixels := sum(one.scan is None for one in searched):
        lines.append(f"{counted(pixels, 'row')} searched for by the pixels of the table, because no scan was found "
                     "that has the frequency and can be read")
    return lines


def page_of_rows(table: HitTable, answers: Sequence[RowAnswer]) -> str:
    """Return a page with a line for each row of a hit table."""
    head, *summary = words_of_rows(table, answers)
    lines = "\n".join(_row(one) for one in answers)
    heads = "".join(f"<th>{_text(name)}</th>" for name in _HEADS)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Look-alikes of {_text(table.name)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>Look-alikes of a hit table</h1>
<p>{_text(head)}.</p>
<p>{_text('. '.join(line[:1].upper() + line[1:] for line in summary))}.</p>
<table>
<tr>{heads}</tr>
{lines}
</table>
</body>
</html>
"""


def _row(one: RowAnswer) -> str:
    row = one.row
    cells = [("n", str(one.number))]
    cells += [("n", f"{row.f_mhz:.6f}"), ("n", f"{row.drift_hz_per_s:.3f}"),
              ("n", "" if row.snr is None else f"{row.snr:.1f}")] if row else [("n", "")] * 3
    note = one.result.description.note if one.result else ""
    cells += [("", one.words if one.result is not None else "not searched for"), ("", one.words_of_family),
              ("", one.brief_of_best), ("", one.on_off.state if one.on_off else ""), ("", ", ".join(one.known))]
    html = "".join(f'<td class="{kind}">{_text(text)}</td>' if kind else f"<td>{_text(text)}</td>"
                   for kind, text in cells)
    return f"<tr>{html}<td>{'<br>'.join(_hits(one))}</td><td>{_text(one.reason or note)}</td></tr>"


def _hits(one: RowAnswer) -> Iterator[str]:
    for hit in (one.result or ())[:_HITS_SHOWN]:
        yield (f"{hit.score:.3f} at {hit.window.f_start_mhz:.6f} MHz, MJD {hit.window.mjd:.5f} "
               f"<code>{_text(f'{hit.source_id}/{hit.window.number}')}</code>")


def _text(text: str) -> str:
    return escape(shown(text))
