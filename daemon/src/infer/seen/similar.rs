//! Which reference cases a volume is like, searched in the files of the bundle as they lie on disk.

use ctedge_models::bundle::VerifiedBundle;
use ctedge_models::evidence::{Judged, Reference, References};
use ctedge_models::labels::Label;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};

/// The reference cases of a bundle.
pub(in crate::infer) struct Library {
    references: References<Mmap>,
    neighbours: usize,
}

/// The reference cases that a volume is most like, and how unlike all of them it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Similar {
    /// The nearest reports, the nearest first.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Distance of the nearest volumes, where the bundle says how far is too far.
    pub(crate) novelty: Option<Judged>,
    /// How many cases were searched.
    pub(crate) of: usize,
}

/// A reference case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbour {
    /// Its place in the bundle's list, from 1.
    pub(crate) reference: usize,
    /// Cosine of its report's embedding and the volume's.
    pub(crate) similarity: f32,
    /// Its labels.
    pub(crate) labels: Vec<Label>,
}

impl Library {
    /// Maps the reference cases of a bundle, where it has any, of which a result shall name so many.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub(in crate::infer) fn open(bundle: &VerifiedBundle, neighbours: usize) -> Result<Option<Self>, String> {
        let manifest = bundle.manifest();
        let Some(spec) = &manifest.evidence else { return Ok(None) };
        let path = |file: &str| bundle.path(file).ok_or_else(|| format!("the bundle has no {file}"));
        let mapped = |file: &str| {
            let opened = path(file).and_then(|path| File::open(path).map_err(|error| error.to_string()));
            #[expect(unsafe_code, reason = "mapping a file is unsafe where others may change it")]
            // SAFETY: the file lies in a folder that this device alone writes; its digest was checked when the bundle was opened,
            // and what is unpacked is never written again.
            opened.and_then(|file| unsafe { Mmap::map(&file) }.map_err(|error| error.to_string()))
        };
        let width = manifest.vision.outputs.iter().find(|output| output.name == "embedding");
        let width = width.and_then(|output| output.shape.last()).copied().unwrap_or_default();
        let cases = path(&spec.cases).and_then(|path| fs::read_to_string(path).map_err(|error| error.to_string()))?;
        let references = References::new(spec, width, (mapped(&spec.reports)?, mapped(&spec.volumes)?), &cases);
        Ok(Some(Self { references: references.map_err(|error| error.to_string())?, neighbours }))
    }

    /// The cases that lie nearest to the unit embedding of a volume.
    ///
    /// # Errors
    /// The embedding is none.
    pub(in crate::infer) fn similar(&self, embedding: &[f32]) -> Result<Similar, String> {
        let Self { references, neighbours } = self;
        let found = references.neighbours(embedding, *neighbours).map_err(|error| error.to_string())?;
        let labels = |row: usize| references.case(row).map(|case: &Reference| case.labels.clone()).unwrap_or_default();
        let neighbour = |row: usize, similarity: f32| Neighbour { reference: row + 1, similarity, labels: labels(row) };
        Ok(Similar {
            neighbours: found.iter().map(|one| neighbour(one.row, one.similarity)).collect(),
            novelty: references.novelty(embedding).map_err(|error| error.to_string())?,
            of: references.count(),
        })
    }
}
