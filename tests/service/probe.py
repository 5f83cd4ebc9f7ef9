"""Attempts at what the unit forbids, one line of JSON: name -> "refused: why", or "done".

    python3 probe.py

The guest script has prepared places where an ordinary user may write, so that what is refused is refused by the unit.
"""

import ctypes
import json
import os
import socket
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
NEW_USER, PER_LINUX32, FAILED = 0x10000000, 0x0008, ctypes.c_void_p(-1).value
READ_WRITE_EXECUTE, PRIVATE_ANONYMOUS = 7, 0x22
OWN = Path("/var/lib/ctedge/probe")


def checked(value):
    if value in (-1, FAILED):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def there(path):
    if not Path(path).exists():
        raise OSError(f"{path} is not there")


def set_own(mode):
    OWN.touch()
    OWN.chmod(mode)


def privileged():
    bounds = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    if int(bounds.split()[1], 16) == 0:
        raise OSError("no capability can be had")


def gains():
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise OSError("no program gains privileges")


def all_users():
    if int(Path("/proc/self/uid_map").read_text().split()[2]) < 2**32 - 1:
        raise OSError("other users are not there")


ATTEMPTS = {
    "NoNewPrivileges": gains,
    "ProtectSystem": lambda: Path("/usr/open/probe").write_text(""),
    "ProtectHome": lambda: Path("/run/user/open/file").read_text(),
    "PrivateTmp": lambda: there("/tmp/outside"),
    "PrivateDevices": lambda: there("/dev/outside"),
    "PrivateUsers": all_users,
    "ProtectProc": lambda: Path("/proc/1/status").read_text(),
    "CapabilityBoundingSet": privileged,
    "LockPersonality": lambda: checked(LIBC.personality(PER_LINUX32)),
    "MemoryDenyWriteExecute": lambda: checked(LIBC.mmap(None, 4096, READ_WRITE_EXECUTE, PRIVATE_ANONYMOUS, -1, 0)),
    "RestrictSUIDSGID": lambda: set_own(0o4700),
    "RestrictAddressFamilies": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
    "SystemCallFilter, @privileged": lambda: (set_own(0o600), os.chown(OWN, os.getuid(), os.getgid())),
    "SystemCallFilter, @debug": lambda: checked(LIBC.ptrace(0, 0, 0, 0)),
    "RestrictNamespaces": lambda: checked(LIBC.unshare(NEW_USER)),
}


def outcome(attempt):
    try:
        attempt()
        return "done"
    except OSError as error:
        return f"refused: {error}"


print(json.dumps({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}))
