"""Pure: a value of a JSON document as text for a screen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from volrep.menus.model import Form
from volrep.model.units import format_duration, format_rate, format_size


def text_of(value: Any) -> str:
    """A value as an argument or a cell: nothing is empty, lists are comma-joined."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(text_of(each) for each in value)
    return str(value)


def _count(value: float) -> str:
    return f"{int(value):,}"


def _percent(value: float) -> str:
    return f"{value:.0f}%" if value == 0 or value >= 10 else f"{value:.1f}%"


_NUMBERS: dict[str, Callable[[float], str]] = {
    "size": format_size, "rate": format_rate, "duration": format_duration, "percent": _percent, "count": _count,
}


def show(value: Any, form: Form) -> str:
    """Text in the unit that `form` names. A value that does not fit the form is shown as it is, never hidden."""
    if form == "time":
        return _time(value)
    if form in _NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _NUMBERS[form](value)
    return text_of(value)


def _time(value: Any) -> str:
    """ISO 8601 or nanoseconds since the epoch, as the time of day here."""
    try:
        moment = datetime.fromtimestamp(value / 1e9).astimezone() if isinstance(value, int) else \
            datetime.fromisoformat(str(value)).astimezone()
    except ValueError:
        return text_of(value)
    return moment.strftime("%H:%M:%S")
