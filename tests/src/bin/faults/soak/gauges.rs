//! What is measured during a soak, and whether it grows.

use crate::delivery::Stand;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{arrival, gauge, place};
use std::fs;
use std::path::Path;

/// Names of the measures, in the order of a sample.
const MEASURES: [&str; 7] =
    ["memory_kb", "descriptors", "threads", "ledger_bytes", "spool_bytes", "log_bytes", "results"];
/// The most that a measure may grow over the second half, in percent.
const BAR: f64 = 1.0;
/// The ledger keeps the newest result of each series for good, and its entries of the audit log for a year: the most that it
/// may grow for each, in bytes.
const LEDGER_BAR: f64 = 2048.0;

/// Samples over time.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Hours since the start, and the measures.
    samples: Vec<(f64, [f64; MEASURES.len()])>,
    log: u64,
}

impl Gauges {
    /// One sample of the supervisor, the ledger and its log, the spool without what was refused (an operator's to empty), and
    /// how much was logged since the last sample.
    pub(super) fn look(&mut self, hours: f64, stand: &Stand) -> anyhow::Result<()> {
        let appliance = &stand.scene.appliance;
        let pid = appliance.pid()?;
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
        let ledger: u64 =
            ["ctedge.db", "ctedge.db-wal"].iter().map(|name| bytes(&appliance.path("state").join(name))).sum();
        let folders = ["claimed", "unpacking", "series", "work", "done"].map(|name| appliance.path("spool").join(name));
        // Files move while we look.
        let files = folders.iter().flat_map(|folder| arrival::all_files(folder).unwrap_or_default());
        let spool: u64 = files.map(|file| bytes(&file)).sum();
        let log = bytes(&appliance.path("log"));
        let logged = log.saturating_sub(std::mem::replace(&mut self.log, log));
        let sample = [
            gauge::resident_kb(pid),
            number(count("fd")),
            number(count("task")),
            ledger,
            spool,
            logged,
            highest(stand),
        ];
        self.samples.push((hours, sample.map(exact)));
        Ok(())
    }

    /// Prints the table and writes the samples as a table and a picture. Returns whether nothing grows from a time on: of
    /// each measure's line of least squares, the rise over that time less twice its standard error is no more than [`BAR`]
    /// percent of the mean, or for the ledger no more than [`LEDGER_BAR`] for each result.
    pub(super) fn tell(&self, from_hours: f64, clock: &Elapsed) -> anyhow::Result<bool> {
        let folder = place::target().join("soak");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("soak.csv"), self.table())?;
        fs::write(folder.join("soak.svg"), self.picture())?;
        clock.say(&format!("{} samples in {}", self.samples.len(), folder.display()));
        say("measure            first      last      mean   growth over the second half");
        let late: Vec<_> = self.samples.iter().filter(|(hours, _)| *hours >= from_hours).collect();
        let mut flat = late.len() > 3;
        let points = |place: usize| -> Vec<(f64, f64)> {
            late.iter().filter_map(|(hours, sample)| Some((*hours, *sample.get(place)?))).collect()
        };
        let results = Line::through(&points(MEASURES.len() - 1)).rise;
        for (place, name) in MEASURES.iter().enumerate() {
            let points = points(place);
            let line = Line::through(&points);
            let end = |point: Option<&(f64, f64)>| point.map_or(0.0, |(_, value)| *value);
            let (holds, growth) = match *name {
                "ledger_bytes" => line.each(results),
                "results" => (results > 0.0, "are to grow".to_owned()),
                _ => line.percent(),
            };
            flat &= holds;
            let (first, last, mean) = (end(points.first()), end(points.last()), line.mean);
            let word = if holds { "" } else { " GROWS" };
            say(&format!("{name:<14} {first:>10.0} {last:>9.0} {mean:>9.0}   {growth}{word}"));
        }
        Ok(flat)
    }

    fn table(&self) -> String {
        let line = |(hours, sample): &(f64, [f64; MEASURES.len()])| {
            let values: Vec<String> = sample.iter().map(|value| format!("{value:.0}")).collect();
            format!("{hours:.3},{}\n", values.join(","))
        };
        let lines: String = self.samples.iter().map(line).collect();
        format!("hours,{}\n{lines}", MEASURES.join(","))
    }

    /// Each measure as a share of its largest sample, one below the other.
    fn picture(&self) -> String {
        let end = self.samples.last().map_or(1.0, |(hours, _)| *hours);
        let graph = |(place, name): (usize, &&str)| {
            let base = 100.0 * exact(number(place)) + 95.0;
            let value = |sample: &[f64; MEASURES.len()]| sample.get(place).copied().unwrap_or_default();
            let most = self.samples.iter().map(|(_, sample)| value(sample)).fold(1.0, f64::max);
            let point = |(hours, sample): &(f64, [f64; MEASURES.len()])| {
                format!("{:.1},{:.1}", 20.0 + 800.0 * hours / end, base - 75.0 * value(sample) / most)
            };
            let points: Vec<String> = self.samples.iter().map(point).collect();
            let (above, points) = (base - 80.0, points.join(" "));
            format!(
                "<text x=\"20\" y=\"{above:.0}\">{name}, at most {most:.0}</text>\n<polyline fill=\"none\" stroke=\"black\" points=\"{points}\"/>\n"
            )
        };
        let graphs: String = MEASURES.iter().enumerate().map(graph).collect();
        let head = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 720\" font-family=\"sans-serif\" font-size=\"12\">";
        format!("{head}\n{graphs}</svg>\n")
    }
}

