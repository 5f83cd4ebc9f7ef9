"""Writes small CT series with pydicom, so that the daemon is tested on files that our own code did not write.

    python make_series.py FOLDER '{"series": 2, "slices": 6, "size": 48, "seed": 1, "marker": ""}'

Makes FOLDER/0, FOLDER/1, ... with one DICOM series each: a chest-like body of soft tissue with two lungs and noise. With a
marker, every text element that a CT slice may carry holds it, private and nested ones included.
"""

import json
import pathlib
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Text elements of a CT image: keyword and the longest value that its representation allows.
TEXTS = """PatientName PatientID OtherPatientNames PatientAddress PatientComments EthnicGroup Occupation
AdditionalPatientHistory PatientTelephoneNumbers PatientMotherBirthName PatientBirthName MilitaryRank CountryOfResidence
RegionOfResidence PatientReligiousPreference ResponsiblePerson ResponsibleOrganization InstitutionName InstitutionAddress
InstitutionalDepartmentName ReferringPhysicianName ReferringPhysicianAddress PerformingPhysicianName OperatorsName
NameOfPhysiciansReadingStudy PhysiciansOfRecord RequestingPhysician RequestingService StudyDescription SeriesDescription
ProtocolName AccessionNumber StudyID StationName DeviceSerialNumber ManufacturerModelName Manufacturer SoftwareVersions
ImageComments DerivationDescription AcquisitionComments ContrastBolusAgent AdmissionID RequestedProcedureDescription
PerformedProcedureStepDescription PerformedProcedureStepID CommentsOnThePerformedProcedureStep FilterType
ConvolutionKernel DetectorID CurrentPatientLocation VisitComments SpecialNeeds MedicalAlerts Allergies PatientState
IssuerOfPatientID InsurancePlanIdentification StudyComments RetrieveAETitle ScheduledStationAETitle""".split()


def voxels(slices, size, seed):
    """HU, [k, j, i]."""
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(np.linspace(-1, 1, slices), np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    hu = np.full((slices, size, size), -1000.0)
    hu[(x / 0.9) ** 2 + (y / 0.7) ** 2 < 1] = 40
    for side in (-0.42, 0.42):
        hu[((x - side) / 0.3) ** 2 + (y / 0.5) ** 2 + (z / 1.4) ** 2 < 1] = -850
    return np.clip(np.round(hu + random.normal(0, 15, hu.shape)), -1024, 3071).astype(np.int16)


def slice_(volume, k, uids, marker, step_mm):
    study, series, frame = uids
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(k)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate, ds.StudyTime, ds.PatientBirthDate, ds.PatientSex = "20240102", "101112", "19480316", "F"
    ds.PatientName, ds.PatientID = "Synthetic^Peer", "PEER"
    ds.InstanceNumber, ds.AcquisitionNumber = k + 1, 1
    ds.PatientPosition = "HFS"
    spacing = 360.0 / volume.shape[1]
    ds.PixelSpacing = [f"{spacing:.6f}"] * 2
    ds.SliceThickness = f"{step_mm}"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-180, -180, f"{k * step_mm:.3f}"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = volume.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.KVP = "120"
    ds.PixelData = volume[k].astype("<i2").tobytes()
    if marker:
        plant(ds, marker)
    return ds


def plant(ds, marker):
    for keyword in TEXTS:
        setattr(ds, keyword, marker)
    nested = Dataset()
    nested.CodeMeaning = nested.CodeValue = marker
    nested.PatientName = marker
    ds.RequestAttributesSequence = Sequence([nested])
    ds.OtherPatientIDsSequence = Sequence([nested])
    block = ds.private_block(0x0029, marker, create=True)
    block.add_new(0x01, "LO", marker)
    block.add_new(0x02, "UN", marker.encode() + b" " * (len(marker) % 2))
    # Bytes that no element owns: the preamble, and the padding at the end.
    ds.preamble = (marker.encode() * 16)[:128]
    ds.DataSetTrailingPadding = marker.encode() * 2


def main():
    folder, plan = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    slices, size, seed = plan["slices"], plan["size"], plan["seed"]
    study = generate_uid(entropy_srcs=["study", str(seed)])
    for number in range(plan["series"]):
        out = folder / str(number)
        out.mkdir(parents=True, exist_ok=True)
        volume = voxels(slices, size, [seed, number])
        series = generate_uid(entropy_srcs=["series", str(seed), str(number)])
        for k in range(slices):
            ds = slice_(volume, k, (study, series, generate_uid(entropy_srcs=["frame", str(seed)])), plan.get("marker", ""), 240 / max(slices, 1))
            if not getattr(ds, "preamble", None):
                ds.preamble = b"\0" * 128
            # Named out of order: nothing may depend on names.
            ds.save_as(out / f"{(k * 7919) % 100003:06d}-{k}.dcm", enforce_file_format=True)
        # In a file: it identifies the series, and so does not belong on a screen.
        (out.parent / f"{number}.uid").write_text(f"{study} {series}")


main()
