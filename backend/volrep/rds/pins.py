"""Whether the two ends of a link know each other as they are now: certificate, port, key. Pure."""

from __future__ import annotations

from volrep.rds.world import Member


def mistaken(member: Member, other: Member) -> list[str]:
    """What `member` has wrong about `other` on their link; empty also when there is no such link."""
    link, status = member.link_to(other.host.name), other.host.status
    if link is None or status is None:
        return []
    found = []
    if link.peer_certificate.strip() != status.certificate.strip():
        found.append("another certificate")
    if link.remote_port != status.port:
        found.append(f"port {link.remote_port} instead of {status.port}")
    theirs = other.info.key_prints.get(link.link_id)
    ours = member.info.key_prints.get(link.link_id)
    if None not in (ours, theirs) and ours != theirs:
        found.append("another key")
    return found


def strangers(one: Member, two: Member) -> bool:
    """Whether either end would refuse the other, or one end is missing."""
    near, far = one.link_to(two.host.name), two.link_to(one.host.name)
    return near is None or far is None or bool(mistaken(one, two) or mistaken(two, one))
