"""Messages: access."""

from volrep.model.errors import Exit, Message

