//! Lungs, airways and pleura.

use super::Entry;
use crate::labels::Label;

/// Organs of which nodules are spoken that are none of the lung.
pub(super) const ENTRIES: [Entry; 12] = [
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
        seen: &[],
        unless: &[],
        denied: &[
            "lungs|parenchyma . . clear|unremarkable",
            "lungs are|is . normal|clear|unremarkable",
            "parenchyma of both lungs is|are . normal|unremarkable",
            "normal|unremarkable . chest|thorax ct",
            "normal|unremarkable ct . . chest|thorax",
        ],
    },
    Entry {
        labels: &[Label::Emphysema],
        seen: &["emphysem*"],
        unless: &["subcutaneous|cutaneous|skin|mediastinal|muscle*|wall .. emphysem*", "emphysem* .. subcutaneous|skin|muscle*"],
        denied: &[],
    },
    Entry { labels: &[Label::Atelectasis], seen: &["atelect*"], unless: &["fibro|fibrotic atelect*"], denied: &[] },
    Entry {
        labels: &[Label::LungNodule],
        seen: &["nodule|nodules", "nodular lesion*|lesions|densit*|opacit*|formation*"],
        unless: &[
            "thyroid .. nodul*",
            "nodul* .. thyroid|breast|adrenal|liver|spleen",
            "adrenal|surrenal|liver|breast|isthmus|pleural .. nodul*",
            "lymph nodul*",
        ],
        denied: &[],
    },
    Entry {
        labels: &[Label::LungOpacity],
        seen: &["ground . glass*", "groundglass", "opacit*|opacification*", "frosted glass", "crazy paving"],
        unless: &[],
        denied: &[],
    },
    Entry {
        labels: &[Label::PulmonaryFibroticSequela],
        seen: &[
            "seque*",
            "fibroatelect*",
            "fibro atelect*",
            "fibrotic|fibrosis|fibroses",
            "scar|scars|scarring",
        ],
        unless: &["kidney*|renal|rib|ribs|fracture*|vertebra* .. seque*", "seque* .. kidney*|renal|rib|ribs|fracture*|vertebra*"],
        denied: &[],
    },
    Entry {
        labels: &[Label::PleuralEffusion],
        seen: &[
            "pleura* .. effusion*|fluid",
            "effusion*|fluid .. pleura*",
            "hydrothorax|hydropneumothorax|hemothorax|haemothorax|empyema",
            "effusion*",
        ],
        unless: &["pericard* . effusion*", "effusion* . . pericard*"],
        denied: &[],
    },
    Entry {
        labels: &[Label::MosaicAttenuationPattern],
        seen: &["mosaic"],
        unless: &["not mosaic"],
        denied: &["not mosaic"],
    },
    Entry {
        labels: &[Label::PeribronchialThickening],
        seen: &[
            "peribronch*|bronch*|bronchovascular|peribronchovascular .. thick*|cuff*",
            "thick*|cuff* .. peribronch*|bronch*|bronchovascular",
        ],
        unless: &["pleura* . thick*", "sept* . thick*"],
        denied: &["bronchi .. thin walls"],
    },
    Entry { labels: &[Label::Consolidation], seen: &["consolid*"], unless: &[], denied: &[] },
    Entry {
        labels: &[Label::Bronchiectasis],
        seen: &["bronchiect*|bronchoect*", "bronch* ectas*|ectat*", "dilat*|ectas* . . bronch*", "bronch* .. dilat*"],
        unless: &[],
        denied: &["bronchi .. normal width"],
    },
    Entry {
        labels: &[Label::InterlobularSeptalThickening],
        seen: &[
            "septal|septa|septum|septae|interseptal|interlobular .. thick*|clarif*|prominen*",
            "thick*|clarif*|prominen* .. septal|septa|septum|septae|interlobular",
        ],
        unless: &[],
        denied: &[],
    },
];
