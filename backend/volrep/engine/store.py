"""The configuration of one host, kept: objects, settings and the history of every change.

Knows how objects lie in the database and that each change is one transaction together with its line of
history: after a crash a change is there with its history, or neither is; and that what is read is what was written
(volrep.engine.seal). Must not know whether a change makes sense (volrep.engine.rules), nor workers.

All calls are short and synchronous; the engine makes them from its event loop, so nothing can come between what
was read and what is written next.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volrep.engine.api import AttachInfo, HistoryEntry
from volrep.engine.schema import open_database
from volrep.engine.seal import (
    COPY_NAME,
    SEALED,
    BadCopy,
    Copy,
    Tables,
    check_seal,
    load_copy,
    put_seal,
    read_tables,
    save_copy,
    write_tables,
)
from volrep.model.config import ExportConfig, LinkConfig, Role, Startup, VolumeConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.shape import Shape
from volrep.model.status import Took
from volrep.ports.clock import Clock

HISTORY_MAX = 100_000  # lines kept: at 1 KiB each 100 MB, years of an operator's work
_SECRETS = {"key", "private_key"}

log = logging.getLogger("volrep.engine")


class RvgObject(Shape):
    """An RVG as configured here: which volumes in which order. What else a worker needs is put together from it.

    The role is the SRL's last word: the engine follows what the worker says.
    """

    dg: str
    name: str
    rds_id: str
    rvg_id: str
    role: Role
    volumes: list[str]
    srl: str
    startup: Startup = Startup.SERVE
    took: dict[str, Took] = {}  # steps of role changes: a method, or "hook EVENT"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what: the line of history that goes with a transaction."""

    method: str
    request: Shape
    client: str = ""

    def scope(self) -> tuple[str, str]:
        """(disk group, object) that the line is about."""
        values = self.request.data()
        names = (values.get(field) for field in ("name", "rvg", "volume"))
        return str(values.get("dg", "")), str(next((name for name in names if name), ""))


