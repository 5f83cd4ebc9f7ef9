//! How each abnormality is worded, and how large is large.
//!
//! In a phrase `{size}` becomes millimetres or centimetres, `{grade}` one of the three grades, `{place}` where it is,
//! `{a}` the article that fits what follows; `{number}` and `{items}` stand for several findings of one kind.

use super::Section;
use crate::labels::{LABEL_COUNT, Label};

/// The words for one abnormality.
pub(super) struct Phrases {
    pub(super) label: Label,
    pub(super) section: Section,
    /// Words for small, moderate and large, and the sizes in mm at which the second and third begin. None where a
    /// report tells no size.
    pub(super) grades: Option<([&'static str; 3], [f64; 2])>,
    /// Sentences for one finding.
    pub(super) one: &'static [&'static str],
    /// Sentences for several in different places.
    pub(super) several: &'static [&'static str],
    /// Without a verb, for the impression.
    pub(super) brief: &'static [&'static str],
}

const SIZES: [&str; 3] = ["small", "moderate", "large"];
const DEGREES: [&str; 3] = ["mild", "moderate", "severe"];

/// The words for a label; the table has a line for each.
pub(super) fn phrases(label: Label) -> &'static Phrases {
    let [first, ..] = &TABLE;
    TABLE.iter().find(|words| words.label == label).unwrap_or(first)
}

