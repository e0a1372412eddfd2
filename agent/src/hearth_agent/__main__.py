"""``python -m hearth_agent`` is the command ``hearth-agent``."""

from hearth_agent.cli import main

main()