class Store:
    """See the module. One instance per engine; not for several threads."""

    def __init__(self, path: Path, clock: Clock, lost: str = "") -> None:
        """Open, or create unless something is `lost` (volrep.engine.schema). Raises VR-1704, VR-1705, VR-1706."""
        self.path = path
        self.copy_path = path.with_name(COPY_NAME)
        self.copy_problem = ""  # why the last change is in the database alone
        self._clock = clock
        self._db = open_database(path, durable=True, lost=lost)
        try:
            self._changes = self._checked()
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def begin(cls, path: Path, clock: Clock, changes: int) -> Store:
        """A new, empty store that takes the place of one that counted so many changes. Raises VR-1706."""
        made = cls.__new__(cls)
        made.path, made.copy_path, made.copy_problem = path, path.with_name(COPY_NAME), ""
        made._clock = clock
        made._db = open_database(path, durable=True)
        made._changes = changes
        return made

    def load(self, tables: Tables) -> None:
        """Within a change: everything that a copy holds, in the place of what is here."""
        for table in SEALED:
            self._db.execute(f"DELETE FROM {table}")
        write_tables(self._db, tables)

    def _checked(self) -> int:
        """The changes counted so far, when database and copy agree that nothing is missing. Raises VR-1704."""
        try:
            changes, problem = check_seal(self._db)
        except (sqlite3.Error, TypeError, ValueError) as error:  # a changed byte may make a row of another type
            changes, problem = 0, str(error)
        try:
            copy = load_copy(self.copy_path)
        except (BadCopy, OSError) as error:
            log.warning("%s: %s; it is written anew", self.copy_path, error)
            copy = None
        if not problem and copy is not None and copy.changes > changes:
            problem = (f"it ends with change {changes}, its copy with change {copy.changes}: its write-ahead log "
                       "was lost, or an older file was put in its place")
        if problem:
            raise VolrepError(messages.STORE_DAMAGED, path=self.path, reason=problem)
        if copy is None or copy.changes < changes:
            self._save_copy(Copy(changes, self._clock.wall_ns(), read_tables(self._db)))
        return changes

    def _save_copy(self, copy: Copy) -> None:
        """A copy that cannot be written costs the copy, not the change, which is durable already."""
        try:
            save_copy(self.copy_path, copy)
            self.copy_problem = ""
        except OSError as error:
            self.copy_problem = f"{self.copy_path}: {error.strerror or error}"
            log.error("configuration not copied: %s", self.copy_problem)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def change(self, change: Change | None) -> Iterator[int]:
        """One transaction, with its line of history; gives that line's id (0 without one).

        Everything is undone when the body raises. Raises VR-1706 when it cannot be written. The copy follows.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._remember(change) if change is not None else 0
                tables = put_seal(self._db, self._changes + 1)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise VolrepError(messages.STORE_FAILED, path=self.path, reason=error) from error
        self._changes += 1
        self._save_copy(Copy(self._changes, self._clock.wall_ns(), tables))

    # ---- settings

    def setting(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put_setting(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    # ---- volumes

    def volumes(self, dg: str = "") -> list[VolumeConfig]:
        return [VolumeConfig.from_json(body) for body in self._bodies("volumes", dg)]

    def volume(self, dg: str, name: str) -> VolumeConfig | None:
        body = self._body("volumes", dg, name)
        return None if body is None else VolumeConfig.from_json(body)

    def put_volume(self, volume: VolumeConfig) -> None:
        self._db.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?)",
                         (volume.dg, volume.name, volume.json()))

    def remove_volume(self, dg: str, name: str) -> None:
        self._db.execute("DELETE FROM volumes WHERE dg = ? AND name = ?", (dg, name))

    # ---- RVGs

    def rvgs(self, dg: str = "", name: str = "") -> list[RvgObject]:
        found = [RvgObject.from_json(body) for body in self._bodies("rvgs", dg)]
        return [rvg for rvg in found if name in ("", rvg.name)]

    def rvg(self, dg: str, name: str) -> RvgObject | None:
        body = self._body("rvgs", dg, name)
        return None if body is None else RvgObject.from_json(body)

    def put_rvg(self, rvg: RvgObject) -> None:
        self._db.execute("INSERT OR REPLACE INTO rvgs VALUES (?, ?, ?)", (rvg.dg, rvg.name, rvg.json()))

    def remove_rvg(self, rvg: RvgObject) -> None:
        """The RVG with its links and the exports of its volumes."""
        self._db.execute("DELETE FROM rvgs WHERE dg = ? AND name = ?", (rvg.dg, rvg.name))
        self._db.execute("DELETE FROM links WHERE dg = ? AND rvg = ?", (rvg.dg, rvg.name))
        for volume in rvg.volumes:
            self._db.execute("DELETE FROM exports WHERE dg = ? AND volume = ?", (rvg.dg, volume))

    # ---- SRL volumes of deleted RVGs, until they are wiped (volrep.engine.released)

    def released(self) -> list[tuple[str, str]]:
        """(rvg_id, path of the SRL volume)."""
        return self._db.execute("SELECT rvg_id, path FROM released").fetchall()

    def put_released(self, rvg_id: str, path: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO released VALUES (?, ?)", (rvg_id, path))

    def remove_released(self, rvg_id: str) -> None:
        self._db.execute("DELETE FROM released WHERE rvg_id = ?", (rvg_id,))

    # ---- links

    def links(self, dg: str, rvg: str) -> list[LinkConfig]:
        """In the order in which they were added."""
        rows = self._db.execute("SELECT body FROM links WHERE dg = ? AND rvg = ? ORDER BY place", (dg, rvg))
        return [LinkConfig.from_json(body) for (body,) in rows]

    def set_links(self, dg: str, rvg: str, links: list[LinkConfig]) -> None:
        self._db.execute("DELETE FROM links WHERE dg = ? AND rvg = ?", (dg, rvg))
        self._db.executemany("INSERT INTO links VALUES (?, ?, ?, ?, ?)",
                             [(dg, rvg, link.link_id, place, link.json())
                              for place, link in enumerate(links)])

    def find_link(self, rds_id: str, link_id: str) -> RvgObject | None:
        """The RVG that has this link and this rds_id: what a hello line names."""
        for dg, rvg in self._db.execute("SELECT dg, rvg FROM links WHERE link_id = ?", (link_id,)).fetchall():
            found = self.rvg(dg, rvg)
            if found is not None and found.rds_id == rds_id:
                return found
        return None

    # ---- exports

    def exports(self, dg: str = "", volume: str = "") -> list[tuple[str, ExportConfig]]:
        """(disk group, export) of one or all volumes."""
        rows = self._db.execute("SELECT dg, volume, listen FROM exports WHERE (? = '' OR dg = ?) "
                                "AND (? = '' OR volume = ?) ORDER BY dg, volume, place",
                                (dg, dg, volume, volume))
        return [(row[0], ExportConfig(volume=row[1], listen=row[2])) for row in rows]

    def set_exports(self, dg: str, volume: str, listens: list[str]) -> None:
        self._db.execute("DELETE FROM exports WHERE dg = ? AND volume = ?", (dg, volume))
        self._db.executemany("INSERT INTO exports VALUES (?, ?, ?, ?)",
                             [(dg, volume, listen, place) for place, listen in enumerate(listens)])

    # ---- attachments

    def attachments(self, dg: str = "") -> list[AttachInfo]:
        return [AttachInfo.from_json(body) for body in self._bodies("attachments", dg)]

    def put_attachment(self, attached: AttachInfo) -> None:
        self._db.execute("INSERT OR REPLACE INTO attachments VALUES (?, ?, ?)",
                         (attached.dg, attached.volume, attached.json()))

    def remove_attachment(self, dg: str, volume: str) -> None:
        self._db.execute("DELETE FROM attachments WHERE dg = ? AND volume = ?", (dg, volume))

    # ---- history

    def history(self, dg: str = "", name: str = "", limit: int = 1000) -> list[HistoryEntry]:
        """The newest `limit` lines, oldest first."""
        rows = self._db.execute("SELECT id, time_ns, client, method, request FROM history WHERE (? = '' OR dg = ?) "
                                "AND (? = '' OR name = ?) ORDER BY id DESC LIMIT ?", (dg, dg, name, name, limit))
        return [HistoryEntry(id=row[0], time_ns=row[1], client=row[2], method=row[3], request=json.loads(row[4]))
                for row in reversed(rows.fetchall())]

    def forget_history(self, history_id: int) -> None:
        """Of a change that is being undone, in the undoing transaction."""
        self._db.execute("DELETE FROM history WHERE id = ?", (history_id,))

    def _remember(self, change: Change) -> int:
        dg, name = change.scope()
        request = json.dumps(without_secrets(change.request.data()), separators=(",", ":"))
        cursor = self._db.execute(
            "INSERT INTO history (time_ns, client, method, dg, name, request) VALUES (?, ?, ?, ?, ?, ?)",
            (self._clock.wall_ns(), change.client, change.method, dg, name, request))
        made = cursor.lastrowid or 0
        self._db.execute("DELETE FROM history WHERE id <= ?", (made - HISTORY_MAX,))
        return made

    # ---- all tables alike; `table` is never anything but a name written in this module

    def _bodies(self, table: str, dg: str) -> list[str]:
        rows = self._db.execute(f"SELECT body FROM {table} WHERE ? = '' OR dg = ? ORDER BY body", (dg, dg))
        return [row[0] for row in rows]

    def _body(self, table: str, dg: str, name: str) -> str | None:
        row = self._db.execute(f"SELECT body FROM {table} WHERE dg = ? AND name = ?", (dg, name)).fetchone()
        return None if row is None else str(row[0])


def without_secrets(value: Any) -> Any:
    """A copy in which the values of secret fields are blank, at any depth."""
    if isinstance(value, dict):
        return {k: "" if k in _SECRETS else without_secrets(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    return value
