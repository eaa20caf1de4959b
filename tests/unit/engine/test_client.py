"""The client's end of a conversation that the engine will not have."""

from __future__ import annotations

import json
import socket

import pytest

from volrep.engine.client import EngineClient
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages


def test_why_the_engine_hung_up_is_told_even_when_nothing_can_be_said_any_more() -> None:
    ours, theirs = socket.socketpair()
    reason = VolrepError(messages.TOO_MANY_CLIENTS, limit=64)
    theirs.sendall(json.dumps({"id": None, "error": {"data": reason.wire()}}).encode() + b"\n")
    theirs.close()
    with ours, EngineClient(ours.makefile("rb"), ours.makefile("wb")) as client:
        with pytest.raises(VolrepError, match="VR-1713"):
            client.hello()
        with pytest.raises(VolrepError, match="VR-1714"):  # and there is nothing more to hear
            client.hello()
