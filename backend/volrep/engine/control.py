"""The control API on a unix socket: JSON-RPC 2.0, one object per line, answered in order.

Bounds: CLIENTS_MAX connections, a request line of REQUEST_MAX_BYTES, one request of a connection at a time (the
next is not read before the answer has been taken). What is not a request is answered with an error and ends the
connection. A client that goes away does not stop what it began.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

from volrep.engine.api import LINE_MAX_BYTES, METHODS, Hello
from volrep.engine.host import Host
from volrep.engine.methods import HANDLERS
from volrep.engine.rebuild import Rescue
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.shape import BadShape, Shape, read_json

CLIENTS_MAX = 64
# rvg.create with 200 names of 31 characters, or link.add with a certificate, stay below 16 KiB. asyncio buffers at
# most twice this for a connection: 64 of them 32 MiB.
REQUEST_MAX_BYTES = 256 << 10
CLOSE_DEADLINE_S = 2.0

# JSON-RPC 2.0 §5.1; -32000 is ours: the method was called and refused
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
REFUSED = -32000

log = logging.getLogger("volrep.engine")


class Malformed(Exception):
    """Not a request: answered with an error, then the connection ends."""

    def __init__(self, code: int, problem: str, id_: Any = None) -> None:
        super().__init__(problem)
        self.code, self.id = code, id_


def parse_request(line: bytes) -> tuple[Any, str, dict[str, Any]]:
    """(id, method, parameters) of a line. Raises Malformed."""
    try:
        body = read_json(line)
    except BadShape as error:
        raise Malformed(PARSE_ERROR, str(error)) from error
    if not isinstance(body, dict):
        raise Malformed(INVALID_REQUEST, "not an object")
    id_, method, params = body.get("id"), body.get("method"), body.get("params", {})
    if not isinstance(id_, (int, str)) or isinstance(id_, bool):
        raise Malformed(INVALID_REQUEST, "id is neither a number nor a string")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Malformed(INVALID_REQUEST, "method is not a string, or params not an object", id_)
    return id_, method, params


def encode_error(id_: Any, code: int, error: VolrepError) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": str(error), "data": error.wire()}})


def encode_result(id_: Any, method: str, result: Shape) -> bytes:
    """Raises VR-1716 when no client would read it."""
    line = _encode({"jsonrpc": "2.0", "id": id_, "result": result.data()})
    if len(line) > LINE_MAX_BYTES:
        raise VolrepError(messages.ANSWER_TOO_LONG, method=method, length=len(line), limit=LINE_MAX_BYTES)
    return line


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


class ControlServer:
    """Serves one engine: nothing before `turn_to` says what it is. `serve`, then `close`."""

    def __init__(self) -> None:
        self._host: Host | Rescue | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path) -> None:
        """Listen at `path`, for the engine's user only. The caller holds the state directory's lock. Raises OSError."""
        path.unlink(missing_ok=True)
        old_mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._accepted, path, limit=REQUEST_MAX_BYTES,
                                                           backlog=CLIENTS_MAX)
        finally:
            os.umask(old_mask)

    def turn_to(self, host: Host | Rescue) -> None:
        """Answer for this one from now on, in conversations under way, too."""
        self._host = host

    async def close(self) -> None:
        """Take no more clients, and end the conversations: those that only wait for more end at once."""
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=CLOSE_DEADLINE_S)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._clients) >= CLIENTS_MAX:
                error = VolrepError(messages.TOO_MANY_CLIENTS, limit=CLIENTS_MAX)
                await _send(writer, encode_error(None, REFUSED, error))
                return
            self._clients.add(task)
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):  # it went away, or the engine ends: either way it is over
            return
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = ""
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await self._refuse(writer, Malformed(INVALID_REQUEST, f"longer than {REQUEST_MAX_BYTES} bytes"))
                return
            try:
                id_, method, params = parse_request(line)
            except Malformed as problem:
                await self._refuse(writer, problem)
                return
            answer, said = await self._answer(id_, method, params, client)
            client = said or client
            await _send(writer, answer)

    async def _refuse(self, writer: asyncio.StreamWriter, problem: Malformed) -> None:
        log.warning("control: %s; closing the connection", problem)
        error = VolrepError(messages.BAD_REQUEST, problem=str(problem))
        await _send(writer, encode_error(problem.id, problem.code, error))

    async def _answer(self, id_: Any, method: str, params: dict[str, Any], client: str) -> tuple[bytes, str]:
        """(the answer's line, the client's name if this was its hello)."""
        declared = METHODS.get(method)
        if declared is None:
            return encode_error(id_, METHOD_NOT_FOUND, VolrepError(messages.UNKNOWN_METHOD, method=method[:100])), ""
        try:
            request = declared.request.from_data(params)
        except BadShape as error:
            problem = f"{method}: {error}"
            return encode_error(id_, INVALID_PARAMS, VolrepError(messages.BAD_REQUEST, problem=problem[:500])), ""
        host = self._host
        if host is None or (host.stopping.is_set() and declared.changes):
            reason = "it is starting" if host is None else "it is stopping"
            return encode_error(id_, REFUSED, VolrepError(messages.ENGINE_CLOSED, reason=reason)), ""
        try:
            if isinstance(host, Rescue):
                result = await host.answer(method, request, client)
            else:
                result = await HANDLERS[method](host, request, client)
            line = encode_result(id_, method, result)
        except VolrepError as error:
            return encode_error(id_, REFUSED, error), ""
        except Exception as error:
            log.exception("error in %s", method)
            internal = VolrepError(messages.INTERNAL, method=method, problem=f"{type(error).__name__}: {error}")
            return encode_error(id_, INTERNAL_ERROR, internal), ""
        return line, request.client if isinstance(request, Hello) else ""


async def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    await writer.drain()
