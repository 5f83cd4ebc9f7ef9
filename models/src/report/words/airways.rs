//! Airways and pleura.

use super::{BLANK, Entry};
use crate::labels::Label;

pub(super) const ENTRIES: [Entry; 5] = [
    Entry {
        labels: &[Label::PleuralEffusion],
        seen: &[
            "pleural|pleura|pleurae|hemithorax|hemithoraces . effusion*|fluid",
            "effusion*|fluid .. pleural|pleura|pleurae|hemithorax|hemithoraces",
            "hydrothorax|hydropneumothorax|hemothorax|haemothorax|empyema",
        ],
        unless: &["pericard* effusion* .. pleura*", "pleura* . thick* . pericard*"],
        denied: &["pleural cavities|spaces free"],
        ..BLANK
    },
    Entry {
        labels: &[Label::PleuralEffusion],
        seen: &["effusion*"],
        unless: &[
            "pericard* .. effusion*",
            "effusion* .. pericard*",
            "effusion* .. perirenal|perinephric|kidney*|spleen|splenic|liver|abdom*|joint*",
            "perirenal|perinephric|kidney*|spleen|splenic|liver|abdom*|joint*|subcapsular .. effusion*",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::PeribronchialThickening],
        seen: &["peribronchial .. thick*|cuff*", "thick*|cuff* .. peribronchial", "bronchi .. cuffed"],
        unless: &["peribronchial .. pleura*|sept* . thick*"],
        kin: &[
            "bronch*|bronchovascular|peribronchovascular .. thick*",
            "thick* .. bronch*|bronchovascular|peribronchovascular",
        ],
        denied: &["bronchi .. thin walls"],
    },
    Entry {
        labels: &[Label::Bronchiectasis],
        seen: &[
            "bronchiect*|bronchoect*|bronchioloect*",
            "bronch* ectas*|ectat*",
            "dilat*|ectas* . . bronch*",
            "bronch* .. dilat*",
        ],
        denied: &["bronchi .. normal width"],
        ..BLANK
    },
    Entry {
        labels: &[Label::InterlobularSeptalThickening],
        seen: &[
            "septal|septa|septum|septae|interseptal|interlobular .. thick*|clarif*",
            "thick*|clarif* .. septal|septa|septum|septae|interlobular",
            "kerley",
        ],
        unless: &["nodul*|cyst* .. septa"],
        ..BLANK
    },
];
