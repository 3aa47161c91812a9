"""Headers that every answer carries: what browsers must not do with it."""

from __future__ import annotations

SAFE: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),  # answers hold what somebody wanted translated
)
"""An answer's own header of one of these names goes before it: pages have their own policies."""


def make_safe(headers: list[tuple[bytes, bytes]]) -> None:
    """Add the headers that an answer lacks. One with an ETag is a file that is the same for all, and may be kept."""
    present = {name.lower() for name, _ in headers}
    if b"etag" in present:
        present.add(b"cache-control")
    headers += [header for header in SAFE if header[0] not in present]
