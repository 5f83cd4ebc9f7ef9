//! Prometheus' text format, version 0.0.4. Most numbers have their source elsewhere and are read when somebody asks, so that
//! a page is written anew each time; a registry would be a second place for them.

use std::fmt::{Display, Write};

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How many fell below which bound.
    Histogram,
}

/// A page of metrics, as it grows.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family; what follows belongs to it.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        self.write(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One number with its labels.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// A family of one number without labels.
    pub(crate) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram with its labels.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut below = 0;
        for (bound, count) in Histogram::BOUNDS_S.iter().zip(histogram.counts) {
            below += count;
            self.line("_bucket", &[labels, &[("le", &bound.to_string())]].concat(), below);
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), histogram.count);
        self.line("_sum", labels, histogram.sum_s);
        self.line("_count", labels, histogram.count);
    }

    /// The page.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let braces = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        self.write(&format!("{}{suffix}{braces} {value}\n", self.family));
    }

    fn write(&mut self, text: &str) {
        // Writing to a string cannot fail.
        self.text.write_str(text).ok();
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Durations in seconds, counted by the bound below which they fall.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    counts: [u64; Self::BOUNDS_S.len()],
    count: u64,
    sum_s: f64,
}

impl Histogram {
    /// From a tensor on a GPU to a study that waits for its siblings.
    const BOUNDS_S: [f64; 14] = [0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0];

    /// How many durations were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Their mean in seconds, if there are any.
    pub(crate) fn mean_s(&self) -> Option<f64> {
        let count = u32::try_from(self.count).ok().filter(|count| *count > 0)?;
        Some(self.sum_s / f64::from(count))
    }

    /// Counts a duration of so many milliseconds.
    pub(crate) fn observe_ms(&mut self, ms: u64) {
        let seconds = std::time::Duration::from_millis(ms).as_secs_f64();
        let fits = Self::BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = fits.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_s += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_the_format_wants_it() {
        let mut page = Page::default();
        page.single("a_total", Kind::Counter, "All.", 7);
        page.family("b_info", Kind::Gauge, "Model.");
        page.sample(&[("name", "x\"\\\n"), ("ep", "cpu")], 1);
        let told = String::from_utf8(page.into_bytes()).unwrap();
        assert_eq!(
            told,
            "# HELP a_total All.\n# TYPE a_total counter\na_total 7\n# HELP b_info Model.\n# TYPE b_info gauge\n\
             b_info{name=\"x\\\"\\\\\\n\",ep=\"cpu\"} 1\n"
        );
    }

    #[test]
    fn buckets_hold_everything_below_their_bound() {
        let mut histogram = Histogram::default();
        for ms in [10, 11, 2000, 4_000_000] {
            histogram.observe_ms(ms);
        }
        let mut page = Page::default();
        page.family("d", Kind::Histogram, "D.");
        page.histogram(&[("stage", "read")], &histogram);
        let told = String::from_utf8(page.into_bytes()).unwrap();
        for line in [
            "d_bucket{stage=\"read\",le=\"0.01\"} 1",
            "d_bucket{stage=\"read\",le=\"0.03\"} 2",
            "d_bucket{stage=\"read\",le=\"1\"} 2",
            "d_bucket{stage=\"read\",le=\"2\"} 3",
            "d_bucket{stage=\"read\",le=\"900\"} 3",
            "d_bucket{stage=\"read\",le=\"+Inf\"} 4",
            "d_sum{stage=\"read\"} 4002.021",
            "d_count{stage=\"read\"} 4",
        ] {
            assert!(told.lines().any(|have| have == line), "{line} is missing:\n{told}");
        }
    }
}
