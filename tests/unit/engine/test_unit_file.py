"""The systemd unit: what it must not say."""

from __future__ import annotations

from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "packaging" / "volrep.service"
# Each gives the service a mount namespace of its own, from which nothing propagates to the host (systemd.exec(5))
OWN_MOUNTS = ("ProtectSystem", "ProtectHome", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
              "ProtectControlGroups", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ReadOnlyPaths",
              "ReadWritePaths",
              "InaccessiblePaths", "TemporaryFileSystem", "BindPaths", "MountFlags", "RootDirectory")


@pytest.mark.parametrize("option", OWN_MOUNTS)
def test_what_the_engine_mounts_is_seen_by_everybody(option: str) -> None:
    """`attach VOLUME mount=DIR` and hooks mount for applications, which are not in the service."""
    settings = [line.partition("=")[0] for line in UNIT.read_text().splitlines() if not line.startswith("#")]
    assert option not in settings
