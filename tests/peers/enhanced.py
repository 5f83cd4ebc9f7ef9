"""Turns a series of single slices into one multi-frame object.

    python enhanced.py legacy|enhanced|parts SERIES FOLDER

legacy is highdicom's Legacy Converted Enhanced CT, frames in the order of its files; enhanced an Enhanced CT whose rescale
slope and intercept stand with each frame, in no order at all; parts the same, its frames in two files.

    python enhanced.py values FILE

prints the size of a multi-frame object (columns, rows, frames), and its lowest, highest and mean value in HU.
"""

import json
import pathlib
import random
import sys

import pydicom
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def group(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def frame(slice_):
    """The functional groups of a frame (PS3.3, C.7.6.16.2)."""
    item = Dataset()
    item.PlanePositionSequence = group(ImagePositionPatient=slice_.ImagePositionPatient)
    item.PixelValueTransformationSequence = group(
        RescaleSlope=slice_.RescaleSlope, RescaleIntercept=slice_.RescaleIntercept, RescaleType="HU"
    )
    item.CTImageFrameTypeSequence = group(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    return item


def enhanced(slices, series):
    first = slices[0]
    image = Dataset()
    for keyword in """PatientName PatientID StudyInstanceUID Modality Rows Columns BitsAllocated BitsStored HighBit
        PixelRepresentation SamplesPerPixel PhotometricInterpretation""".split():
        setattr(image, keyword, first[keyword].value)
    image.SeriesInstanceUID, image.SOPInstanceUID = series, generate_uid()
    image.SOPClassUID, image.ImageType = EnhancedCTImageStorage, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PixelMeasuresSequence = group(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=first.ImageOrientationPatient)
    shared.CTReconstructionSequence = group(ConvolutionKernel=first.ConvolutionKernel)
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence([frame(slice_) for slice_ in slices])
    image.PixelData = b"".join(slice_.PixelData for slice_ in slices)
    image["PixelData"].VR = "OW"
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def values(path):
    image = pydicom.dcmread(path)
    group = image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    hu = image.pixel_array.astype(float) * float(group.RescaleSlope) + float(group.RescaleIntercept)
    print(json.dumps({"size": hu.shape[::-1], "lowest": hu.min(), "highest": hu.max(), "mean": hu.mean()}))


def main():
    if sys.argv[1] == "values":
        return values(sys.argv[2])
    kind, series, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    slices = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    uid = generate_uid()
    if kind == "legacy":
        image = LegacyConvertedEnhancedCTImage(slices, uid, 1, generate_uid(), 1)
        image.save_as(folder / "0.dcm")
        return
    random.Random(7).shuffle(slices)
    half = len(slices) // 2 if kind == "parts" else len(slices)
    for number, part in enumerate(filter(None, (slices[:half], slices[half:]))):
        enhanced(part, uid).save_as(folder / f"{number}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main()
