"""Tables on a terminal.  The only importer of rich."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidecar.launch.surroundings import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Self

    from rich.console import ConsoleOptions, RenderableType, RenderResult

#: Wide enough that nothing is cut where the output is a file or a pipe.
_NOT_A_TERMINAL = 240

#: What a column of text keeps when the terminal is narrow, and what stands between two columns.
_LEAST_TEXT, _GAP = 8, 2

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
    dispensable: Sequence[str] = (),
) -> None:
    """See `table`."""
    terminal = console()
    terminal.print(table(columns, rows, terminal.width, title=title, total=total, numbers=numbers, dispensable=dispensable))


def print_lines(lines: Iterable[str]) -> None:
    """See `line`."""
    terminal = console()
    for each in lines:
        terminal.print(line(each))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    width: int,
    *,
    title: str | None = None,
    total: Sequence[object] | None = None,
    numbers: Collection[str] = (),
    dispensable: Sequence[str] = (),
) -> Table:
    """One table, `width` cells wide at most.

    Columns in `numbers` stand right and are not cut, the others give way; where that is not enough those in `dispensable` are left
    out, the first one first.
    """
    body = [*rows, total] if total is not None else [*rows]
    cells = [(column, [_shown(row[at]) for row in body]) for at, column in enumerate(columns)]
    for name in dispensable:
        if _least(cells, numbers) > width:
            cells = [(column, values) for column, values in cells if column != name]
    made = Table(
        title=line(title) if title else None,
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD if _can_draw() else box.ASCII2,
        show_footer=total is not None,
        padding=(0, 1, 0, 0),
    )
    for column, values in cells:
        # Rich takes width from columns that may wrap before it takes any from those that may not; the cells themselves never wrap.
        is_number = column in numbers
        footer = _text(values.pop()) if total is not None else ""
        made.add_column(_text(column), footer, justify="right" if is_number else "left", no_wrap=is_number)
    for row in zip(*(values for _, values in cells), strict=True):
        made.add_row(*map(_text, row))
    return made


class Sheet:
    """Lines and tables below each other, made for the width they are then drawn in."""

    def __init__(self) -> None:
        self._parts: list[Callable[[int], RenderableType]] = []

    def line(self, text: str, style: str = "") -> Self:
        """`style` is rich's: shown where the terminal has colour and `NO_COLOR` is not set."""
        self._parts.append(lambda _width: line(text, style))
        return self

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Collection[str] = (), dispensable: Sequence[str] = ()
    ) -> Self:
        self._parts.append(lambda width: table(columns, rows, width, numbers=numbers, dispensable=dispensable))
        return self

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        for part in self._parts:
            yield part(options.max_width)


def line(text: str, style: str = "") -> Text:
    """Text that may hold what came over the wire, cut where the terminal ends."""
    return _text(_shown(text), style)


def console() -> Console:
    # rich takes a COLUMNS of 0 for a width, and fails at a superscript two.
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return Console(width=_width(), highlight=False, markup=False, emoji=False, _environ=environ)


def _width() -> int | None:
    """COLUMNS if it is a width: Emacs, CI runners and containers set 0.  None: as wide as the terminal is at the moment."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and (width := int(columns[:9])):
        return width
    return None if sys.stdout.isatty() else _NOT_A_TERMINAL


def _least(cells: list[tuple[str, list[str]]], numbers: Collection[str]) -> int:
    """The width below which numbers would be cut."""
    widths = [(max(map(cell_len, (column, *values))), column in numbers) for column, values in cells]
    return _GAP + sum(_GAP + (width if is_number else min(width, _LEAST_TEXT)) for width, is_number in widths)


def _shown(text: object) -> str:
    return legible(plain(text))


def _text(shown: str, style: str = "") -> Text:
    return Text(shown, style, no_wrap=True, overflow="ellipsis" if _can_draw() else "crop")


def _can_draw() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
