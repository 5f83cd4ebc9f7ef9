"""Archives of every kind by other people's tools.

archives.py kinds OUT FOLDER    the files of FOLDER in every archive that must be unpacked
archives.py hostile OUT         archives that must not do harm; `expected.json` says what becomes of each
"""

import bz2
import gzip
import io
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import zipfile

OUTSIDE = "/tmp/ctedge-was-here"


class Unseekable(io.RawIOBase):
    """A pipe: what zipfile writes into it has data descriptors."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)


def tarred(path, files, mode="w", form=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def kinds(out, folder):
    names = sorted(path for path in folder.iterdir())
    files = [(f"study/{path.name}", path.read_bytes()) for path in names]
    long = [("d" * 120 + "/ä/" + "f" * 150 + path.name, path.read_bytes()) for path in names]
    zipped(out / "stored.zip", files, zipfile.ZIP_STORED)
    zipped(out / "deflated.zip", files)
    with open(out / "streamed.zip", "wb") as file, zipfile.ZipFile(Unseekable(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    with zipfile.ZipFile(out / "zip64.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    notes = [("__MACOSX/._" + path.name, b"\0\5\x16\7" + bytes(100)) for path in names]
    index = bytes(128) + b"DICM\2\0\0\0UL\4\0\x40\0\0\0\2\0\1\0OB\0\0\2\0\0\0\0\1\2\0\2\0UI\x14\x001.2.840.10008.1.3.10"
    zipped(out / "macos.zip", files + notes + [(".DS_Store", b"\0\0\0\1Bud1" + bytes(9)), ("empty", b""), ("DICOMDIR", index)])
    run = lambda *command, **more: subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **more)
    run("zip", "-q", "-r", out / "infozip.zip", ".")
    with open(out / "infozip_piped.zip", "wb") as file:
        subprocess.run(["zip", "-q", "-r", "-", "."], check=True, cwd=folder, stdout=file)
    tarred(out / "pax.tar", long)
    tarred(out / "gnu.tar", long, form=tarfile.GNU_FORMAT)
    tarred(out / "ustar.tar", files, form=tarfile.USTAR_FORMAT)
    tarred(out / "python.tgz", long, mode="w:gz")
    run("tar", "-cf", out / "tar.tar", ".")
    run("tar", "-czf", out / "named.zip", ".")  # its name lies


def symlinks(path):
    with tarfile.open(path, "w") as archive:
        for name, kind, target in [("a", tarfile.SYMTYPE, "/tmp"), ("b", tarfile.LNKTYPE, "/etc/passwd")]:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
        info = tarfile.TarInfo("a/ctedge-was-here")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"text"))


def devices(path):
    with tarfile.open(path, "w") as archive:
        for name, kind in [("c", tarfile.CHRTYPE), ("b", tarfile.BLKTYPE), ("p", tarfile.FIFOTYPE), ("d", tarfile.DIRTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.devmajor, info.devminor, info.size = kind, 1, 5, 0
            archive.addfile(info)


def zip_symlink(path):
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("a")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/tmp")
        archive.writestr("a/ctedge-was-here", "text of a zip")


def overlapping(members):
    """One local member, named often in the central directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(1 << 20)[:-1] + b"x")
    whole = buffer.getvalue()
    at, size = struct.unpack("<L", whole[-6:-2])[0], struct.unpack("<L", whole[-10:-6])[0]
    directory = whole[at : at + size] * members
    end = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, members, members, len(directory), at, 0)
    return whole[:at] + directory + end


def patched(content, at, value):
    """A zip of one member with a number of its central directory overwritten."""
    start = struct.unpack("<L", content[-6:-2])[0]
    return content[: start + at] + struct.pack("<L", value) + content[start + at + 4 :]


