"""Messages: hosts."""


