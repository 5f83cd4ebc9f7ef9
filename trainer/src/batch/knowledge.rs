//! What is known of reports beforehand, as unit vectors whose cosine says how alike two reports are.

use super::{BatchError, Cohort};
use crate::experiment::KnowledgeSource;
use std::collections::BTreeMap;

/// Report embeddings of a frozen text model, by case; each as long as every other.
pub type ReportVectors = BTreeMap<String, Vec<f32>>;

/// A unit vector for every case of a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Knowledge {
    /// Length of a vector.
    pub width: usize,
    /// Entries that are not zero, by case.
    rows: Vec<Vec<(usize, f32)>>,
}

impl Knowledge {
    /// Knowledge about a cohort's reports.
    ///
    /// `Labels`: 1 for a finding that is there and -1 for one that is not, so that the cosine falls by 1/9 with each of the 18
    /// that differs. `TfIdf`: pieces of words by how often they stand in the report, times the logarithm of how rare they
    /// are in the corpus; it knows no negation. `Embeddings`: those that are given. A case without labels has the zero
    /// vector, which is as alike to every other as chance.
    ///
    /// # Errors
    /// A case has no embedding.
    pub fn new(source: KnowledgeSource, cohort: &Cohort<'_>, given: &ReportVectors) -> Result<Self, BatchError> {
        let rows = match source {
            KnowledgeSource::Labels => {
                cohort.cases().map(|case| signs(case.labels.as_ref().map(<[bool; 18]>::as_slice))).collect()
            }
            KnowledgeSource::TfIdf => tf_idf(cohort),
            KnowledgeSource::Embeddings => embeddings(cohort, given)?,
        };
        let width = rows.iter().flatten().map(|(column, _)| column + 1).max().unwrap_or(1);
        Ok(Self { width, rows: rows.into_iter().map(unit).collect() })
    }

    /// The vectors of some cases, one after the other.
    pub fn rows(&self, places: &[usize]) -> Vec<f32> {
        let mut values = vec![0.0; places.len() * self.width];
        for (row, place) in values.chunks_mut(self.width).zip(places) {
            for (column, value) in self.rows.get(*place).into_iter().flatten() {
                if let Some(entry) = row.get_mut(*column) {
                    *entry = *value;
                }
            }
        }
        values
    }
}

fn signs(labels: Option<&[bool]>) -> Vec<(usize, f32)> {
    let labels = labels.unwrap_or_default().iter().enumerate();
    labels.map(|(column, &flag)| (column, if flag { 1.0 } else { -1.0 })).collect()
}

fn tf_idf(cohort: &Cohort<'_>) -> Vec<Vec<(usize, f32)>> {
    let counted = cohort.reports().iter().map(|report| {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for id in &report.ids {
            *counts.entry(*id).or_default() += 1;
        }
        counts
    });
    let counted: Vec<BTreeMap<u32, u32>> = counted.collect();
    let mut reports_with: BTreeMap<u32, u32> = BTreeMap::new();
    for id in counted.iter().flat_map(BTreeMap::keys) {
        *reports_with.entry(*id).or_default() += 1;
    }
    let all = real(counted.len());
    let weight = |id: &u32, count: u32| {
        let with = f64::from(reports_with.get(id).copied().unwrap_or(1));
        (usize::try_from(*id).unwrap_or(0), narrow(f64::from(count) * (all / with).ln()))
    };
    let row = |counts: &BTreeMap<u32, u32>| counts.iter().map(|(id, count)| weight(id, *count)).collect();
    counted.iter().map(row).collect()
}

fn embeddings(cohort: &Cohort<'_>, given: &ReportVectors) -> Result<Vec<Vec<(usize, f32)>>, BatchError> {
    let row = |case: &super::Case| {
        let vector = given.get(&case.id).ok_or_else(|| BatchError::NoEmbedding { case: case.id.clone() })?;
        Ok(vector.iter().copied().enumerate().collect())
    };
    cohort.cases().map(row).collect()
}

/// Divided by its length; the zero vector stays.
fn unit(row: Vec<(usize, f32)>) -> Vec<(usize, f32)> {
    let length = row.iter().map(|(_, value)| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.into_iter().map(|(column, value)| (column, narrow(f64::from(value) / length))).collect()
    } else {
        Vec::new()
    }
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "vectors are compared in 32 bits")]
fn narrow(value: f64) -> f32 {
    value as f32
}
