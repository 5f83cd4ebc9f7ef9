//! What a frozen tower makes of every case, kept in a file so that it is computed once and not in every epoch.

use half::f16;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How the values of a file are written, little endian; numpy's `fromfile` reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
}

impl Format {
    /// Ending of a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Bytes of a value.
    fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Values as they are written.
    pub fn written<'a>(self, values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
        let values = values.into_iter();
        match self {
            Self::F32 => values.flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
        }
    }
}

/// What a frozen tower makes of each case, one after the other.
#[derive(Debug)]
pub struct Features {
    path: PathBuf,
    file: File,
    values: usize,
    format: Format,
}

/// A file of features could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the tokens in {} cannot be kept or read; free room, or remove the file and they are computed anew", path.display())]
pub struct FeaturesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Features {
    /// Opens a file of `cases` times so many `values`; `None` if there is none of that size.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path, format: Format, [cases, values]: [usize; 2]) -> Result<Option<Self>, FeaturesError> {
        let failed = |source| FeaturesError { path: path.into(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let bytes = file.metadata().map_err(failed)?.len();
        let fits = u64::try_from(cases * values * format.width()).is_ok_and(|expected| bytes == expected);
        Ok(fits.then(|| Self { path: path.into(), file, values, format }))
    }

    /// The tokens of the case at a place of its cohort.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(&self, place: usize) -> Result<Vec<f32>, FeaturesError> {
        let failed = |source| FeaturesError { path: self.path.clone(), source };
        let mut bytes = vec![0; self.values * self.format.width()];
        let start = u64::try_from(place * bytes.len()).map_err(|error| failed(io::Error::other(error)))?;
        self.file.read_exact_at(&mut bytes, start).map_err(failed)?;
        Ok(self.format.read(&bytes))
    }
}

/// Writes a file of features, which has its name only when it is whole.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    format: Format,
}

impl Recorder {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(path: &Path, format: Format) -> Result<Self, FeaturesError> {
        let partial = path.with_extension("partial");
        let file = File::create(&partial).map_err(|source| FeaturesError { path: path.into(), source })?;
        Ok(Self { path: path.into(), partial, file: BufWriter::new(file), format })
    }

    /// Adds the tokens of the next cases.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn add(&mut self, values: &[f32]) -> Result<(), FeaturesError> {
        self.file
            .write_all(&self.format.written(values))
            .map_err(|source| FeaturesError { path: self.path.clone(), source })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<(), FeaturesError> {
        let Self { path, partial, file, .. } = self;
        let written = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.and_then(|()| fs::rename(partial, &path)).map_err(|source| FeaturesError { path, source })
    }
}
