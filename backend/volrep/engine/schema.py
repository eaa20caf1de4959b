"""The database behind the store: its tables, its version, how it is opened.

Knows SQLite. Must not know what the objects mean: bodies are the JSON of model shapes.

Version rule: `user_version` is FORMAT_VERSION. An older one is brought up by `_UPGRADES`, step by step, in one
transaction; a newer one is refused, because a column that this version does not know may be the one that matters.

Nothing is made in the place of what was lost: whoever opens says whether there may be no database yet.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from volrep.engine.seal import put_seal
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages

FORMAT_VERSION = 2

_CREATE = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE volumes (dg TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (dg, name)) WITHOUT ROWID;
CREATE TABLE rvgs (dg TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (dg, name)) WITHOUT ROWID;
CREATE TABLE links (dg TEXT, rvg TEXT, link_id TEXT, place INTEGER NOT NULL, body TEXT NOT NULL,
                    PRIMARY KEY (dg, rvg, link_id)) WITHOUT ROWID;
CREATE TABLE exports (dg TEXT, volume TEXT, listen TEXT, place INTEGER NOT NULL,
                      PRIMARY KEY (dg, volume, listen)) WITHOUT ROWID;
CREATE TABLE attachments (dg TEXT, volume TEXT, body TEXT NOT NULL, PRIMARY KEY (dg, volume)) WITHOUT ROWID;
CREATE TABLE released (rvg_id TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, client TEXT NOT NULL,
                      method TEXT NOT NULL, dg TEXT NOT NULL, name TEXT NOT NULL, request TEXT NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, dg TEXT NOT NULL,
                     rvg TEXT NOT NULL, type TEXT NOT NULL, message TEXT NOT NULL);
"""
_SEAL = "CREATE TABLE seal (one INTEGER PRIMARY KEY CHECK (one = 1), changes INTEGER NOT NULL, digest TEXT NOT NULL);"
_UPGRADES: dict[int, str] = {0: _CREATE, 1: _SEAL}  # from version -> statements to the next


def open_database(path: Path, *, durable: bool, lost: str = "") -> sqlite3.Connection:
    """A connection in autocommit mode (transactions are said explicitly), its tables as this version wants them.

    `durable`: a commit is on stable storage when it returns; else it is atomic, and durable with the next
    durable one. `lost`: why a database that is missing or empty cannot be one that was never made; "": it is made now.
    Raises VR-1704 (damaged), VR-1705 (newer), VR-1706 (cannot be opened).
    """
    if lost and not path.exists():
        raise VolrepError(messages.STORE_DAMAGED, path=path, reason=f"it is missing, and {lost}")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    except (OSError, sqlite3.Error) as error:
        raise VolrepError(messages.STORE_FAILED, path=path, reason=error) from error
    try:
        _check(connection, path, lost)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        _upgrade(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        damaged = not isinstance(error, sqlite3.OperationalError) or "already exists" in str(error)
        raise VolrepError(messages.STORE_DAMAGED if damaged else messages.STORE_FAILED,
                          path=path, reason=error) from error
    except VolrepError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path, lost: str) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if lost and found == 0:
        raise VolrepError(messages.STORE_DAMAGED, path=path, reason=f"it is empty, and {lost}")
    if found > FORMAT_VERSION:
        raise VolrepError(messages.STORE_NEWER, path=path, found=found, known=FORMAT_VERSION)
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise VolrepError(messages.STORE_DAMAGED, path=path, reason=verdict)


def _upgrade(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == FORMAT_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in range(version, FORMAT_VERSION):
        for statement in _UPGRADES[step].split(";"):
            connection.execute(statement)
    put_seal(connection, 0)
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")
