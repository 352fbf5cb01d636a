"""Tables on a terminal.  The only importer of rich."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: Wide enough that nothing is cut where the output is a file or a pipe.
_NOT_A_TERMINAL = 240

#: What a column of text keeps when the terminal is narrow.
_LEAST = 6

#: Control characters, formats such as writing directions, lone surrogates, line and paragraph separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: object) -> str:
    """Text as it may be shown: what came over the wire must not move the cursor, change colours or turn the line around."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter) in _UNSEEN else letter for letter in str(text))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    total: Sequence[object] | None = None,
    numbers: Collection[str] = (),
) -> None:
    """One table, as wide as the terminal at most.  The columns in `numbers` stand right and are never cut; others give way."""
    table = Table(
        title=Text(plain(title)) if title else None,
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD if _can_draw() else box.ASCII2,
        show_footer=total is not None,
        padding=(0, 1, 0, 0),
    )
    for at, column in enumerate(columns):
        # Rich takes width from columns that may wrap before it takes any from those that may not; the cells themselves never wrap.
        table.add_column(
            _cell(column),
            _cell(total[at]) if total is not None else "",
            justify="right" if column in numbers else "left",
            no_wrap=column in numbers,
            min_width=None if column in numbers else min(len(column), _LEAST),
        )
    for row in rows:
        table.add_row(*map(_cell, row))
    _console().print(table)


def _cell(text: object) -> Text:
    shown = plain(text)
    if not _can_draw():
        shown = shown.encode("ascii", "replace").decode()
    return Text(shown, no_wrap=True, overflow="ellipsis" if _can_draw() else "crop")


def _console() -> Console:
    fixed = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_NOT_A_TERMINAL if fixed else None, highlight=False, markup=False, emoji=False)


def _can_draw() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
