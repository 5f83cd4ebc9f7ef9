//! The 18 abnormalities of CT-RATE, in the official column order of its label files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the 18 CT-RATE abnormalities. The order is that of the data set's label files and of every 18-vector in the
/// project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variant is the finding's name")]
pub enum Label {
    MedicalMaterial,
    ArterialWallCalcification,
    Cardiomegaly,
    PericardialEffusion,
    CoronaryArteryWallCalcification,
    HiatalHernia,
    Lymphadenopathy,
    Emphysema,
    Atelectasis,
    LungNodule,
    LungOpacity,
    PulmonaryFibroticSequela,
    PleuralEffusion,
    MosaicAttenuationPattern,
    PeribronchialThickening,
    Consolidation,
    Bronchiectasis,
    InterlobularSeptalThickening,
}

/// A code in a public terminology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Code {
    /// Coding scheme designator as DICOM writes it: `SCT` (SNOMED CT) or `DCM`.
    pub scheme: &'static str,
    /// Code value.
    pub value: &'static str,
    /// Whether the code stands in a DICOM context group that was read; the others wait for a terminologist.
    pub confirmed: bool,
}

/// Number of labels.
pub const LABEL_COUNT: usize = 18;

struct Entry(Label, &'static str, &'static str, Option<Code>);

const fn sct(value: &'static str) -> Code {
    Code { scheme: "SCT", value, confirmed: true }
}

const fn dcm(value: &'static str) -> Code {
    Code { scheme: "DCM", value, confirmed: true }
}

impl Code {
    const fn unconfirmed(self) -> Self {
        Self { confirmed: false, ..self }
    }
}

const TABLE: [Entry; LABEL_COUNT] = [
    Entry(Label::MedicalMaterial, "medical_material", "Medical material", None),
    Entry(
        Label::ArterialWallCalcification,
        "arterial_wall_calcification",
        "Arterial wall calcification",
        Some(sct("237897009")),
    ),
    Entry(Label::Cardiomegaly, "cardiomegaly", "Cardiomegaly", Some(sct("287272002"))),
    Entry(Label::PericardialEffusion, "pericardial_effusion", "Pericardial effusion", Some(sct("373945007"))),
    Entry(
        Label::CoronaryArteryWallCalcification,
        "coronary_artery_wall_calcification",
        "Coronary artery wall calcification",
        Some(sct("445512009").unconfirmed()),
    ),
    Entry(Label::HiatalHernia, "hiatal_hernia", "Hiatal hernia", Some(sct("84089009").unconfirmed())),
    Entry(Label::Lymphadenopathy, "lymphadenopathy", "Lymphadenopathy", Some(sct("30746006"))),
    Entry(Label::Emphysema, "emphysema", "Emphysema", Some(sct("87433001").unconfirmed())),
    Entry(Label::Atelectasis, "atelectasis", "Atelectasis", Some(sct("46621007").unconfirmed())),
    Entry(Label::LungNodule, "lung_nodule", "Lung nodule", Some(sct("27925004"))),
    Entry(Label::LungOpacity, "lung_opacity", "Lung opacity", Some(dcm("112001"))),
    Entry(
        Label::PulmonaryFibroticSequela,
        "pulmonary_fibrotic_sequela",
        "Pulmonary fibrotic sequela",
        Some(sct("112674009")),
    ),
    Entry(Label::PleuralEffusion, "pleural_effusion", "Pleural effusion", Some(sct("60046008"))),
    Entry(
        Label::MosaicAttenuationPattern,
        "mosaic_attenuation_pattern",
        "Mosaic attenuation pattern",
        Some(dcm("112130")),
    ),
    Entry(Label::PeribronchialThickening, "peribronchial_thickening", "Peribronchial thickening", None),
    Entry(Label::Consolidation, "consolidation", "Consolidation", Some(sct("95436008").unconfirmed())),
    Entry(Label::Bronchiectasis, "bronchiectasis", "Bronchiectasis", Some(sct("12295008").unconfirmed())),
    Entry(
        Label::InterlobularSeptalThickening,
        "interlobular_septal_thickening",
        "Interlobular septal thickening",
        Some(dcm("112114")),
    ),
];

impl Label {
    /// All labels in the official order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// Position in an 18-vector.
    pub fn index(self) -> usize {
        TABLE.iter().position(|entry| entry.0 == self).unwrap_or_default()
    }

    #[expect(clippy::indexing_slicing, reason = "an index is a position in the table")]
    fn entry(self) -> &'static Entry {
        &TABLE[self.index()]
    }

    /// The stable name used in messages, manifests and configuration, e.g. `pleural_effusion`.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// CT-RATE's column name, e.g. `Pleural effusion`.
    pub fn title(self) -> &'static str {
        self.entry().2
    }

    /// The label of that stable name or CT-RATE column name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.1 == name || entry.2 == name).map(|entry| entry.0)
    }

    /// Its code, where a terminology has one.
    pub fn code(self) -> Option<Code> {
        self.entry().3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        let order: Vec<usize> = Label::all().map(Label::index).collect();
        assert_eq!(order, (0..LABEL_COUNT).collect::<Vec<_>>());
        assert!(Label::all().is_sorted());
    }

    #[test]
    fn every_name_leads_back_to_its_label() {
        for label in Label::all() {
            assert_eq!(Label::from_name(label.name()), Some(label));
            assert_eq!(Label::from_name(label.title()), Some(label));
            assert_eq!(serde_json::to_value(label).unwrap(), label.name());
        }
        assert_eq!(Label::from_name("pneumothorax"), None);
    }
}
