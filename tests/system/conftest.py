"""Test beds for system tests. Without root or network namespaces the tests skip and say so."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.system.hosts import TestBed
from tests.system.netns import NoNamespaces


@pytest.fixture
def bed() -> Generator[TestBed]:
    """An empty test bed: a network, and an operator who knows no host yet. Logs are shown when the test fails."""
    try:
        made = TestBed()
    except NoNamespaces as error:
        pytest.skip(str(error))
    with made:
        yield made


@pytest.fixture
def pair(bed: TestBed) -> TestBed:
    """London and Tokyo, engines running, both in the operator's inventory."""
    for name in ("london", "tokyo"):
        bed.add_host(name)
    bed.enter_in_inventory()
    return bed


@pytest.fixture
def trio(pair: TestBed) -> TestBed:
    """London, Tokyo and Paris."""
    pair.add_host("paris")
    pair.enter_in_inventory("paris")
    return pair


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    bed = getattr(item, "funcargs", {}).get("bed")
    if report.failed and isinstance(bed, TestBed):
        report.sections.append(("logs of the test hosts", bed.logs()))
    return report
