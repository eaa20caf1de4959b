"""Calling an engine: synchronous, over any pair of binary file objects (a unix socket here, an SSH channel there).

One request at a time. An error of the engine is raised as the VolrepError it was there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from volrep.engine.api import LINE_MAX_BYTES, METHODS, EngineStatus, Hello
from volrep.engine.dial import connect_socket
from volrep.model.errors import VolrepError, from_wire
from volrep.model.messages import engine as messages
from volrep.model.shape import Shape, read_json


class Reader(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...

    def close(self) -> None: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> Any: ...

    def flush(self) -> Any: ...

    def close(self) -> None: ...


class EngineClient:
    """One conversation with one engine. Not for several threads. A context manager: the end closes both streams."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for stream in (self._writer, self._reader):
            try:
                stream.close()
            except OSError:  # the other end went first: closed is what was wanted
                continue

    def hello(self, client: str = "") -> EngineStatus:
        """Agree on the protocol; `client` is who the history will name. Raises VR-1712."""
        status = self.call("hello", Hello(client=client[:200]))
        assert isinstance(status, EngineStatus)
        return status

    def call(self, method: str, request: Shape | None = None) -> Any:
        """The response, of the type that METHODS declares for `method`.

        `request` may be left out where it has no fields that must be given. Waits as long as it takes. Raises what
        the engine raised; VR-1714 when the conversation broke.
        """
        declared = METHODS[method]
        params = (request if request is not None else declared.request()).data()
        id_ = next(self._ids)
        line = self._exchange({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        try:
            answer = read_json(line)
            if "error" in answer:
                raise from_wire(answer["error"]["data"])
            if answer["id"] != id_:
                raise _broken(f"answer {answer['id']} to request {id_}")
            return declared.response.from_data(answer["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise _broken(f"its answer is malformed: {error}") from error

    def _exchange(self, body: dict[str, Any]) -> bytes:
        try:
            with contextlib.suppress(BrokenPipeError):  # why it ends the conversation may be there to read
                self._writer.write(json.dumps(body, separators=(",", ":")).encode() + b"\n")
                self._writer.flush()
            line = self._reader.readline(LINE_MAX_BYTES + 1)
        except (OSError, EOFError) as error:
            raise _broken(str(error)) from error
        if not line.endswith(b"\n"):
            raise _broken("a line longer than any answer" if len(line) > LINE_MAX_BYTES else "it went away")
        return line


def _broken(reason: str) -> VolrepError:
    return VolrepError(messages.ENGINE_CLOSED, reason=reason)


def connect_local(state_dir: Path, client: str = "") -> EngineClient:
    """A conversation with the engine of a state directory on this machine, hello said. Raises VR-1700, VR-1712."""
    with connect_socket(state_dir) as sock:  # the files keep it open
        made = EngineClient(sock.makefile("rb"), sock.makefile("wb"))
    try:
        made.hello(client)
    except BaseException:
        made.close()
        raise
    return made
