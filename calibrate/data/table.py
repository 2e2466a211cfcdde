"""CSV files with a header, that nobody vouches for."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from calibrate.data.files.interface import MAX_BYTES
from calibrate.data.files.remote import RemotePath, reading_from
from calibrate.errors import DataError, UnsafeInputError


class CsvRow(NamedTuple):
    """The wanted fields of one row, and the line it ends on."""

    line: int
    fields: tuple[str, ...]


#: Other names of a column, by its name.
Spellings = Mapping[str, Sequence[str]]


class CsvTable:
    """The rows of a CSV file (UTF-8) whose header names the wanted ``columns``; ``unused`` are its other columns.

    Capitals do not count in the header, and where a column is not there by its name, one of its other ``spellings``
    will do; ``spelled`` says how the header has them. Without the last of the ``columns`` the table will do too where
    ``may_lack`` it. Those ``besides`` are wanted where they are there, behind the others. The fields are parted by
    commas, or by semicolons or tabs where the header has no comma.
    Rows with another number of fields than the header, or with nothing in a wanted one, are refused by line; blank
    lines are passed over.
    """

    def __init__(
        self,
        place: Path | RemotePath,
        columns: tuple[str, ...],
        name: str,
        *,
        may_lack: bool = False,
        spellings: Spellings | None = None,
        besides: Sequence[str] = (),
    ) -> None:
        self.name = name
        with reading_from(place) as stream:
            try:
                content = stream.read(MAX_BYTES + 1)
            except OSError as error:
                raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
        if len(content) > MAX_BYTES:
            raise UnsafeInputError(f"{name} is larger than the limit of {MAX_BYTES // 2**20} MiB; give a shorter list.")
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        head = content.split(b"\n", 1)[0]
        delimiter = next((mark for mark in (",", ";", "\t") if mark.encode() in head), ",")
        self._lines = csv.reader(text, strict=True, skipinitialspace=True, delimiter=delimiter)
        self._header = [column.strip() for column in next(self._read(), [])]
        places = {column: self._places(column, (spellings or {}).get(column, ())) for column in columns}
        there = {column: self._places(column, ()) for column in besides}
        others = len(self._header) - sum(map(len, there.values()))
        lacks = may_lack and not places[columns[-1]] and others == 1
        wanted = columns[:-1] if lacks else columns
        if [len(places[column]) for column in wanted] != [1] * len(wanted):
            found = ",".join(self._header)
            shown = repr(found if len(found) <= 80 else found[:80] + "…")
            raise DataError(
                f"{name} begins with the line {shown}; its first line must name the columns {','.join(columns)}, each "
                f"once{f', or {columns[0]} alone' if may_lack else ''}."
            )
        self._needed = len(wanted)
        self.columns = (*wanted, *(column for column in besides if len(there[column]) == 1))
        self._wanted = [(places.get(column) or there[column])[0] for column in self.columns]
        self.spelled = {column: self._header[place] for column, place in zip(self.columns, self._wanted, strict=True)}
        self.unused = tuple(column for place, column in enumerate(self._header) if place not in self._wanted)

    def _places(self, column: str, spellings: Sequence[str]) -> list[int]:
        """Where in the header the column stands: by its name, else in capitals, else by one of its other names."""
        folded = [name.lower().replace(" ", "_") for name in self._header]
        exact = [place for place, name in enumerate(self._header) if name == column]
        return (
            exact
            or [place for place, name in enumerate(folded) if name == column]
            or [place for place, name in enumerate(folded) if name in spellings]
        )

    def rows(self) -> Iterator[CsvRow]:
        """The rows, once."""
        for fields in self._read():
            if not fields:
                continue
            line = self._lines.line_num
            if len(fields) != len(self._header):
                raise DataError(
                    f"line {line} of {self.name} has {len(fields)} fields, and the header has {len(self._header)}; "
                    f"give each column one, in quotes where it holds a comma."
                )
            row = CsvRow(line, tuple(fields[place].strip() for place in self._wanted))
            for column, field in zip(self.columns[: self._needed], row.fields, strict=False):
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
