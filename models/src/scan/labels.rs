//! How a series was made, as far as somebody asks: which of given patterns fit the words of its header, and numbers.
//!
//! The words themselves may be anything, a patient's name included. They are compared here and go no further.

use crate::volume::Geometry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use wildmatch::WildMatch;

/// Words in the header of one slice. They do not print themselves.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Labels {
    /// Convolution Kernel (0018,1210), its values between backslashes.
    pub(super) kernel: Option<String>,
    /// Image Type (0008,0008) or Frame Type (0008,9007), likewise.
    pub(super) image_type: Option<String>,
    /// Slice Thickness (0018,0050) in mm.
    pub(super) thickness_mm: Option<f64>,
}

impl std::fmt::Debug for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Labels").field("thickness_mm", &self.thickness_mm).finish_non_exhaustive()
    }
}

/// What is asked. `*` stands for any letters, `?` for one; capitals do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patterns {
    /// Of Convolution Kernel (0018,1210).
    pub kernel: BTreeSet<String>,
    /// Of Image Type (0008,0008); in multi-frame objects Frame Type (0008,9007).
    pub image_type: BTreeSet<String>,
}

/// Which words of a header make a series urgent; written as [`Patterns`] are. The words themselves stay with the reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Urgent {
    /// One fits Requested Procedure Priority (0040,1003).
    pub priority: BTreeSet<String>,
    /// One fits Study Description (0008,1030) or Series Description (0008,103E).
    pub description: BTreeSet<String>,
}

impl Default for Urgent {
    /// The defined terms of PS3.3, C.4.11, for what is not to wait.
    fn default() -> Self {
        Self { priority: ["STAT", "HIGH"].map(str::to_owned).into(), description: BTreeSet::new() }
    }
}

impl Urgent {
    /// Whether a header says so.
    pub(super) fn is_met(&self, priority: Option<&str>, descriptions: [Option<&str>; 2]) -> bool {
        let fits = |patterns: &BTreeSet<String>, word: &str| {
            patterns.iter().any(|pattern| WildMatch::new_case_insensitive(pattern).matches(word.trim()))
        };
        priority.is_some_and(|word| fits(&self.priority, word))
            || descriptions.into_iter().flatten().any(|word| fits(&self.description, word))
    }
}

/// What is answered: patterns and numbers, nothing out of the file itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    /// Those patterns that fit a value of every slice. Without slices that say anything, as in NIfTI, there are none.
    pub fitting: Patterns,
    /// Slice thickness as the header says, the greatest of all slices; without it the step between them, in mm.
    pub thickness_mm: f64,
    /// Extent along the patient in mm.
    pub coverage_mm: f64,
    /// Slices of the volume.
    pub slices: u32,
}

impl Traits {
    /// Of a volume and the labels of its slices.
    pub(super) fn of(labels: &[&Labels], patterns: &Patterns, geometry: &Geometry) -> Self {
        let fitting = |patterns: &BTreeSet<String>, words: fn(&Labels) -> Option<&str>| {
            let fits = |pattern: &&String| {
                let pattern = WildMatch::new_case_insensitive(pattern);
                let one = |words: &str| words.split('\\').any(|word| pattern.matches(word.trim()));
                !labels.is_empty() && labels.iter().all(|labels| words(labels).is_some_and(one))
            };
            patterns.iter().filter(fits).cloned().collect()
        };
        let fitting = Patterns {
            kernel: fitting(&patterns.kernel, |labels| labels.kernel.as_deref()),
            image_type: fitting(&patterns.image_type, |labels| labels.image_type.as_deref()),
        };
        let [.., step_mm] = geometry.spacing_mm();
        let told_mm = labels.iter().filter_map(|labels| labels.thickness_mm).max_by(f64::total_cmp);
        let [.., slices] = geometry.size();
        Self {
            fitting,
            thickness_mm: told_mm.unwrap_or(step_mm),
            coverage_mm: coverage_mm(geometry),
            slices: u32::try_from(slices).unwrap_or(u32::MAX),
        }
    }
}

/// Extent of a volume along the patient in mm.
pub(super) fn coverage_mm(geometry: &Geometry) -> f64 {
    let along_patient = geometry.axes().iter().position(|&(axis, _)| axis == 2).unwrap_or(2);
    let size = geometry.size();
    let voxels = f64::from(size.get(along_patient).and_then(|&side| u32::try_from(side).ok()).unwrap_or(u32::MAX));
    voxels * geometry.spacing_mm().get(along_patient).copied().unwrap_or_default()
}