def hostile(out):
    expected = {}

    def kind(name, becomes, content=None):
        expected[name] = becomes
        if content is not None:
            (out / name).write_bytes(content)
        return out / name

    def one(content, method=zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        zipped(buffer, [("a", content)], method)
        return buffer.getvalue()

    text = bytes(range(256)) * 40
    paths = [("../../../../../../.." + OUTSIDE, b"text 1"), (OUTSIDE, b"text 2"), ("..\\..\\x", b"text 3"), ("..", b"text 4")]
    zipped(kind("traversal.zip", 4), paths)
    tarred(kind("traversal.tar", 4), [(name, content + b" of a tar") for name, content in paths])
    symlinks(kind("links.tar", 1))
    zip_symlink(kind("links.zip", 1))
    devices(kind("devices.tar", "not_a_scan"))
    kind("no_member.zip", "not_a_scan", b"PK\5\6" + bytes(18))
    inner = one(text)
    for _ in range(5):
        inner = one(inner, zipfile.ZIP_STORED)
    kind("nested.zip", 1, inner)
    zeros = gzip.compress(bytes(1 << 30), 9)
    zipped(kind("zeros.zip", "limit_exceeded"), [("z", bytes(1 << 30))])
    header = tarfile.TarInfo("z")
    header.size = 1 << 30
    kind("zeros.tgz", "limit_exceeded", gzip.compress(header.tobuf()) + zeros)
    header.type = tarfile.XHDTYPE
    kind("long_note.tgz", "limit_exceeded", gzip.compress(header.tobuf(tarfile.USTAR_FORMAT)) + zeros)
    zipped(kind("many_empty.zip", "limit_exceeded"), [(str(number), b"") for number in range(100_000)])
    zipped(kind("many.zip", "limit_exceeded"), [(str(number), b"x") for number in range(10_001)])
    kind("overlapping.zip", "corrupt", overlapping(250))
    kind("says_less.zip", "corrupt", patched(one(text), 24, 100))
    kind("says_more.zip", "corrupt", patched(one(text), 24, 1 << 30))
    kind("packed_beyond.zip", "corrupt", patched(one(text, zipfile.ZIP_STORED), 20, 1 << 30))
    kind("points_beyond.zip", "truncated", patched(one(text), 42, 1 << 30))
    kind("wrong_sum.zip", "corrupt", patched(one(text), 16, 1))
    kind("wrong_count.zip", "corrupt", one(text)[:-12] + b"\2\0" + one(text)[-10:])
    kind("cut_off.zip", "truncated", one(text)[:-30])
    kind("lzma.zip", "unsupported_archive", one(text, zipfile.ZIP_LZMA))
    kind("bzip2.zip", "unsupported_archive", one(text, zipfile.ZIP_BZIP2))
    (out / "text").write_bytes(text)
    subprocess.run(["zip", "-q", "-P", "secret", "encrypted.zip", "text"], check=True, cwd=out)
    kind("encrypted.zip", "unsupported_archive")
    zipped(kind("one_name.zip", 2), [("a", b"text 5"), ("a", b"text 6")])
    tarred(kind("one_name.tar", 2), [("a", b"text 7"), ("a", b"text 8")])
    tarred(kind("whole.tar", 2), [("a", text[1:]), ("b", text + b"x")])
    whole = (out / "whole.tar").read_bytes()
    kind("cut_off.tar", "truncated", whole[:5000])
    kind("cut_between.tar", "truncated", whole[: 512 + 10240])
    kind("cut_off.tgz", "truncated", gzip.compress(whole)[:-20])
    kind("wrong_header.tar", "corrupt", whole[: 512 + 10240] + b"?" + whole[512 + 10241 :])
    packed = gzip.compress(whole)
    kind("wrong_sum.tgz", "corrupt", packed[:-8] + bytes(4) + packed[-4:])
    kind("two.tar", "corrupt", whole + whole)
    kind("packed.tar.bz2", "no archive", bz2.compress(whole))
    with open(out / "holes", "wb") as file:
        file.seek(1 << 20)
        file.write(b"x")
    subprocess.run(["tar", "-S", "--format=gnu", "-cf", "sparse.tar", "holes"], check=True, cwd=out)
    kind("sparse.tar", "unsupported_archive")
    (out / "expected.json").write_text(json.dumps(expected))


if sys.argv[1] == "kinds":
    kinds(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
else:
    hostile(pathlib.Path(sys.argv[2]))
