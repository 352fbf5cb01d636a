"""`sidecar usage export`: the whole ledger as JSON lines or Parquet, in constant memory, with the daemon up or down."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError, UsageError
from sidecar.ledger.export import exported

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

    Rows = Iterator[dict[str, object]]

#: Rows in one group of a Parquet file: what is held in memory.
GROUP = 10_000


def export(args: Namespace) -> int:
    pyarrow = _pyarrow() if args.format == "parquet" else None
    if pyarrow and args.output is None and sys.stdout.isatty():
        raise UsageError("Parquet is nothing for a terminal", "sidecar usage export --format parquet --output usage.parquet")
    with exported(args.places.ledger) as (columns, rows), _target(args.output) as file:
        count = _parquet(pyarrow, file, columns, rows) if pyarrow else _json_lines(file, rows)
    if args.output is not None:
        print(f"{count:,} rows in {args.output}")
    return 0


def _json_lines(file: BinaryIO, rows: Rows) -> int:
    """In ASCII: what came over the wire moves no cursor."""
    count = 0
    for row in rows:
        file.write(json.dumps(row).encode() + b"\n")
        count += 1
    return count


def _parquet(pyarrow: Any, file: BinaryIO, columns: Mapping[str, type], rows: Rows) -> int:
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    kinds[list] = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    with import_module("pyarrow.parquet").ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
            count += len(group)
    return count


def _pyarrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise SidecarError(
            "Parquet needs pyarrow, which is not installed here",
            f"{sys.executable} -m pip install pyarrow (pipx: pipx inject agent-sidecar pyarrow), or take --format jsonl",
        ) from None


@contextmanager
def _target(output: str | None) -> Iterator[BinaryIO]:
    """Standard output, or a file for the user alone, which is there when it is whole and not before."""
    if output is None:
        yield sys.stdout.buffer
        return
    unfinished = f"{output}.{os.getpid()}.part"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(unfinished, output)
    except BaseException as error:
        os.unlink(unfinished)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, output) from error
        raise
