"""Finding ports that are free: the usual ones when they are, others when not."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_TRIES = 200


def is_free(port: int) -> bool:
    """Tell whether a loopback port can be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def free_port(preferred: int, count: int = 1) -> int:
    """Return the first of ``count`` neighbouring free ports, at ``preferred`` or above it.

    Raises:
        OSError: None of the next ports is free.
    """
    for first in range(preferred, preferred + _TRIES * count, count):
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no free port from {preferred} on")
