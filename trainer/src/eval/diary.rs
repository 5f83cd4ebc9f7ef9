//! What a run wrote down while it was trained, for the page.

use super::EvalError;
use crate::run::{LOOKS_FILE, STEPS_FILE};
use std::collections::BTreeMap;
use std::path::Path;

/// The run's tables of steps and looks, column by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diary {
    /// Of every step.
    pub(super) steps: Columns,
    /// Of every look at the validation patients.
    pub(super) looks: Columns,
}

/// Numbers by the name of their column.
pub(super) type Columns = BTreeMap<String, Vec<f64>>;

impl Diary {
    /// Reads the tables of a run folder; those of an untrained run are not there, and empty.
    ///
    /// # Errors
    /// A table cannot be read, or holds something else than numbers.
    pub fn read(run: &Path) -> Result<Self, EvalError> {
        Ok(Self { steps: table(&run.join(STEPS_FILE))?, looks: table(&run.join(LOOKS_FILE))? })
    }

    /// What was seen after so many steps, by name, if there was a look then.
    pub fn look(&self, step: usize) -> Option<BTreeMap<&str, f64>> {
        // Whole numbers, written down and read back.
        let is_it = |at: &f64| u32::try_from(step).is_ok_and(|step| (*at - f64::from(step)).abs() < 0.5);
        let row = self.looks.get("step")?.iter().position(is_it)?;
        Some(self.looks.iter().filter_map(|(name, column)| Some((name.as_str(), *column.get(row)?))).collect())
    }
}

fn table(path: &Path) -> Result<Columns, EvalError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Columns::new()),
        Err(source) => return Err(EvalError::Open { path: path.into(), source }),
    };
    let mut lines = (1..).zip(text.lines());
    let names: Vec<&str> = lines.next().map(|(_, head)| head.split(',').collect()).unwrap_or_default();
    let mut columns: Columns = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for (line, row) in lines {
        let wrong = || EvalError::Table { path: path.into(), line };
        let numbers: Result<Vec<f64>, _> = row.split(',').map(str::parse).collect();
        let numbers = numbers.ok().filter(|numbers| numbers.len() == names.len()).ok_or_else(wrong)?;
        for (name, number) in names.iter().zip(numbers) {
            if let Some(column) = columns.get_mut(*name) {
                column.push(number);
            }
        }
    }
    Ok(columns)
}
