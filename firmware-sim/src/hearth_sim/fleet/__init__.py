"""A fleet of homes in one process: the traffic of real agents, without their devices and disks."""
