"""Messages: engine."""

from volrep.model.errors import Exit, Message

