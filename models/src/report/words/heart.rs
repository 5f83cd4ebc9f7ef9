//! Heart, oesophagus, lymph nodes.

use super::{BLANK, Entry};
use crate::labels::Label;

pub(super) const ENTRIES: [Entry; 5] = [
    Entry {
        labels: &[Label::Cardiomegaly],
        seen: &[
            "cardiomegaly",
            "heart|cardiac . larger|wider|greater . than normal",
            "heart|cardiac . enlarged|increased|larger|enlargement",
            "heart|cardiac size|sizes|dimension*|volume|diameter* .. increase*|enlarge*|larger|above",
            "increase* . heart|cardiac size*|dimension*|diameter*|volume",
            "heart .. measure* .. enlarged|increased",
            "heart|cardiac . large|big|enlargement",
            "enlarge* . . heart|cardiac",
            "increase* . size*|dimension*|diameter* . . heart",
            "ctr|cardiothoracic . . increase*",
            "increase* .. ctr|cardiothoracic",
        ],
        denied: &[
            "heart|cardiac .. normal|natural|ordinary",
            "normal . heart size",
            "normal heart",
            "ctr|cardiothoracic .. normal|natural",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::PericardialEffusion],
        seen: &[
            "pericardial|pericardium .. effusion*|fluid",
            "effusion*|fluid .. pericardial|pericardium",
            "hydropericardium|hemopericardium|haemopericardium",
        ],
        unless: &["pleural effusion*|fluid .. pericard*", "pericard* effusion no thick*"],
        denied: &["pericard* effusion no thick*"],
        ..BLANK
    },
    Entry {
        labels: &[Label::HiatalHernia],
        seen: &["hiatal|hiatus|paraesophageal|paraoesophageal|sliding . hernia*", "hernia* .. hiatal|hiatus"],
        ..BLANK
    },
    Entry {
        labels: &[Label::Lymphadenopathy],
        seen: &[
            "lymph node|nodes|nodule|nodules|nod|nods",
            "lymphadenopath*|lymphadenomegal*|adenopath*",
            "lap|laps",
            "enlarged . node|nodes",
        ],
        unless: &[
            "intrapulmonary|subpleural|fissure|fissural .. lymph",
            "lymph node station*",
            "lymph node|nodes .. are|is|were|was not . enlarged",
            "lymph node|nodes .. are|is|were|was . normal|unremarkable",
            "mesenteric|mesentery|inguinal|abdominal|intraabdominal|paraaortic|colon lymph",
            "lymph node|nodes .. mesenteric|mesentery|meso|inguinal|fissure",
        ],
        denied: &[
            "lymph node|nodes .. are|is|were|was not . enlarged",
            "lymph node|nodes .. are|is|were|was . normal|unremarkable",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::Cardiomegaly, Label::PericardialEffusion, Label::HiatalHernia, Label::Lymphadenopathy],
        denied: &["normal|unremarkable . chest|thorax ct", "normal|unremarkable ct|examination . . chest|thorax"],
        ..BLANK
    },
];
