"""What proves a configuration whole: its contents under one SHA-256 with a count of changes, and a copy beside it.

SQLite notices torn and lost pages, not every changed byte, and a write-ahead log that was lost leaves an older database
that is intact. So each change seals the tables in its own transaction (table `seal`), and then replaces
`config.copy` with the same contents. What is damaged shows at the next start: the seal does not fit, or the copy counts
more changes than the database. The copy is also the first thing that `engine rebuild` offers.

    VRCOPY 1 <SHA-256 of the rest, hex>
    {"changes": 12, "written_ns": ..., "tables": {"settings": [[name, value], ...], ...}}

History and events are not part of it: they are no configuration, and would make each change cost megabytes.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from volrep.ports.disk import save_file

COPY_NAME = "config.copy"
_MAGIC = "VRCOPY 1"
# Table -> columns. All of their contents, ordered by primary key, is what a seal covers.
SEALED = {
    "settings": ("name", "value"),
    "volumes": ("dg", "name", "body"),
    "rvgs": ("dg", "name", "body"),
    "links": ("dg", "rvg", "link_id", "place", "body"),
    "exports": ("dg", "volume", "listen", "place"),
    "attachments": ("dg", "volume", "body"),
    "released": ("rvg_id", "path"),
}

Tables = dict[str, list[list[Any]]]


class BadCopy(Exception):
    """The copy is not what was written; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A configuration as `config.copy` has it."""

    changes: int
    written_ns: int
    tables: Tables


def read_tables(connection: sqlite3.Connection) -> Tables:
    """Raises sqlite3.Error."""
    return {table: [list(row) for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table} "
                                                            f"ORDER BY {', '.join(columns[:-1])}")]
            for table, columns in SEALED.items()}


def write_tables(connection: sqlite3.Connection, tables: Tables) -> None:
    """Into empty tables, within the caller's transaction. Raises sqlite3.Error."""
    for table, columns in SEALED.items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", tables.get(table, []))


def digest(tables: Tables, changes: int) -> str:
    text = json.dumps([changes, tables], separators=(",", ":"), sort_keys=True)
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def put_seal(connection: sqlite3.Connection, changes: int) -> Tables:
    """Seal what the tables hold now, within the caller's transaction; the contents. Raises sqlite3.Error."""
    tables = read_tables(connection)
    connection.execute("INSERT OR REPLACE INTO seal VALUES (1, ?, ?)", (changes, digest(tables, changes)))
    return tables


def check_seal(connection: sqlite3.Connection) -> tuple[int, str]:
    """(changes counted, "") when the tables are what was sealed, else (0, what is wrong). Raises sqlite3.Error."""
    row = connection.execute("SELECT changes, digest FROM seal WHERE one = 1").fetchone()
    if row is None:
        return 0, "it has no seal"
    if digest(read_tables(connection), row[0]) != row[1]:
        return 0, "its contents are not what was sealed"
    return int(row[0]), ""


def save_copy(path: Path, copy: Copy) -> None:
    """Raises OSError."""
    body = json.dumps({"changes": copy.changes, "written_ns": copy.written_ns, "tables": copy.tables},
                      separators=(",", ":"), sort_keys=True).encode(errors="surrogatepass")
    save_file(path, f"{_MAGIC} {sha256(body).hexdigest()}\n".encode() + body)


def load_copy(path: Path) -> Copy | None:
    """None when there is none. Raises BadCopy, OSError."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if head != f"{_MAGIC} {sha256(body).hexdigest()}".encode():
        raise BadCopy("it is damaged" if head.startswith(_MAGIC.encode()) else "it is no copy that this version reads")
    try:
        said = json.loads(body)
        return Copy(int(said["changes"]), int(said["written_ns"]), {t: said["tables"][t] for t in SEALED})
    except (ValueError, KeyError, TypeError) as error:
        raise BadCopy(f"it is malformed: {error}") from error
