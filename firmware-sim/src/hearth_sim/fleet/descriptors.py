"""One connection is one file descriptor: room for all of them before the first is opened."""

from __future__ import annotations

import resource

from hearth_core.errors import ConfigError

_OTHERS = 64


def make_room_for(connections: int) -> None:
    """Raise this process's limit of open files as far as needed.

    Raises:
        ConfigError: The machine's hard limit is lower.
    """
    needed = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        remedy = (
            f"{needed} open files are needed and the hard limit is {hard}. Raise it (as root: ulimit -Hn {needed}, or "
            f"LimitNOFILE={needed} in the systemd unit), or start at most {max(0, hard - _OTHERS)} homes."
        )
        raise ConfigError("command line", "homes", connections, remedy)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
