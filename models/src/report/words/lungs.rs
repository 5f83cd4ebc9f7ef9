//! The lungs.

use super::{BLANK, Entry};
use crate::labels::Label;

pub(super) const ENTRIES: [Entry; 10] = [
    Entry {
        labels: &[
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
        ],
        denied: &[
            "lungs|parenchyma . . clear|unremarkable",
            "lungs are|is . normal|clear|unremarkable",
            "parenchyma of both lungs is|are . normal|unremarkable",
            "normal|unremarkable . chest|thorax ct",
            "normal|unremarkable ct|examination . . chest|thorax",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::Emphysema],
        seen: &["emphysem*", "bulla|bullae|bullas|bullous"],
        unless: &[
            "subcutaneous|cutaneous|skin|mediastinal|muscle*|pectoral*|axillary|wall .. emphysem*",
            "emphysem* .. subcutaneous|skin|muscle*|pectoral*",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::Atelectasis],
        seen: &["atelect*", "lobe|lobes|lung|segment . collaps*", "collaps* . lobe|lobes|lung|segment"],
        unless: &["fibro|fibrotic atelect*"],
        ..BLANK
    },
    Entry {
        labels: &[Label::LungNodule],
        seen: &["nodule|nodules", "nodular lesion|lesions|densit*|formation*"],
        unless: &[
            "thyroid|adrenal|surrenal|liver|hepatic|breast*|isthmus|kidney*|renal|spleen|splenic|mesenteric|subcutaneous .. nodul*",
            "nodul* .. thyroid|adrenal|surrenal|liver|hepatic|breast*|kidney*|renal|spleen|splenic|mesenteric|subcutaneous",
            "nodul* .. mediastinum|mediastinal",
            "nodul* . . pleura",
            "pleural nodul*",
            "lymph nodul*",
            "centriacinar|centrilobular|centracinar . nodular",
        ],
        kin: &["nodular opacit*|increase*|appearance*|pattern"],
        ..BLANK
    },
    // Said of the lung in so many words, whatever else the clause speaks of.
    Entry {
        labels: &[Label::LungNodule],
        seen: &[
            "pulmonary|lung|intrapulmonary|parenchymal nodule|nodules",
            "nodule|nodules in|of|within . . lung|lungs|parenchyma",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::LungOpacity],
        seen: &["ground . glass*", "groundglass", "opacit*|opacification*", "frosted|icy glass|density"],
        unless: &["glass . nodule*", "nodular opacit*", "bronchogram opacit*"],
        kin: &["crazy paving", "glass . nodule*", "nodular opacit*"],
        ..BLANK
    },
    // Of densities that are called nothing else, those count that a scar, a consolidation or an organ does not explain.
    Entry {
        labels: &[Label::LungOpacity],
        seen: &[
            "linear|nodular|dependent|depandant|nonspecific|parenchymal|alveolar|patchy|diffuse . densit*",
            "increase* in . densit* .. lung*|lobe*|segment*|parenchyma*|basal*",
            "lung*|lobe*|segment*|parenchyma*|basal* .. increase* in . densit*",
        ],
        unless: &[
            "pleural|pleuro parenchymal",
            "fat|fatty|adipose|skin|breast*|subcutaneous|mediastin*|soft .. densit*",
            "densit* .. fat|fatty|adipose|skin|breast*|subcutaneous|mediastin*",
            "liver|hepat*|bone*|vertebra*|kidney*|renal|spleen|pancrea* .. densit*",
            "densit* .. liver|hepat*|bone*|vertebra*|kidney*|renal|spleen|pancrea*",
            "seque*|fibro*|pleuroparenchymal|interstitial .. densit*",
            "densit* .. seque*|fibro*|consolid*|subsegmental",
            "consolid* .. densit*",
        ],
        kin: &["densit* . increase*"],
        ..BLANK
    },
    Entry {
        labels: &[Label::PulmonaryFibroticSequela],
        seen: &[
            "seque*",
            "fibroatel*",
            "fibro atel*",
            "fibrotic",
            "scar|scars|scarring",
            "pleuroparenchymal|pleuraparenchymal densit*|band*|recession*|retraction*|linear|change*|increase*",
            "parenchymal band*",
        ],
        unless: &[
            "kidney*|renal|rib|ribs|fracture*|vertebra*|spleen|liver|pyelonephritis .. seque*",
            "seque* .. kidney*|renal|rib|ribs|fracture*|vertebra*|spleen|liver",
            "fibrotic distortion",
        ],
        kin: &["fibrosis|fibroses"],
        ..BLANK
    },
    Entry { labels: &[Label::MosaicAttenuationPattern], seen: &["mosaic"], ..BLANK },
    Entry {
        labels: &[Label::Consolidation],
        seen: &["consolid*"],
        unless: &["glass . consolid*"],
        kin: &["glass . consolid*"],
        ..BLANK
    },
];
