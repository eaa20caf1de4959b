"""Messages: links."""

from volrep.model.errors import Exit, Message

