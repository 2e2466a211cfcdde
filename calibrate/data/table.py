"""CSV files with a header, that nobody vouches for."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from calibrate.data.files.interface import MAX_BYTES
from calibrate.data.files.remote import RemotePath, reading_from
from calibrate.errors import DataError, UnsafeInputError


class CsvRow(NamedTuple):
    """The wanted fields of one row, and the line it ends on."""

    line: int
    fields: tuple[str, ...]


class CsvTable:
    """The rows of a CSV file (UTF-8) whose header names the wanted ``columns``; ``unused`` are its other columns.

    A header that is just the column ``alone`` will do too; ``columns`` then is that one.
    Rows with another number of fields than the header, or with nothing in a wanted one, are refused by line; blank
    lines are passed over.
    """

    def __init__(self, place: Path | RemotePath, columns: tuple[str, ...], name: str, alone: str | None = None) -> None:
        self.name = name
        with reading_from(place) as stream:
            try:
                content = stream.read(MAX_BYTES + 1)
            except OSError as error:
                raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
        if len(content) > MAX_BYTES:
            raise UnsafeInputError(f"{name} is larger than the limit of {MAX_BYTES // 2**20} MiB; give a shorter list.")
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        self._lines = csv.reader(text, strict=True)
        self._header = [column.strip() for column in next(self._read(), [])]
        self.columns = columns if alone is None or self._header != [alone] else (alone,)
        if [self._header.count(column) for column in self.columns] != [1] * len(self.columns):
            found = ",".join(self._header)
            shown = repr(found if len(found) <= 80 else found[:80] + "…")
            raise DataError(
                f"{name} begins with the line {shown}; its first line must name the columns {','.join(columns)}, each "
                f"once{f', or {alone} alone' if alone else ''}."
            )
        self.unused = tuple(column for column in self._header if column not in self.columns)

    def rows(self) -> Iterator[CsvRow]:
        """The rows, once."""
        places = [self._header.index(column) for column in self.columns]
        for fields in self._read():
            if not fields:
                continue
            line = self._lines.line_num
            if len(fields) != len(self._header):
                raise DataError(
                    f"line {line} of {self.name} has {len(fields)} fields, and the header has {len(self._header)}; "
                    f"give each column one, in quotes where it holds a comma."
                )
            row = CsvRow(line, tuple(fields[place].strip() for place in places))
            for column, field in zip(self.columns, row.fields, strict=True):
                if not field:
                    raise DataError(f"line {line} of {self.name} has no {column}; fill it in or remove the line.")
            yield row

    def _read(self) -> Iterator[list[str]]:
        try:
            yield from self._lines
        except (csv.Error, UnicodeDecodeError) as error:
            reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise DataError(
                f"{self.name} cannot be read after line {self._lines.line_num}: {reason}; save it as CSV in UTF-8."
            ) from None
