"""Rows that are not one load on one volume. The order is the order of the report."""

from __future__ import annotations

from bench.experiments.base import Experiment
from bench.experiments.bounds import Memory, Ten
from bench.experiments.compiled import CompiledDistance, CompiledDrain
from bench.experiments.copying import Autosync, Difference, Drain
from bench.experiments.distance import Distance
from bench.experiments.parts import HalfLoadParts
from bench.experiments.postgres import Pgbench
from bench.experiments.screen import Screen

EXPERIMENTS: dict[str, type[Experiment]] = {
    "drain": Drain,
    "autosync": Autosync,
    "difference": Difference,
    "round-trip": Distance,
    "pgbench": Pgbench,
    "memory": Memory,
    "ten": Ten,
    "screen": Screen,
    "half-load-parts": HalfLoadParts,
    "round-trip-compiled": CompiledDistance,
    "drain-compiled": CompiledDrain,
}
COMPILED = ("round-trip-compiled", "drain-compiled")
"""Of the compiled loop."""
ONLY_ASKED = ("half-load-parts", *COMPILED)
"""Measured only when they are asked for: they explain, and compare with no peer."""
