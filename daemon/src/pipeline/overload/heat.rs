//! A device that is too hot pauses between series, before its kernel slows it down or switches it off.

use super::super::House;
use crate::floor::clock::Stopwatch;
use crate::message::{Check, CheckState};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// How far a sensor has to cool down below its trip point where the kernel does not say, in thousandths of a degree.
const COOLED: i32 = 3000;
/// How often a pause looks whether it may end.
const LOOK: Duration = Duration::from_millis(500);

/// Sensors that are above a trip point, by the name of their folder, and what is said of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Heat(Mutex<BTreeMap<String, String>>);

/// How a sensor was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Was {
    Cool,
    Hot,
}

impl Heat {
    /// Looks at all sensors of a folder such as `/sys/class/thermal`.
    pub(super) fn look(&self, folder: &Path) {
        let before = self.hot();
        let zones = fs::read_dir(folder).into_iter().flatten().flatten();
        let hot: BTreeMap<String, String> = zones
            .filter_map(|zone| {
                let name = zone.file_name().to_str().filter(|name| name.starts_with("thermal_zone"))?.to_owned();
                let was = if before.contains_key(&name) { Was::Hot } else { Was::Cool };
                let reason = too_hot(&zone.path(), was)?;
                Some((name, reason))
            })
            .collect();
        match (before.is_empty(), hot.is_empty()) {
            (true, false) => warn!(sensors = ?hot.values(), "the device is too hot; it pauses between series"),
            (false, true) => info!("the device has cooled down"),
            (true, true) | (false, false) => {}
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hot;
    }

    fn hot(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl House {
    /// Pauses where the device is too hot, until it is not, for `thermal.pause_s` at most. Returns the milliseconds of the
    /// pause; `None` when the daemon is told to stop.
    pub(in crate::pipeline) fn cool_down(&self) -> Option<u64> {
        let pause = Duration::from_secs_f64(self.config.thermal.pause_s.clamp(0.0, 3600.0));
        let clock = Stopwatch::start();
        let mut paused_ms = 0;
        while clock.elapsed() < pause && !self.heat.hot().is_empty() {
            if self.wait(LOOK.min(pause)) {
                return None;
            }
            paused_ms = clock.ms();
        }
        Some(paused_ms)
    }

    /// Whether the device is too hot, or slowed down for it.
    pub(in crate::pipeline) fn is_hot(&self) -> bool {
        !self.heat.hot().is_empty()
    }

    /// How it stands with the device's temperatures.
    pub(in crate::pipeline) fn thermal_check(&self) -> Check {
        let hot: Vec<String> = self.heat.hot().into_values().collect();
        let state = if hot.is_empty() { CheckState::Ok } else { CheckState::Degraded };
        let rest = if hot.is_empty() { "" } else { "; the device pauses between series" };
        Check { id: "thermal", state, detail: hot.join("; ") + rest }
    }
}

/// Why a sensor says that the device is too hot, if it does: it is above a trip point from which on the kernel slows the
/// device down (`passive`) or warns of the heat (`hot`), or the kernel is slowing it down for its sake. Fans have trip points
/// of another kind (`active`). Names and units: Documentation/driver-api/thermal/sysfs-api.rst of the kernel.
fn too_hot(zone: &Path, was: Was) -> Option<String> {
    let kind = text(&zone.join("type")).unwrap_or_default();
    // A sensor that sleeps answers with an error.
    let now = number(&zone.join("temp"))?;
    let trips = (0..).map_while(|trip| Some((trip, text(&zone.join(format!("trip_point_{trip}_type")))?)));
    let slowing: Vec<i32> =
        trips.filter(|(_, kind)| kind == "passive" || kind == "hot").map(|(trip, _)| trip).collect();
    let reached = slowing.iter().find_map(|trip| {
        let at = |what: &str| number(&zone.join(format!("trip_point_{trip}_{what}")));
        // One that is not in use is at nought, or far below it.
        let point = at("temp").filter(|point| *point > 0)?;
        let slack = match was {
            Was::Cool => 0,
            Was::Hot => at("hyst").filter(|slack| *slack > 0).unwrap_or(COOLED),
        };
        (now >= point.saturating_sub(slack)).then_some(point)
    });
    if let Some(point) = reached {
        return Some(format!("{kind} is at its trip point of {} °C", point / 1000));
    }
    let mut coolers = (0..).map_while(|number| Some((number, fs::metadata(zone.join(format!("cdev{number}"))).ok()?)));
    let is_slowing = coolers.any(|(cooler, _)| {
        let bound = number(&zone.join(format!("cdev{cooler}_trip_point")));
        let steps = number(&zone.join(format!("cdev{cooler}/cur_state"))).unwrap_or_default();
        bound.is_some_and(|trip| slowing.contains(&trip)) && steps > 0
    });
    is_slowing.then(|| format!("the kernel slows the device down for {kind}"))
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number(path: &Path) -> Option<i32> {
    text(path)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of sensors as the kernel has it, with one sensor.
    fn sensors(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let zone = folder.path().join("thermal_zone0");
        fs::create_dir_all(zone.join("cdev0")).unwrap();
        for (name, text) in files {
            fs::write(zone.join(name), format!("{text}\n")).unwrap();
        }
        folder
    }

    fn said(files: &[(&str, &str)], was: Was) -> Option<String> {
        too_hot(&sensors(files).path().join("thermal_zone0"), was)
    }

    const TRIPS: [(&str, &str); 7] = [
        ("type", "gpu-thermal"),
        ("trip_point_0_type", "active"),
        ("trip_point_0_temp", "51000"),
        ("trip_point_1_type", "passive"),
        ("trip_point_1_temp", "95000"),
        ("trip_point_2_type", "critical"),
        ("trip_point_2_temp", "104000"),
    ];

    #[test]
    fn a_device_is_too_hot_from_its_passive_trip_on_until_it_has_cooled_down() {
        let at = |temp, was| said(&[TRIPS.as_slice(), &[("temp", temp)]].concat(), was);
        assert_eq!(at("94999", Was::Cool), None, "a fan is no reason");
        assert_eq!(at("95000", Was::Cool).unwrap(), "gpu-thermal is at its trip point of 95 °C");
        assert!(at("92500", Was::Hot).is_some() && at("91900", Was::Hot).is_none());
        assert_eq!(said(&TRIPS, Was::Cool), None, "a sensor that sleeps");
        let own = [TRIPS.as_slice(), &[("temp", "92500"), ("trip_point_1_hyst", "1000")]].concat();
        assert_eq!(said(&own, Was::Hot), None, "as far as the kernel says");
        let unused = [("type", "x"), ("temp", "40000"), ("trip_point_0_type", "passive"), ("trip_point_0_temp", "0")];
        assert_eq!(said(&unused, Was::Cool), None);
    }

    #[test]
    fn a_kernel_that_slows_the_device_down_is_heeded() {
        let cooled = |trip, steps| {
            let cooler = [("temp", "80000"), ("cdev0_trip_point", trip), ("cdev0/cur_state", steps)];
            said(&[TRIPS.as_slice(), &cooler].concat(), Was::Cool)
        };
        assert_eq!(cooled("1", "2").unwrap(), "the kernel slows the device down for gpu-thermal");
        assert_eq!(cooled("1", "0"), None);
        assert_eq!(cooled("0", "3"), None, "a fan that turns");
        assert_eq!(cooled("-1", "3"), None, "bound to no trip point");
    }
}
