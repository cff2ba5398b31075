"""FIFOs and UNIX sockets in the file system, for doors that listen on them.

They get mode, owner and group before anyone else can open them, and only what is of the right kind and ours is ever
replaced: a user's file at that path, or another user's FIFO, makes the door refuse to start.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shlex
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .errors import ConfigurationError

UNCHANGED: Final = -1
MAX_SOCKET_PATH: Final = 107
"""Bytes of a UNIX socket's path; one more is the NUL at its end (sockaddr_un on Linux)."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a path shall have: mode bits, and user and group by number (`UNCHANGED`: as it comes)."""

    mode: int
    user: int = UNCHANGED
    group: int = UNCHANGED

    def is_ours(self, found: os.stat_result) -> bool:
        """Whether what is there was made by us, or by us for the user that is configured."""
        return found.st_uid in (os.geteuid(), self.user)


def ownership(mode: int, user: int | str, group: int | str, *, prefix: str) -> Ownership:
    """The ownership that the parameters PREFIXmode, PREFIXuser and PREFIXgroup ask for.

    Users and groups are numbers or names, empty for unchanged; a user's name brings that user's group.  Raises
    ConfigurationError.
    """
    if not 0 < mode <= 0o777:
        raise ConfigurationError(
            f"'{prefix}mode' is {mode:#o}, expected permission bits up to 0777", parameter=f"{prefix}mode"
        )
    uid, own_group = _user(user, f"{prefix}user")
    gid = _group(group, f"{prefix}group")
    return Ownership(mode, uid, own_group if gid == UNCHANGED else gid)


def _user(user: int | str, parameter: str) -> tuple[int, int]:
    if user == "":
        return UNCHANGED, UNCHANGED
    if isinstance(user, int) or user.isdigit():
        return int(user), UNCHANGED
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigurationError(f"'{parameter}': there is no user '{user}'", parameter=parameter) from None
    return entry.pw_uid, entry.pw_gid


def _group(group: int | str, parameter: str) -> int:
    if group == "":
        return UNCHANGED
    if isinstance(group, int) or group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(f"'{parameter}': there is no group '{group}'", parameter=parameter) from None


def user_name(uid: int) -> str:
    """The name of a UNIX user, or the number as text where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def check_place(path: str, parameter: str) -> None:
    """Refuse a path that can never be made: empty, or in a folder that is not there.  Raises ConfigurationError."""
    folder, name = os.path.split(path)
    if not name:
        raise ConfigurationError(f"'{parameter}' is '{path}', expected the path of a file", parameter=parameter)
    if not os.path.isdir(folder or "."):
        raise ConfigurationError(
            f"'{parameter}': '{path}' is in a folder that does not exist", parameter=parameter, help=to_make(folder)
        )


def to_make(folder: str) -> str | None:
    """The command that makes a folder that is missing; None where something else is at that path."""
    return None if os.path.lexists(folder) else f"make it:  mkdir -p {shlex.quote(folder)}"


def make_fifo(path: str, wanted: Ownership) -> int:
    """Make a FIFO at `path`, in place of one of ours that may be there; the descriptor to read it.

    It is made under another name and renamed when everything about it is right.  The descriptor is also a writer, so
    that the end of the last client is not the end of the file.  Raises OSError.
    """
    folder, name = os.path.split(path)
    directory = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = f".mi.{secrets.token_hex(8)}"
    file = -1
    try:
        _check_replaceable(path, wanted, stat.S_ISFIFO, "FIFO")
        os.mkfifo(temporary, 0o600, dir_fd=directory)
        try:
            flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(temporary, flags, dir_fd=directory)
            if not stat.S_ISFIFO(os.fstat(file).st_mode):
                raise FileExistsError(f"'{path}': another program interferes with the folder")
            os.fchown(file, wanted.user, wanted.group)
            os.fchmod(file, wanted.mode)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.unlink(temporary, dir_fd=directory)
            raise
    except OSError:
        if file >= 0:
            os.close(file)
        raise
    finally:
        os.close(directory)
    return file


def bind_socket(path: str, wanted: Ownership) -> socket.socket:
    """A UNIX datagram socket at `path`, in place of one of ours that may be there.  Raises OSError."""
    _check_replaceable(path, wanted, stat.S_ISSOCK, "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        _own_socket(path, wanted)
    except OSError:
        listener.close()
        raise
    return listener


def _own_socket(path: str, wanted: Ownership) -> None:
    """Give the socket at `path` its owner and mode, and nothing else that somebody may have put there meanwhile."""
    if not hasattr(os, "O_PATH"):  # not Linux
        os.chmod(path, wanted.mode)
        os.chown(path, wanted.user, wanted.group, follow_symlinks=False)
        return
    file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise FileExistsError(f"'{path}': another program interferes with the folder")
        os.chown(f"/proc/self/fd/{file}", wanted.user, wanted.group)
        os.chmod(f"/proc/self/fd/{file}", wanted.mode)
    finally:
        os.close(file)


def is_still(path: str, file: int) -> bool:
    """Whether `path` is the open file `file`."""
    try:
        there, own = os.lstat(path), os.fstat(file)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _check_replaceable(path: str, wanted: Ownership, is_kind: Callable[[int], bool], kind: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not is_kind(found.st_mode):
        raise FileExistsError(f"'{path}' is no {kind}; it is not replaced")
    if not wanted.is_ours(found):
        raise PermissionError(f"'{path}' belongs to user '{user_name(found.st_uid)}'; it is not replaced")
