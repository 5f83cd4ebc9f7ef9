//! Why a file or series was refused.

use serde::{Deserialize, Serialize};

/// Why a file or series cannot become a volume. The snake-case names are published as `reason_code` and name the
/// quarantine folders: a name is never changed, and never reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No bytes.
    EmptyFile,
    /// Neither DICOM nor NIfTI.
    NotAScan,
    /// The file ends before its data does.
    Truncated,
    /// The file breaks its format's rules in another way.
    Corrupt,
    /// A DICOMDIR: an index of files, no image.
    Dicomdir,
    /// An attribute that is needed is absent or empty.
    MissingAttribute,
    /// An image of another modality.
    NotCt,
    /// A DICOM object without pixels: a presentation state, a key object selection.
    NotImage,
    /// A radiation dose report.
    DoseReport,
    /// A structured report.
    StructuredReport,
    /// A picture that something was captured to: a dose page, a screen, a reconstruction in colours.
    SecondaryCapture,
    /// A plan, a structure set, a dose distribution of radiotherapy.
    Radiotherapy,
    /// A localizer (scout) instead of a volume.
    Localizer,
    /// A SOP class that holds pixels in a way this build does not read.
    UnsupportedSopClass,
    /// A transfer syntax that this build does not decode.
    UnsupportedTransferSyntax,
    /// An archive that is encrypted, or packed in a way that this build does not unpack.
    UnsupportedArchive,
    /// A pixel format that is no CT: colour, more than 16 bits.
    UnsupportedPixels,
    /// Fewer than three slices at different places.
    TooFewSlices,
    /// Slices that differ in size, spacing or orientation, or lie beside each other.
    MixedGeometry,
    /// A gap between slices that is too wide to interpolate across.
    UnevenSpacing,
    /// Slices sheared further than any gantry tilts.
    GantryTilt,
    /// Values that are not Hounsfield units.
    NotHounsfield,
    /// More than three dimensions.
    FourDimensional,
    /// Larger than the configured limits.
    LimitExceeded,
    /// The file could not be read from disk.
    Unreadable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 25] = [
        Self::EmptyFile,
        Self::NotAScan,
        Self::Truncated,
        Self::Corrupt,
        Self::Dicomdir,
        Self::MissingAttribute,
        Self::NotCt,
        Self::NotImage,
        Self::DoseReport,
        Self::StructuredReport,
        Self::SecondaryCapture,
        Self::Radiotherapy,
        Self::Localizer,
        Self::UnsupportedSopClass,
        Self::UnsupportedTransferSyntax,
        Self::UnsupportedArchive,
        Self::UnsupportedPixels,
        Self::TooFewSlices,
        Self::MixedGeometry,
        Self::UnevenSpacing,
        Self::GantryTilt,
        Self::NotHounsfield,
        Self::FourDimensional,
        Self::LimitExceeded,
        Self::Unreadable,
    ];

    /// The published name, e.g. `not_ct`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::NotAScan => "not_a_scan",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::Dicomdir => "dicomdir",
            Self::MissingAttribute => "missing_attribute",
            Self::NotCt => "not_ct",
            Self::NotImage => "not_image",
            Self::DoseReport => "dose_report",
            Self::StructuredReport => "structured_report",
            Self::SecondaryCapture => "secondary_capture",
            Self::Radiotherapy => "radiotherapy",
            Self::Localizer => "localizer",
            Self::UnsupportedSopClass => "unsupported_sop_class",
            Self::UnsupportedTransferSyntax => "unsupported_transfer_syntax",
            Self::UnsupportedArchive => "unsupported_archive",
            Self::UnsupportedPixels => "unsupported_pixels",
            Self::TooFewSlices => "too_few_slices",
            Self::MixedGeometry => "mixed_geometry",
            Self::UnevenSpacing => "uneven_spacing",
            Self::GantryTilt => "gantry_tilt",
            Self::NotHounsfield => "not_hounsfield",
            Self::FourDimensional => "four_dimensional",
            Self::LimitExceeded => "limit_exceeded",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A refusal: the published reason and a detail for the operator.
///
/// The detail is written by us (a tag's name, a number, a UID of the standard) and never quotes the file, so that it may
/// be logged and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", reason.name())]
pub struct ScanError {
    /// The published reason.
    pub reason: Reason,
    /// What exactly, without patient data.
    pub detail: String,
}

impl ScanError {
    /// A refusal with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
