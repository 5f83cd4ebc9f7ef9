//! The run's diary: one table of steps and one of looks at the validation patients, as CSV that any tool reads.

use super::RunError;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One line a step: `step,loss,pairs,flags,shared_flags,located,learning_rate,gradient_norm,scale,bias,waited_s,seconds`.
pub const STEPS_FILE: &str = "steps.csv";
/// One line a look: `step,score,` and the numbers of the evaluation.
pub const LOOKS_FILE: &str = "looks.csv";

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRecord {
    /// Steps that were taken, this one included.
    pub step: usize,
    /// What is minimised.
    pub loss: f64,
    /// Its contrastive part.
    pub pairs: f64,
    /// The flags' part, not yet weighted.
    pub flags: f64,
    /// That of the flags that are read from the shared embedding, not yet weighted.
    pub shared_flags: f64,
    /// That of where the findings are, not yet weighted.
    pub located: f64,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// Length of the gradient over all parameters, before it was bounded.
    pub gradient_norm: f64,
    /// Learned factor on cosines, as the loss had it.
    pub scale: f64,
    /// Learned bias, likewise.
    pub bias: f64,
    /// Time that the device stood still until the step's batch was there.
    pub waited_s: f64,
    /// Time that it then took; with the wait all that differs between two runs of one experiment.
    pub seconds: f64,
}

/// A line of the table of steps.
pub(super) trait Recorded {
    /// Names of its columns, `step` first and the two times last.
    const HEAD: &'static str;

    /// Steps that were taken, this one included.
    fn step(&self) -> usize;

    /// What was computed: the same in every run of one experiment.
    fn numbers(&self) -> Vec<f64>;

    /// What the step has waited and taken, in s.
    fn times(&self) -> [f64; 2];
}

impl Recorded for StepRecord {
    const HEAD: &'static str =
        "step,loss,pairs,flags,shared_flags,located,learning_rate,gradient_norm,scale,bias,waited_s,seconds";

    fn step(&self) -> usize {
        self.step
    }

    fn numbers(&self) -> Vec<f64> {
        let &Self { loss, pairs, flags, shared_flags, located, learning_rate, gradient_norm, scale, bias, .. } = self;
        vec![loss, pairs, flags, shared_flags, located, learning_rate, gradient_norm, scale, bias]
    }

    fn times(&self) -> [f64; 2] {
        [self.waited_s, self.seconds]
    }
}

/// A look at the validation patients.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What decides which weights are the best: higher is better.
    pub score: f64,
    /// Everything that was measured, by name.
    pub numbers: BTreeMap<&'static str, f64>,
}

/// The two tables, open for more.
#[derive(Debug)]
pub(super) struct Log {
    steps: Table,
    looks: Table,
}

#[derive(Debug)]
struct Table {
    path: PathBuf,
    file: File,
    is_empty: bool,
}

impl Log {
    /// Opens the tables of a run folder and forgets what they say of steps after `step`, which will be taken again.
    pub(super) fn open(folder: &Path, step: usize) -> Result<Self, RunError> {
        let table = |name| Table::open(folder.join(name), step);
        Ok(Self { steps: table(STEPS_FILE)?, looks: table(LOOKS_FILE)? })
    }

    /// Writes down a step.
    pub(super) fn step<R: Recorded>(&mut self, record: &R) -> Result<(), RunError> {
        let numbers: Vec<String> = record.numbers().iter().map(ToString::to_string).collect();
        let [waited_s, seconds] = record.times();
        let line = format!("{},{},{waited_s:.3},{seconds:.3}", record.step(), numbers.join(","));
        self.steps.line(R::HEAD, &line)
    }

    /// Writes down a look after `step` steps.
    pub(super) fn look(&mut self, step: usize, look: &Look) -> Result<(), RunError> {
        let head: Vec<&str> = ["step", "score"].into_iter().chain(look.numbers.keys().copied()).collect();
        let numbers = look.numbers.values().map(ToString::to_string);
        let line: Vec<String> = [step.to_string(), look.score.to_string()].into_iter().chain(numbers).collect();
        self.looks.line(&head.join(","), &line.join(","))
    }
}

impl Table {
    fn open(path: PathBuf, step: usize) -> Result<Self, RunError> {
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(RunError::Open { path, source }),
        };
        let is_past = |line: &&str| {
            line.split(',').next().and_then(|first| first.parse::<usize>().ok()).is_none_or(|taken| taken <= step)
        };
        // A line without its end was being written when the program was killed.
        let whole = old.rfind('\n').map_or("", |end| old.get(..=end).unwrap_or_default());
        let kept: String = whole.lines().filter(is_past).flat_map(|line| [line, "\n"]).collect();
        super::write(&path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|source| RunError::Open { path: path.clone(), source })?;
        Ok(Self { path, file, is_empty: kept.is_empty() })
    }

    fn line(&mut self, head: &str, line: &str) -> Result<(), RunError> {
        let head = if self.is_empty { format!("{head}\n") } else { String::new() };
        self.is_empty = false;
        let written = self.file.write_all(format!("{head}{line}\n").as_bytes());
        written.map_err(|source| RunError::Write { path: self.path.clone(), source })
    }
}
