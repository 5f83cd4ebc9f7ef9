"""Writes a DICOM slice anew in a transfer syntax that DCMTK and GDCM do not write.

    python syntax.py htj2k|htj2k_rpcl|jpegxl|encapsulated INPUT OUTPUT   with OpenJPH, libjxl or nothing at all
    python syntax.py copies INPUT FOLDER                                 a series: the slice three times, 2 mm apart

The coded pixels of copies stay as they are.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

SYNTAXES = {
    "htj2k": "1.2.840.10008.1.2.4.201",
    "htj2k_rpcl": "1.2.840.10008.1.2.4.202",
    "jpegxl": "1.2.840.10008.1.2.4.110",
    "encapsulated": "1.2.840.10008.1.2.1.98",
}


def coded(name, stored, scratch):
    """A codestream of stored values, unsigned: the bits as they lie."""
    picture = scratch / "picture.pgm"
    rows, columns = stored.shape
    picture.write_bytes(f"P5 {columns} {rows} 65535\n".encode() + stored.astype(">u2").tobytes())
    if name == "jpegxl":
        target = scratch / "picture.jxl"
        command = ["cjxl", str(picture), str(target), "-d", "0", "-e", "3", "--quiet"]
    else:
        target = scratch / "picture.j2c"
        order = "RPCL" if name == "htj2k_rpcl" else "LRCP"
        command = ["ojph_compress", "-i", str(picture), "-o", str(target), "-reversible", "true", "-prog_order", order]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return target.read_bytes()


def encode(name, source, target):
    slice_ = pydicom.dcmread(source)
    stored = np.frombuffer(slice_.PixelData, "<u2").reshape(slice_.Rows, slice_.Columns)
    with tempfile.TemporaryDirectory() as scratch:
        frame = stored.tobytes() if name == "encapsulated" else coded(name, stored, pathlib.Path(scratch))
    slice_.PixelData = encapsulate([frame])
    slice_["PixelData"].VR = "OB"
    slice_["PixelData"].is_undefined_length = True
    # Under a name that pydicom knows, then the syntax that it is: their sizes agree, so that the file stays whole.
    known = pydicom.uid.JPEG2000Lossless
    slice_.file_meta.TransferSyntaxUID = known
    slice_.save_as(target)
    bytes_ = pathlib.Path(target).read_bytes()
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (str(known), SYNTAXES[name]))
    head = bytes_[:1024].replace(
        b"\x02\x00\x10\x00UI" + len(old).to_bytes(2, "little") + old,
        b"\x02\x00\x10\x00UI" + len(new).to_bytes(2, "little") + new,
    )
    if len(new) != len(old):  # the group's length counts the change
        at = head.index(b"\x02\x00\x00\x00UL") + 8
        length = int.from_bytes(head[at : at + 4], "little") + len(new) - len(old)
        head = head[:at] + length.to_bytes(4, "little") + head[at + 4 :]
    pathlib.Path(target).write_bytes(head + bytes_[1024:])


def copies(source, folder):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for number in range(3):
        slice_ = pydicom.dcmread(source, force=True)
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x, y, z + 2 * number]
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slice_.save_as(pathlib.Path(folder) / f"{number}.dcm")


if __name__ == "__main__":
    name, source, target = sys.argv[1:4]
    copies(source, target) if name == "copies" else encode(name, source, target)
