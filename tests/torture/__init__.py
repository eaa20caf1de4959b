"""Torture on real parts: real workers, engines, file systems, devices and databases, with faults that never stop.

`make torture MINUTES=10` runs it; tests/system/test_torture.py runs a short slice of each kind.
"""
