//! What a report says of what is not there, and of what is always normal in a phantom.

use super::Section::{self, Lungs, Mediastinum, Pleura, Skeleton};
use crate::labels::Label;

/// Sentences that are true where none of these abnormalities is present.
pub(super) struct Denial(pub(super) Section, pub(super) &'static [Label], pub(super) &'static [&'static str]);

const ALL_OF_THE_LUNGS: &[Label] = &[
    Label::Emphysema,
    Label::Atelectasis,
    Label::LungNodule,
    Label::LungOpacity,
    Label::PulmonaryFibroticSequela,
    Label::MosaicAttenuationPattern,
    Label::PeribronchialThickening,
    Label::Consolidation,
    Label::Bronchiectasis,
    Label::InterlobularSeptalThickening,
];

pub(super) static DENIALS: [Denial; 27] = [
    Denial(
        Mediastinum,
        &[Label::Cardiomegaly],
        &["Heart size is within normal limits.", "The heart is normal in size.", "No cardiomegaly."],
    ),
    Denial(
        Mediastinum,
        &[Label::PericardialEffusion],
        &["No pericardial effusion.", "There is no pericardial effusion.", "The pericardium is free of fluid."],
    ),
    Denial(
        Mediastinum,
        &[Label::Cardiomegaly, Label::PericardialEffusion],
        &["The heart is of normal size, without pericardial effusion.", "No cardiomegaly and no pericardial effusion."],
    ),
    Denial(
        Mediastinum,
        &[Label::Lymphadenopathy],
        &[
            "No enlarged mediastinal lymph nodes.",
            "No mediastinal lymphadenopathy.",
            "Lymph nodes of the mediastinum are not enlarged.",
        ],
    ),
    Denial(
        Mediastinum,
        &[Label::HiatalHernia],
        &["No hiatal hernia.", "There is no hiatal hernia.", "A hiatal hernia is not seen."],
    ),
    Denial(
        Mediastinum,
        &[Label::CoronaryArteryWallCalcification],
        &["No coronary artery calcification.", "The coronary arteries are free of calcification."],
    ),
    Denial(
        Mediastinum,
        &[Label::ArterialWallCalcification],
        &["No calcification of the aortic wall.", "The aortic wall is free of calcification."],
    ),
    Denial(
        Mediastinum,
        &[Label::CoronaryArteryWallCalcification, Label::ArterialWallCalcification],
        &["No calcification of coronary arteries or aorta.", "No vascular calcification."],
    ),
    Denial(
        Mediastinum,
        &[Label::MedicalMaterial],
        &["No pacemaker or other medical material.", "No medical material is seen."],
    ),
    Denial(
        Lungs,
        ALL_OF_THE_LUNGS,
        &["Both lungs are clear.", "The lungs are normal.", "The parenchyma of both lungs is unremarkable."],
    ),
    Denial(
        Lungs,
        &[Label::LungNodule],
        &["No pulmonary nodule.", "No lung nodule is detected.", "There are no nodules in the lungs."],
    ),
    Denial(Lungs, &[Label::Consolidation], &["No consolidation.", "There is no consolidation in either lung."]),
    Denial(Lungs, &[Label::LungOpacity], &["No ground-glass opacity.", "There is no ground-glass opacity."]),
    Denial(
        Lungs,
        &[Label::LungNodule, Label::Consolidation],
        &["No nodule or consolidation.", "Neither nodule nor consolidation is seen."],
    ),
    Denial(
        Lungs,
        &[Label::Consolidation, Label::LungOpacity],
        &["No consolidation or ground-glass opacity.", "The lungs are free of consolidation and ground-glass opacity."],
    ),
    Denial(
        Lungs,
        &[Label::Emphysema],
        &["No emphysema.", "There is no emphysema.", "The lungs are not emphysematous."],
    ),
    Denial(Lungs, &[Label::MosaicAttenuationPattern], &["No mosaic attenuation.", "Lung attenuation is not mosaic."]),
    Denial(
        Lungs,
        &[Label::Emphysema, Label::MosaicAttenuationPattern],
        &["Neither emphysema nor mosaic attenuation is present.", "No emphysema or mosaic attenuation."],
    ),
    Denial(Lungs, &[Label::Atelectasis], &["No atelectasis.", "There is no atelectasis."]),
    Denial(Lungs, &[Label::PulmonaryFibroticSequela], &["No fibrotic sequelae.", "No fibrotic scarring of the lungs."]),
    Denial(
        Lungs,
        &[Label::Atelectasis, Label::PulmonaryFibroticSequela],
        &["No atelectasis or fibrotic scarring.", "Neither atelectasis nor fibrotic sequelae are seen."],
    ),
    Denial(Lungs, &[Label::Bronchiectasis], &["No bronchiectasis.", "There is no bronchiectasis."]),
    Denial(
        Lungs,
        &[Label::Bronchiectasis, Label::PeribronchialThickening],
        &["No bronchiectasis or peribronchial thickening.", "The bronchi are of normal width with thin walls."],
    ),
    Denial(
        Lungs,
        &[Label::PeribronchialThickening],
        &["No peribronchial thickening.", "There is no peribronchial thickening."],
    ),
    Denial(
        Lungs,
        &[Label::InterlobularSeptalThickening],
        &["No interlobular septal thickening.", "The interlobular septa are not thickened."],
    ),
    Denial(
        Pleura,
        &[Label::PleuralEffusion],
        &["No pleural effusion.", "There is no pleural effusion.", "Both pleural cavities are free of fluid."],
    ),
    Denial(
        Pleura,
        &[Label::PleuralEffusion, Label::PericardialEffusion],
        &["No pleural or pericardial effusion.", "Neither pleural nor pericardial effusion is seen."],
    ),
];

/// What holds for every phantom.
pub(super) const NORMAL: [(Section, &str); 10] = [
    (Mediastinum, "The trachea is midline."),
    (Mediastinum, "Trachea and main bronchi are patent."),
    (Mediastinum, "The thoracic aorta is of normal calibre."),
    (Mediastinum, "The pulmonary trunk is not dilated."),
    (Pleura, "No pneumothorax."),
    (Pleura, "There is no pneumothorax on either side."),
    (Skeleton, "The vertebrae are of normal height."),
    (Skeleton, "No fracture of the ribs."),
    (Skeleton, "The bones are unremarkable."),
    (Skeleton, "Liver and spleen are homogeneous as far as they are imaged."),
];

/// Impressions of a patient without findings.
pub(super) const ALL_NORMAL: [&str; 5] = [
    "Normal chest CT.",
    "Unremarkable CT of the chest.",
    "No abnormality of the chest.",
    "Normal examination of the chest.",
    "Chest CT without abnormal findings.",
];
