"""The CSV file: checked as a whole before anything is imported, then read line by line."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from io import TextIOWrapper
from pathlib import Path

from attrs import frozen

from billcore.errors import FileInvalid
from billcore.importing.mapping import ImportMapping

CHUNK = 1 << 20


@frozen
class Line:
    """One line of the table: the number of its first line in the file, and its fields as they stand."""

    number: int
    fields: tuple[str, ...]


@frozen
class SourceFile:
    """A checked file: `digest` names its contents, `header` its columns in order."""

    path: Path
    digest: str
    encoding: str
    delimiter: str
    header: tuple[str, ...]

    def lines(self) -> Iterator[Line]:
        """The lines below the header, streaming; raises FileInvalid where the CSV breaks off."""
        with self.path.open("rb") as raw, TextIOWrapper(raw, self.encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            number = 1
            try:
                next(reader)
                number = reader.line_num + 1
                for fields in reader:
                    if fields:
                        yield Line(number, tuple(fields))
                    number = reader.line_num + 1
            except csv.Error as error:
                raise FileInvalid(
                    "import_invalid",
                    f"{self.path.name}, line {number}: the CSV is broken there ({error}).",
                    remedy="Close its quotes. Lines before it may be in already; run it again then.",
                    path=f"line {number}",
                    line=number,
                ) from error


def open_source(path: Path, mapping: ImportMapping) -> SourceFile:
    """Check the file against the mapping: readable, in its encoding throughout, with every column.

    Raises FileInvalid: file_unreadable, or import_invalid with line or key path.
    """
    encoding = "utf-8-sig" if codecs.lookup(mapping.encoding).name == "utf-8" else mapping.encoding
    digest = _check_text(path, encoding)
    with path.open("rb") as raw, TextIOWrapper(raw, encoding, newline="") as text:
        try:
            header = next(csv.reader(text, delimiter=mapping.delimiter, strict=True), [])
        except csv.Error as error:
            raise _invalid(path, 1, f"the header is broken ({error})", "Close its quotes.") from error
    names = tuple(name.strip() for name in header)
    if not any(names):
        raise _invalid(path, 1, "there is no header", "The first line names the columns.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise _invalid(path, 1, f"the column {twice[0]!r} stands there twice", "Give each column its own name.")
    _check_columns(path, mapping, names)
    return SourceFile(path, digest, encoding, mapping.delimiter, names)


def _check_columns(path: Path, mapping: ImportMapping, names: Sequence[str]) -> None:
    for key, column in mapping.columns():
        if column in names:
            continue
        near = get_close_matches(column[:100], names, 1)
        other = next((sign for sign in ";\t|," if sign != mapping.delimiter and sign in names[0]), None)
        if len(names) == 1 and other is not None:
            remedy = f"Its columns are separated by {other!r}: set file.delimiter in the mapping."
        elif near:
            remedy = f"Did you mean {near[0]!r}?"
        else:
            remedy = f"It has: {', '.join(names[:20])}."
        raise FileInvalid(
            "import_invalid",
            f"{mapping.name}: {key} needs the column {column!r:.100}, which {path.name} does not have.",
            remedy=remedy,
            path=key,
            column=column,
        )


def _check_text(path: Path, encoding: str) -> str:
    """The digest of the contents; raises for what is not text in this encoding, naming the line."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileInvalid(
            "file_unreadable", f"{path} is no file but a pipe or device.", remedy="Save it as a file: it is read twice."
        )
    digest = blake2b(digest_size=16)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    try:
        with path.open("rb") as raw:
            while chunk := raw.read(CHUNK):
                digest.update(chunk)
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    line = lines + bytes(error.object).count(b"\n", 0, error.start)
                    raise _not_text(path, encoding, bytes(error.object), error.start, line) from error
                lines += chunk.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _invalid(path, lines, "the file ends inside a character", "Copy the file again.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileInvalid(
            "file_unreadable", f"{path} cannot be read ({reason}).", remedy="Check path and permissions."
        ) from error
    return digest.hexdigest()


def _not_text(path: Path, encoding: str, data: bytes, at: int, line: int) -> FileInvalid:
    """Spreadsheets write CP1252 and UTF-16; both can be told by their bytes."""
    remedy = "Save the file in UTF-8, or name its encoding: file.encoding in the mapping."
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        remedy = 'It looks like UTF-16: set encoding = "utf-16" under [file] in the mapping.'
    elif encoding == "utf-8-sig":
        start = data.rfind(b"\n", 0, at) + 1
        try:
            word = data[max(start, at - 12) : at + 12].decode("cp1252").splitlines()[0].strip()
        except UnicodeDecodeError:
            word = ""
        if word:
            remedy = f'As CP1252 it reads "{word}": if that is right, set encoding = "cp1252" under [file].'
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    return _invalid(path, line, f"byte 0x{data[at]:02x} is not {name}", remedy)


def _invalid(path: Path, line: int, what: str, remedy: str) -> FileInvalid:
    return FileInvalid(
        "import_invalid", f"{path.name}, line {line}: {what}.", remedy=remedy, path=f"line {line}", line=line
    )
