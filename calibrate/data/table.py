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
    """The wanted fields of one row, the others, and the line it ends on."""

    line: int
    fields: tuple[str, ...]
    others: tuple[str, ...] = ()


#: Other names of a column, by its name.
Spellings = Mapping[str, Sequence[str]]


def folded(column: str) -> str:
    """The name of a column in small letters, its words joined.

    >>> folded("File Name")
    'file_name'
    """
    return column.strip().lower().replace(" ", "_")


class CsvTable:
    """The rows of a CSV file (UTF-8) whose header names the wanted ``columns``; ``unused`` are its other columns.

    Capitals do not count in the header, and where a column is not there by its name, one of its other ``spellings``
    will do, of the last column the first of several; ``spelled`` says how the header has them. Without the last of the
    ``columns`` the table will do too where ``may_lack`` it. The fields are parted by commas, or by semicolons or tabs
    where the header has no comma.
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
        self._asked, self._may_lack = columns, may_lack
        places = {column: self._places(column, (spellings or {}).get(column, ())) for column in columns}
        self.columns = columns[:-1] if may_lack and not places[columns[-1]] else columns
        if [len(places[column]) for column in self.columns] != [1] * len(self.columns):
            raise self.misfit()
        self._wanted = [places[column][0] for column in self.columns]
        self._others = [place for place in range(len(self._header)) if place not in self._wanted]
        self.spelled = {column: self._header[place] for column, place in zip(self.columns, self._wanted, strict=True)}
        self.unused = tuple(self._header[place] for place in self._others)

    def misfit(self) -> DataError:
        """That the header does not name the wanted columns."""
        found = ",".join(self._header)
        shown = repr(found if len(found) <= 80 else found[:80] + "…")
        alone = f", or {self._asked[0]} alone" if self._may_lack else ""
        return DataError(
            f"{self.name} begins with the line {shown}; its first line must name the columns {','.join(self._asked)}, "
            f"each once{alone}."
        )

    def _places(self, column: str, spellings: Sequence[str]) -> list[int]:
        """Where in the header the column stands: by its name, else in capitals, else by one of its other names."""
        plain = [folded(name) for name in self._header]
        exact = [place for place, name in enumerate(self._header) if name == column]
        named = exact or [place for place, name in enumerate(plain) if name == column]
        spelled = [place for place, name in enumerate(plain) if name in spellings]
        return named or (spelled[:1] if column == self._asked[-1] else spelled)

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
            wanted, others = (tuple(fields[place].strip() for place in of) for of in (self._wanted, self._others))
            row = CsvRow(line, wanted, others)
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