static TABLE: [Phrases; LABEL_COUNT] = [
    Phrases {
        label: Label::MedicalMaterial,
        section: Section::Mediastinum,
        grades: None,
        one: &[
            "A pacemaker is implanted {place}, its lead ending in the heart.",
            "There is a cardiac pacemaker {place} with its lead in place.",
            "Pacemaker generator in the chest wall {place}, with a lead to the heart.",
            "An implanted cardiac pacemaker is noted {place}.",
            "Medical material: a pacemaker {place}.",
        ],
        several: &["Pacemaker generators are implanted: {items}.", "There are {number} pacemaker generators: {items}."],
        brief: &["Pacemaker {place}", "Implanted pacemaker {place}", "Medical material (pacemaker) {place}"],
    },
    Phrases {
        label: Label::ArterialWallCalcification,
        section: Section::Mediastinum,
        grades: Some((DEGREES, [20.0, 45.0])),
        one: &[
            "Calcified plaque over {size} of the aortic wall.",
            "There is {grade} calcification of the wall of the thoracic aorta.",
            "The wall of the descending aorta is calcified over {size}.",
            "Atherosclerotic calcification of the aortic wall, {size} long.",
            "The aorta shows {grade} calcified atheroma of its wall.",
        ],
        several: &[],
        brief: &[
            "Aortic wall calcification",
            "Calcified atheroma of the aorta",
            "Arterial wall calcification of the aorta",
        ],
    },
    Phrases {
        label: Label::Cardiomegaly,
        section: Section::Mediastinum,
        grades: Some((DEGREES, [145.0, 160.0])),
        one: &[
            "The heart is enlarged, {size} across.",
            "There is {grade} cardiomegaly.",
            "Cardiomegaly with a transverse diameter of the heart of {size}.",
            "The heart measures {size} across and is enlarged.",
            "{grade} enlargement of the heart.",
        ],
        several: &[],
        brief: &["Cardiomegaly", "Enlarged heart", "{grade} cardiomegaly"],
    },
    Phrases {
        label: Label::PericardialEffusion,
        section: Section::Mediastinum,
        grades: Some((SIZES, [10.0, 20.0])),
        one: &[
            "There is {a} {grade} pericardial effusion.",
            "A pericardial effusion surrounds the heart, {size} thick.",
            "Pericardial effusion measuring {size} in thickness.",
            "{grade} pericardial effusion, up to {size} deep.",
        ],
        several: &[],
        brief: &["Pericardial effusion", "{grade} pericardial effusion", "Pericardial effusion of {size}"],
    },
    Phrases {
        label: Label::CoronaryArteryWallCalcification,
        section: Section::Mediastinum,
        grades: Some((DEGREES, [10.0, 20.0])),
        one: &[
            "Calcified plaque over {size} of the coronary artery wall.",
            "There is {grade} coronary artery calcification.",
            "The anterior descending coronary artery is calcified over {size}.",
            "Coronary artery wall calcification, {grade} in degree.",
            "{grade} calcific plaque of the left coronary artery.",
        ],
        several: &[],
        brief: &["Coronary artery calcification", "Calcified coronary artery", "Coronary artery wall calcification"],
    },
    Phrases {
        label: Label::HiatalHernia,
        section: Section::Mediastinum,
        grades: Some((SIZES, [40.0, 60.0])),
        one: &[
            "There is {a} {grade} hiatal hernia.",
            "A hiatal hernia of {size} is seen behind the heart.",
            "Hiatal hernia: part of the stomach, {size} wide, lies above the diaphragm.",
            "The stomach herniates through the hiatus; the hiatal hernia is {size} in width.",
            "{grade} sliding hiatal hernia with gas in the sac.",
        ],
        several: &[],
        brief: &["Hiatal hernia", "{grade} hiatal hernia", "Hiatal hernia of {size}"],
    },
    Phrases {
        label: Label::Lymphadenopathy,
        section: Section::Mediastinum,
        grades: Some((DEGREES, [15.0, 25.0])),
        one: &[
            "Enlarged mediastinal lymph nodes, up to {size} in short axis.",
            "There is {grade} mediastinal lymphadenopathy.",
            "Mediastinal lymphadenopathy with nodes up to {size} in short axis.",
            "Lymph nodes of the mediastinum are enlarged; the largest measures {size} in short axis.",
            "Pathologically enlarged paratracheal and subcarinal lymph nodes of up to {size}.",
        ],
        several: &[],
        brief: &[
            "Mediastinal lymphadenopathy",
            "Enlarged mediastinal lymph nodes",
            "Lymphadenopathy of the mediastinum",
        ],
    },
    Phrases {
        label: Label::Emphysema,
        section: Section::Lungs,
        grades: None,
        one: &[
            "Emphysematous changes are present in both lungs.",
            "There is centrilobular emphysema in both lungs.",
            "Both lungs show diffuse emphysema.",
            "Bilateral emphysema with small low-density holes.",
            "Emphysema is seen throughout both lungs.",
        ],
        several: &[],
        brief: &["Emphysema of both lungs", "Bilateral emphysema", "Emphysematous changes in both lungs"],
    },
    Phrases {
        label: Label::Atelectasis,
        section: Section::Lungs,
        grades: Some((SIZES, [10.0, 20.0])),
        one: &[
            "Plate-like atelectasis {place}, {size} thick.",
            "There is {a} {grade} band of atelectasis {place}.",
            "Linear atelectasis is seen {place}, {size} in thickness.",
            "{a} {size} atelectatic band crosses the lung {place}.",
            "Subsegmental atelectasis {place}; the plate is {size} thick.",
        ],
        several: &[
            "There are {number} plates of atelectasis: {items}.",
            "Atelectasis is seen at {number} sites: {items}.",
        ],
        brief: &["Atelectasis {place}", "Plate-like atelectasis {place}", "Atelectatic band {place}"],
    },
    Phrases {
        label: Label::LungNodule,
        section: Section::Lungs,
        grades: Some((SIZES, [8.0, 20.0])),
        one: &[
            "{a} {size} solid nodule is seen {place}.",
            "There is {a} {grade} nodule {place}, {size} in diameter.",
            "Solid pulmonary nodule {place} measuring {size}.",
            "{a} nodule of {size} lies {place}.",
            "A round lung nodule {place} has a diameter of {size}.",
            "Lung nodule, {size}, {place}.",
        ],
        several: &[
            "There are {number} pulmonary nodules: {items}.",
            "{number} solid nodules are seen: {items}.",
            "Multiple ({number}) lung nodules: {items}.",
        ],
        brief: &["Nodule {place}", "{grade} lung nodule {place}", "Pulmonary nodule of {size} {place}"],
    },
    Phrases {
        label: Label::LungOpacity,
        section: Section::Lungs,
        grades: Some((SIZES, [40.0, 80.0])),
        one: &[
            "Ground-glass opacity measuring {size} is seen {place}.",
            "There is {a} {grade} area of ground-glass opacity {place}.",
            "A hazy ground-glass opacity of {size} lies {place}.",
            "Ground-glass density {place} over {size}; vessels remain visible in the opacity.",
            "A patch of ground glass opacity, {size} in size, {place}.",
        ],
        several: &[
            "Ground-glass opacities at {number} sites: {items}.",
            "There are {number} ground-glass opacities: {items}.",
        ],
        brief: &["Ground-glass opacity {place}", "Lung opacity {place}", "{grade} ground-glass opacity {place}"],
    },
    Phrases {
        label: Label::PulmonaryFibroticSequela,
        section: Section::Lungs,
        grades: Some((SIZES, [30.0, 50.0])),
        one: &[
            "Fibrotic sequelae with bands over {size} are seen {place}.",
            "There is {a} {grade} area of fibrotic scarring {place} with loss of volume.",
            "Sequela fibrotic bands {place}, {size} in extent.",
            "Fibrotic scar tissue of {size} {place} with distortion of the lung.",
            "Coarse fibrotic bands {place} over {size}, sequelae of old disease.",
        ],
        several: &[
            "Fibrotic sequelae at {number} sites: {items}.",
            "There are {number} areas of fibrotic scarring: {items}.",
        ],
        brief: &["Fibrotic sequelae {place}", "Fibrotic scarring {place}", "Pulmonary fibrotic sequela {place}"],
    },
    Phrases {
        label: Label::PleuralEffusion,
        section: Section::Pleura,
        grades: Some((SIZES, [20.0, 40.0])),
        one: &[
            "There is a pleural effusion {place}, {size} deep.",
            "There is {a} {grade} pleural effusion {place}.",
            "Pleural effusion {place} with a depth of {size}.",
            "Free pleural effusion {place}, up to {size} deep.",
            "{a} {size} pleural effusion layers {place}.",
        ],
        several: &["Bilateral pleural effusions: {items}.", "Pleural effusion on both sides: {items}."],
        brief: &["Pleural effusion {place}", "{grade} pleural effusion {place}", "Free pleural effusion {place}"],
    },
    Phrases {
        label: Label::MosaicAttenuationPattern,
        section: Section::Lungs,
        grades: None,
        one: &[
            "Mosaic attenuation pattern in both lungs.",
            "Both lungs show mosaic attenuation.",
            "The parenchyma of both lungs has a mosaic attenuation pattern.",
            "Patchy mosaic attenuation with geographic areas of lower density in both lungs.",
        ],
        several: &[],
        brief: &["Mosaic attenuation of both lungs", "Mosaic attenuation pattern", "Bilateral mosaic attenuation"],
    },
    Phrases {
        label: Label::PeribronchialThickening,
        section: Section::Lungs,
        grades: Some((DEGREES, [3.0, 4.5])),
        one: &[
            "Peribronchial thickening of {size} in both lungs.",
            "There is {grade} peribronchial thickening in both lungs.",
            "{grade} bilateral peribronchial thickening.",
            "The bronchi of both lungs are cuffed: {grade} peribronchial thickening.",
        ],
        several: &[],
        brief: &["Peribronchial thickening", "Bilateral peribronchial thickening", "{grade} peribronchial thickening"],
    },
    Phrases {
        label: Label::Consolidation,
        section: Section::Lungs,
        grades: Some((SIZES, [30.0, 60.0])),
        one: &[
            "An area of consolidation with air bronchogram measuring {size} is seen {place}.",
            "There is {a} {grade} consolidation {place}.",
            "Consolidation {place}, {size} in extent, with air bronchogram.",
            "{a} {grade} consolidated area of {size} lies {place}.",
            "Airspace consolidation of {size} {place}.",
        ],
        several: &["Consolidations at {number} sites: {items}.", "There are {number} areas of consolidation: {items}."],
        brief: &["Consolidation {place}", "{grade} consolidation {place}", "Airspace consolidation {place}"],
    },
    Phrases {
        label: Label::Bronchiectasis,
        section: Section::Lungs,
        grades: Some((DEGREES, [8.0, 13.0])),
        one: &[
            "Bronchiectasis {place} with bronchi up to {size} wide.",
            "There is {grade} bronchiectasis {place}.",
            "Bronchiectatic airways {place}, up to {size} in width.",
            "{grade} tubular bronchiectasis is seen {place}.",
            "Dilated, thick-walled bronchi of up to {size} {place}: bronchiectasis.",
        ],
        several: &["Bronchiectasis at {number} sites: {items}.", "Bronchiectasis is seen in {number} lobes: {items}."],
        brief: &["Bronchiectasis {place}", "{grade} bronchiectasis {place}", "Bronchiectatic changes {place}"],
    },
    Phrases {
        label: Label::InterlobularSeptalThickening,
        section: Section::Lungs,
        grades: Some((DEGREES, [2.0, 3.0])),
        one: &[
            "There is {grade} interlobular septal thickening in the lower zones of both lungs.",
            "Interlobular septal thickening, {grade}, in both lower zones.",
            "{grade} thickening of the interlobular septa is seen in both lungs; the septal lines form polygons.",
            "The interlobular septa of both lungs are thickened: {grade} septal thickening.",
        ],
        several: &[],
        brief: &[
            "Interlobular septal thickening",
            "{grade} interlobular septal thickening",
            "Thickening of interlobular septa",
        ],
    },
];
