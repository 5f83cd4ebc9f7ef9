//! Heart, vessels, lymph nodes, oesophagus, and what medicine left behind.

use super::Entry;
use crate::labels::Label;

pub(super) const ENTRIES: [Entry; 7] = [
    Entry {
        labels: &[Label::MedicalMaterial],
        seen: &[
            "catheter*",
            "stent|stents|stented|stenting",
            "pacemaker*",
            "pace maker",
            "icd|defibrillator*",
            "port chamber*|reservoir*",
            "port",
            "suture|sutures",
            "sternotomy",
            "clip|clips",
            "wire|wires",
            "drain|drains",
            "drainage tube*",
            "tube|tubes",
            "tracheostomy|tracheostomi",
            "cannula*",
            "nasogastric",
            "prosthe*",
            "valve . replacement",
            "metallic . valve*|density|densities|material*|artifact*",
            "surgical|operation|operative|suture|implant|medical|osteosynthesis|fixation|fixator material*|device*",
            "implant|implants",
            "pacemaker* lead*",
            "screw|screws",
            "electrode*",
            "intubat*",
            "filter",
            "graft",
        ],
        unless: &["peritone* .. implant*", "tube graph*", "metasta* . implant*", "implant* . metasta*"],
        denied: &[],
    },
    Entry {
        labels: &[Label::ArterialWallCalcification],
        seen: &[
            "aort*|arch|supraaortic|subclavian|carotid|brachiocephalic|vascular|arterial .. calci*|athero*|plaque*",
            "calci*|athero*|plaque* .. aort*|arch|supraaortic|subclavian|carotid|brachiocephalic|vascular",
            "atherosclero*|atheroma*",
        ],
        unless: &[
            "aort* valve* .. calci*",
            "calci* .. aort*|mitral valve*",
            "atherosclero*|atheroma* .. coronar*",
            "coronar* .. atherosclero*|atheroma*",
            "calci* .. lymph|node|nodes|nodule*|lap|laps",
            "lymph|node|nodes|nodule*|lap|laps .. calci*",
        ],
        denied: &[],
    },
    Entry {
        labels: &[Label::Cardiomegaly],
        seen: &[
            "cardiomegaly",
            "heart|cardiac . . enlarged|increased|larger|enlargement",
            "heart|cardiac size|sizes|dimension*|volume|contour* .. increase*|enlarge*|larger|above",
            "increase*|enlarge* . heart|cardiac",
            "enlarge* . . . heart|cardiac",
            "increase* . size*|dimension*|diameter* . . heart",
        ],
        unless: &[],
        denied: &[
            "heart|cardiac .. normal|natural|ordinary",
            "heart .. within . normal",
            "normal . heart size",
            "normal heart",
        ],
    },
    Entry {
        labels: &[Label::PericardialEffusion],
        seen: &[
            "pericard* .. effusion*|fluid",
            "effusion*|fluid .. pericard*",
            "hydropericard*|hemopericard*",
        ],
        unless: &["pericard* recess*"],
        denied: &[],
    },
    Entry {
        labels: &[Label::CoronaryArteryWallCalcification],
        seen: &[
            "coronar*|lad|lmca|rca .. calci*|athero*|plaque*",
            "calci*|athero*|plaque* .. coronar*|lad|lmca|rca",
        ],
        unless: &[],
        denied: &[],
    },
    Entry {
        labels: &[Label::HiatalHernia],
        seen: &["hiatal|hiatus|hiatus|paraesophageal|sliding . hernia*", "hernia* .. hiatal|hiatus"],
        unless: &[],
        denied: &[],
    },
    Entry {
        labels: &[Label::Lymphadenopathy],
        seen: &[
            "lymph node|nodes|nodule|nodules|nod|nods",
            "lymphadenopath*|lymphadenomegal*|adenopath*",
            "lap|laps|lymphadenopathies",
            "enlarged . node|nodes",
        ],
        unless: &["intrapulmonary . lymph . node*|nodul*"],
        denied: &[],
    },
];
