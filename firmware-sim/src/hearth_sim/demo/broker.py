"""An MQTT broker for the demo: mosquitto where it is installed, else the embedded amqtt."""

from __future__ import annotations

import getpass
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hearth_sim.demo.processes import Child, Children, command

# as the user who runs the demo: a broker that changes its user forgets that it should end with its parent
_MOSQUITTO = """\
user {user}
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 100000
max_inflight_messages 100
"""
# amqtt speaks MQTT 3.1.1 only and forgets its queue; harmless, since nothing relies on a broker's memory
_AMQTT = """\
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


@dataclass(frozen=True)
class Broker:
    """A started broker."""

    name: str
    url: str
    child: Child


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, also where Debian hides it from ordinary users."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


def start_broker(children: Children, folder: Path, port: int) -> Broker:
    """Start a broker on a loopback port."""
    mosquitto = find_mosquitto()
    settings = folder / "broker.conf"
    if mosquitto:
        settings.write_text(_MOSQUITTO.format(port=port, user=getpass.getuser()))
        child = children.start("broker", [mosquitto, "-c", str(settings)])
        return Broker("mosquitto", f"mqtt://127.0.0.1:{port}", child)
    settings.write_text(_AMQTT.format(port=port))
    child = children.start("broker", [command("amqtt"), "-c", str(settings)])
    return Broker("amqtt (embedded)", f"mqtt://127.0.0.1:{port}?protocol=3.1.1", child)
