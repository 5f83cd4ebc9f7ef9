//! Calcified vessels, and what medicine left behind.

use super::{BLANK, Entry};
use crate::labels::Label;

pub(super) const ENTRIES: [Entry; 4] = [
    Entry {
        labels: &[Label::MedicalMaterial],
        seen: &[
            "catheter*",
            "stent|stents|stented|stenting",
            "pacemaker*|defibrillator*|icd",
            "pace maker",
            "port",
            "suture|sutures|staple|staples",
            "sternotomy",
            "clip|clips",
            "wire|wires",
            "drain|drains",
            "drainage catheter*|tube*",
            "tube|tubes",
            "tracheostomy|tracheotomy",
            "cannula*",
            "nasogastric",
            "prosthe*",
            "valve . replacement",
            "metallic|metal . valve*|density|densities|material*|artifact*|object*|body|fixat*",
            "surgical|operation|operative|operated|suture|implant|medical|osteosynthesis|fixation|fixator . material*|device*",
            "dental|cochlear implant*",
            "screw|screws",
            "electrode*",
            "intubat*",
            "graft|grafts|shunt|coil|coils|picc|tavi|lvad|annuloplasty",
            "vena|caval|ivc . filter",
        ],
        unless: &["graft versus", "left right shunt", "right left shunt"],
        ..BLANK
    },
    Entry {
        labels: &[Label::ArterialWallCalcification],
        seen: &[
            "aort*|arch|supraaortic|subclavian|carotid|brachiocephalic|vascular|arterial .. calci*|athero*|plaque*",
            "calci*|athero*|plaque* .. aort*|arch|supraaortic|subclavian|carotid|brachiocephalic|vascular",
        ],
        unless: &[
            "aort*|mitral valve* .. calci*",
            "calci* .. aort*|mitral valve*",
            "abdominal aort*",
            "calci* .. lymph|node|nodes|nodule*|lap|laps",
            "lymph|node|nodes|nodule*|lap|laps .. calci*",
            "coronary vascular",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::ArterialWallCalcification],
        seen: &["atherosclero*|atheroma*"],
        unless: &[
            "atherosclero*|atheroma* .. coronar*|lad|rca",
            "coronar*|lad|rca .. atherosclero*|atheroma*",
            "abdominal aort* .. atherosclero*|atheroma*",
            "atherosclero*|atheroma* .. abdominal aort*",
        ],
        ..BLANK
    },
    Entry {
        labels: &[Label::CoronaryArteryWallCalcification],
        seen: &["coronar*|lad|lmca|rca .. calci*|athero*|plaque*", "calci*|athero*|plaque* .. coronar*|lad|lmca|rca"],
        ..BLANK
    },
];
