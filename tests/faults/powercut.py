"""A disk that loses its power: a FUSE file system in memory where only what was flushed is sure to survive.

At the cut every write since the last fsync of its file is lost, kept, or torn into 512-byte sectors, and of the names
made, moved and removed since the last fsync of their folder a part survives, oldest first. A journalling file system
(ext4, xfs, btrfs) promises no more than this; where they differ, the weaker promise is modelled.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import random
import shutil
import stat
import subprocess
from ctypes.util import find_library
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tests.faults.unsynced import File, Folder, Write

_FUSE_DEVICE = Path("/dev/fuse")
_CHANGING = frozenset(("write", "truncate", "create", "rename", "unlink", "mkdir", "fsync", "fsyncdir"))


class Cut(NamedTuple):
    """When the power goes: at the ``after``-th change to a file whose name ends in ``name``; and what survives."""

    seed: int
    after: int
    name: str = ""


class Disk:
    """The operations libfuse asks for; after the cut there is nothing but EIO."""

    use_ns = True

    def __init__(self, cut: Cut, image: Path) -> None:
        """Keep an empty disk whose remains will be saved as the folder ``image``."""
        self._cut, self._image = cut, image
        self._root = Folder()
        self._handles: dict[int, File] = {}
        self._changes = 0
        self._dead = False

    def __call__(self, operation: str, path: str, *arguments: Any) -> Any:
        """Do what libfuse asks for, and cut the power when it is time."""
        if self._dead:
            raise OSError(errno.EIO, "the power is cut")
        if operation not in _CHANGING or not path.endswith(self._cut.name):
            return getattr(self, operation)(path, *arguments)
        self._changes += 1
        now = self._changes == self._cut.after
        if now and operation in ("fsync", "fsyncdir"):
            self._lose_power()  # before anything of it was done
        result = getattr(self, operation)(path, *arguments)
        if now:
            self._lose_power()
        return result

    def _lose_power(self) -> None:
        self._dead = True
        self._root.save(self._image, random.Random(self._cut.seed))
        raise OSError(errno.EIO, "the power is cut")

    def _place(self, path: str) -> tuple[Folder, str]:
        folder = self._root
        parts = PurePosixPath(path).parts[1:]
        for part in parts[:-1]:
            node = folder.live.get(part)
            if not isinstance(node, Folder):
                raise OSError(errno.ENOENT, path)
            folder = node
        return folder, parts[-1] if parts else ""

    def _node(self, path: str) -> File | Folder:
        folder, name = self._place(path)
        node = folder.live.get(name) if name else folder
        if node is None:
            raise OSError(errno.ENOENT, path)
        return node

    def _file(self, path: str, handle: int | None = None) -> File:
        node = self._handles.get(handle or 0) or self._node(path)
        if isinstance(node, Folder):
            raise OSError(errno.EISDIR, path)
        return node

    def _folder(self, path: str) -> Folder:
        node = self._node(path)
        if isinstance(node, File):
            raise OSError(errno.ENOTDIR, path)
        return node

    def _handle(self, file: File) -> int:
        handle = max(self._handles, default=0) + 1
        self._handles[handle] = file
        return handle

    def getattr(self, path: str, handle: int | None) -> dict[str, int]:
        """Say what is there."""
        node = self._handles.get(handle or 0) or self._node(path)
        if isinstance(node, Folder):
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": len(node.live)}

    def readdir(self, path: str, _: int) -> list[str]:
        """List a folder."""
        return [".", "..", *self._folder(path).live]

    def create(self, path: str, _: int) -> int:
        """Make an empty file."""
        folder, name = self._place(path)
        file = File()
        folder.change({name: file})
        return self._handle(file)

    def open(self, path: str, _: int) -> int:
        """Open a file."""
        return self._handle(self._file(path))

    def release(self, _: str, handle: int) -> None:
        """Close a file, which makes nothing durable."""
        self._handles.pop(handle, None)

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        """Read what was written, durable or not."""
        return bytes(self._file(path, handle).live[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        """Write into memory."""
        self._file(path, handle).change(Write(offset, bytes(data)))
        return len(data)

    def truncate(self, path: str, size: int, handle: int | None = None) -> None:
        """Set the size."""
        self._file(path, handle).change(size)

    def fsync(self, path: str, _: int, handle: int | None) -> None:
        """Make a file's content and size durable, not its name."""
        self._file(path, handle).sync()

    def fsyncdir(self, path: str, _: int, __: int | None) -> None:
        """Make the names in a folder durable."""
        self._folder(path).sync()

    def mkdir(self, path: str, _: int) -> None:
        """Make a folder."""
        folder, name = self._place(path)
        folder.change({name: Folder(folder)})

    def unlink(self, path: str) -> None:
        """Remove a name."""
        folder, name = self._place(path)
        folder.change({name: None})

    def rename(self, old: str, new: str) -> None:
        """Move a name within its folder, over whatever was there."""
        (folder, name), (other, new_name) = self._place(old), self._place(new)
        if folder is not other:
            raise OSError(errno.EXDEV, new)
        folder.change({name: None, new_name: folder.live[name]})

    def chmod(self, path: str, _: int) -> None:
        """Nothing here has rights."""

    def chown(self, path: str, _: int, __: int) -> None:
        """Nothing here has an owner."""

    def utimens(self, path: str, _: Any = None) -> None:
        """Nothing here has a date."""


def why_not() -> str | None:
    """Return in one line why a power cut cannot be simulated on this machine; None when it can."""
    if not (_FUSE_DEVICE.exists() and os.access(_FUSE_DEVICE, os.R_OK | os.W_OK)):
        return "no /dev/fuse that this user may open"
    if find_library("fuse") is None:
        return "libfuse 2 is missing (apt install libfuse2, on newer systems libfuse2t64)"
    if importlib.util.find_spec("fuse") is None:
        return "the Python package fusepy is missing"
    if os.geteuid() != 0 and shutil.which("fusermount") is None:
        return "neither root nor the program fusermount (apt install fuse3)"
    return None


def serve(mount_point: Path, disk: Disk) -> None:
    """Mount the disk and answer the kernel until it is unmounted."""
    fuse = importlib.import_module("fuse")
    fuse.FUSE(disk, str(mount_point), foreground=True, nothreads=True, fsname="hearth-powercut")


def unmount(mount_point: Path) -> None:
    """Take the disk away, also from under programs that still hold files of it."""
    command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount", "-u", "-z"]
    subprocess.run([*command, mount_point], check=False, stderr=subprocess.DEVNULL)