/// A line of least squares.
struct Line {
    mean: f64,
    /// How far it rises from the first point to the last.
    rise: f64,
    /// Standard error of that, as if the points did not depend on each other.
    error: f64,
}

impl Line {
    fn through(points: &[(f64, f64)]) -> Self {
        let count = exact(number(points.len())).max(1.0);
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (middle, mean_value) = (mean(&|point| point.0), mean(&|point| point.1));
        let spread = mean(&|point| (point.0 - middle).powi(2));
        let together = mean(&|point| (point.0 - middle) * (point.1 - mean_value));
        let slope = if spread > 0.0 { together / spread } else { 0.0 };
        let beside = mean(&|point| (point.1 - mean_value - slope * (point.0 - middle)).powi(2));
        let error = if spread > 0.0 { (beside / spread / (count - 2.0).max(1.0)).sqrt() } else { 0.0 };
        let span = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        Self { mean: mean_value, rise: slope * span, error: error * span }
    }

    /// Whether it rises by no more than the bar, and by how much, in percent of the mean.
    fn percent(&self) -> (bool, String) {
        let percent = |value: f64| if self.mean > 0.0 { 100.0 * value / self.mean } else { 0.0 };
        let (rise, error) = (percent(self.rise), 2.0 * percent(self.error));
        (rise - error <= BAR, format!("{rise:+.2} ± {error:.2} % (bar {BAR} %)"))
    }

    /// The same in bytes for each of so many results.
    fn each(&self, results: f64) -> (bool, String) {
        let each = self.rise / results.max(1.0);
        (each <= LEDGER_BAR, format!("{each:+.0} bytes a result (bar {LEDGER_BAR})"))
    }
}

/// The number of the newest result.
fn highest(stand: &Stand) -> u64 {
    stand.told().last().copied().unwrap_or_default()
}

fn bytes(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A count as a number with a fraction; counts here are far below 2^53.
fn exact(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_rise_of_the_line_beside_the_mean() {
        let flat: Vec<_> = (0..10).map(|hour| (f64::from(hour), 5.0)).collect();
        assert!(Line::through(&flat).percent().0);
        let rising: Vec<_> = (0..11).map(|hour| (f64::from(hour), 100.0 + f64::from(hour))).collect();
        let line = Line::through(&rising);
        assert!((line.mean - 105.0).abs() < 1e-9 && (line.rise - 10.0).abs() < 1e-9 && line.error < 1e-9);
        assert_eq!(line.percent(), (false, "+9.52 ± 0.00 % (bar 1 %)".to_owned()));
        assert_eq!(line.each(2.0), (true, "+5 bytes a result (bar 2048)".to_owned()));
        let noisy: Vec<_> = (0..10).map(|hour| (f64::from(hour), f64::from(10 + 8 * (hour % 2)))).collect();
        assert!(Line::through(&noisy).percent().0, "noise is no growth");
    }
}
