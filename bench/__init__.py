"""Measurements of volrep beside its peers: `python -m bench` (docs: bench/README.md)."""
