"""The console: renders any stanza tree, composes commands, runs them, shows live pictures. Knows no verb by name."""
