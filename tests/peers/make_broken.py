"""Writes one file of each kind that is refused, each named by the reason that it must be refused with.

    python make_broken.py FOLDER
"""

import pathlib
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid


def image(**changes):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = changes.get("SOPClassUID", CTImageStorage)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = generate_uid(), generate_uid(), generate_uid()
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientName, ds.PatientID, ds.StudyID = "Synthetic^Peer", "PEER", "1"
    ds.StudyDate, ds.StudyTime = "20240102", "101112"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.PixelSpacing, ds.SliceThickness = ["5", "5"], "5"
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", 64, 64
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope = 0, 1
    ds.PixelData = np.zeros((64, 64), "<i2").tobytes()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def main():
    folder = pathlib.Path(sys.argv[1])
    image().save_as(folder / "whole", enforce_file_format=True)
    whole = (folder / "whole").read_bytes()
    (folder / "whole").unlink()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) - 3000])
    (folder / "not_a_scan.dcm").write_text("Dear colleague, the images will follow by post.\n" * 20)
    (folder / "empty_file.dcm").write_bytes(b"")
    localizer = image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    localizer.save_as(folder / "localizer.dcm", enforce_file_format=True)
    image(SOPClassUID=MRImageStorage, Modality="MR").save_as(folder / "not_ct.dcm", enforce_file_format=True)
    fileset = FileSet()
    fileset.add(image())
    fileset.write(folder / "set")
    (folder / "set" / "DICOMDIR").rename(folder / "dicomdir")
    for left in sorted((folder / "set").rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    (folder / "set").rmdir()


main()
