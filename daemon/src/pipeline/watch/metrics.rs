//! The page `/metrics`, and the message `metrics` with the most telling of its numbers. Labels are words of ours, of the model's maker or of the kernel, never of a file that came in.

use super::super::House;
use super::super::vitals::{info, numbers, overdue};
use super::age_s;
use super::device::{self, Process};
use super::tally::Tally;
use crate::floor::disk::Place;
use crate::floor::store::lock;
use crate::message::{Counters, DiskFree, Metrics};
use crate::outbox::{self, Waiting};
use crate::update::{self, table};
use crate::web::{Kind, Page};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl House {
    pub(super) fn metrics(&self) -> Vec<u8> {
        let mut page = Page::default();
        if let Ok((waiting, counters)) = numbers(self) {
            books(&mut page, &counters);
            self.past_and_late(&mut page);
            outbox(&mut page, waiting);
        }
        tally(&mut page, &self.tally.lock().unwrap_or_else(PoisonError::into_inner));
        let is_connected = self.link.lock().unwrap_or_else(PoisonError::into_inner).connected;
        let help = "Whether there is a connection to the broker.";
        page.single("ctedge_mqtt_connected", Kind::Gauge, help, u8::from(is_connected));
        let help = "Answers of the broker to messages of the outbox since the start, by its reason.";
        counts(&mut page, ("ctedge_mqtt_published_total", "reason"), help, &self.board.answers());
        self.model(&mut page);
        self.device(&mut page);
        process(&mut page);
        page.into_bytes()
    }

    /// The numbers of the message; none while the ledger cannot be read.
    pub(in crate::pipeline) fn brief(&self) -> Option<Metrics> {
        let (waiting, counters) = numbers(self).ok()?;
        let free = |place| self.disk.volume(place).map(|volume| volume.fill.free_bytes);
        let zones = device::zones(&self.config.web.thermal);
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Metrics {
            uptime_s: self.up.elapsed().as_secs(),
            pending: counters.total.pending,
            outbox_messages: waiting.messages,
            outbox_oldest_s: waiting.oldest_ms.map(age_s).and_then(|age| u64::try_from(age).ok()).unwrap_or_default(),
            disk_free_bytes: DiskFree {
                incoming: free(Place::Incoming),
                spool: free(Place::Spool),
                state: free(Place::State),
            },
            hottest_celsius: zones.into_iter().map(|zone| zone.celsius).max_by(f64::total_cmp),
            resident_bytes: device::process().resident_bytes,
            ended: tally.total.count(),
            complete_to_result_mean_s: tally.total.mean_s().map(|mean| (mean * 1000.0).round() / 1000.0),
            complete_to_result_last_s: tally.last_total_ms.map(|ms| Duration::from_millis(ms).as_secs_f64()),
        })
    }

    fn past_and_late(&self, page: &mut Page) {
        if let Ok(kept) = lock(&self.store).read(outbox::delivered) {
            let help = "Delivered results that are kept for a replay.";
            page.single("ctedge_results_kept", Kind::Gauge, help, kept);
        }
        if let Ok(late) = overdue(self) {
            let help = "Complete series that have had no outcome for too long.";
            page.single("ctedge_series_overdue", Kind::Gauge, help, late.len());
        }
        let help = "1 while an operator has paused intake, else 0.";
        let paused = u8::from(self.commands.paused().load(Ordering::Relaxed));
        page.single("ctedge_intake_paused", Kind::Gauge, help, paused);
    }

    fn model(&self, page: &mut Page) {
        page.family("ctedge_model_info", Kind::Gauge, "The model that is loaded and where it runs.");
        if let Some(model) = info(self).model {
            let labels = [
                ("name", model.name.as_str()),
                ("version", &model.version),
                ("digest", &model.digest),
                ("ep", &model.provider),
            ];
            page.sample(&labels, 1);
        }
        let kept = lock(&self.store).read(|connection| Ok((table::slots(connection)?, table::agreement(connection)?)));
        if let Ok(Some(took_ms)) = lock(&self.store).read(table::loading_ms) {
            let help = "Time that the last new model or engine took to be loaded, engines built included.";
            let seconds = Duration::from_millis(took_ms.into()).as_secs_f64();
            page.single("ctedge_engine_build_seconds", Kind::Gauge, help, seconds);
        }
        let Ok((slots, agreement)) = kept else { return };
        page.family("ctedge_model_slot", Kind::Gauge, "What is in the slots for models.");
        for place in update::Place::ALL {
            if let Some(slot) = slots.get(place) {
                let labels = [
                    ("slot", place.name()),
                    ("state", slot.standing.name()),
                    ("name", &slot.bundle.name),
                    ("version", &slot.bundle.version),
                ];
                page.sample(&labels, 1);
            }
        }
        let help = "Series on which a model in the shadow and the one that counts disagree, by finding.";
        page.family("ctedge_shadow_disagreement_total", Kind::Counter, help);
        for (label, tally) in agreement.iter().flat_map(|agreement| &agreement.flags) {
            page.sample(&[("flag", label.name())], tally.active_only + tally.candidate_only);
        }
    }

    fn device(&self, page: &mut Page) {
        page.family("ctedge_disk_free_bytes", Kind::Gauge, "Bytes that may still be written.");
        let fills = [Place::Incoming, Place::Spool, Place::State]
            .map(|place| (place.name(), self.disk.volume(place).map(|volume| volume.fill)));
        for (name, fill) in fills {
            if let Some(fill) = fill {
                page.sample(&[("path", name)], fill.free_bytes);
            }
        }
        page.family("ctedge_disk_free_files", Kind::Gauge, "Files that may still be made, where that is bounded.");
        for (name, fill) in fills {
            if let Some(fill) = fill.filter(|fill| fill.total_files > 0) {
                page.sample(&[("path", name)], fill.free_files);
            }
        }
        page.family(
            "ctedge_deleted_series_total",
            Kind::Counter,
            "Series whose kept files were deleted since the start.",
        );
        for ((shelf, why), count) in self.deleted.counts() {
            page.sample(&[("shelf", shelf), ("why", why)], count);
        }
        page.family("ctedge_temperature_celsius", Kind::Gauge, "The kernel's temperature sensors.");
        for zone in device::zones(&self.config.web.thermal) {
            page.sample(&[("zone", &zone.name), ("type", &zone.kind)], zone.celsius);
        }
    }
}

fn books(page: &mut Page, counters: &Counters) {
    let total = &counters.total;
    page.family(
        "ctedge_series_total",
        Kind::Counter,
        "Series that have ended since the daemon was set up, by outcome.",
    );
    for (outcome, count) in [
        ("flagged", total.flagged),
        ("clear", total.clear),
        ("inconclusive", total.inconclusive),
        ("rejected", total.rejected),
        ("failed", total.failed),
    ] {
        page.sample(&[("outcome", outcome)], count);
    }
    let help = "Series received since the daemon was set up: those that have ended and those pending.";
    page.single("ctedge_series_received_total", Kind::Counter, help, total.received);
    page.single("ctedge_series_pending", Kind::Gauge, "Series without an outcome yet.", total.pending);
    page.family("ctedge_results", Kind::Gauge, "Where the results are.");
    let delivery = &counters.delivery;
    for (place, count) in [
        ("queued", delivery.queued),
        ("unreceipted", delivery.unreceipted),
        ("published", delivery.published),
        ("receipted", delivery.receipted),
    ] {
        page.sample(&[("place", place)], count);
    }
    let help = "1 where every series and every result is accounted for, else 0.";
    page.single("ctedge_balanced", Kind::Gauge, help, u8::from(counters.balanced));
}

fn outbox(page: &mut Page, waiting: Waiting) {
    let help = "Messages that the broker has not acknowledged.";
    page.single("ctedge_outbox_messages", Kind::Gauge, help, waiting.messages);
    let help = "Age of the oldest of them; 0 where there is none.";
    page.single("ctedge_outbox_oldest_seconds", Kind::Gauge, help, waiting.oldest_ms.map_or(0, age_s));
}

fn tally(page: &mut Page, tally: &Tally) {
    page.family("ctedge_stage_seconds", Kind::Histogram, "Time of a series in a stage.");
    for (stage, histogram) in &tally.stages {
        page.histogram(&[("stage", stage)], histogram);
    }
    page.family("ctedge_complete_to_result_seconds", Kind::Histogram, "Time from complete series to finished report.");
    page.histogram(&[], &tally.total);
    let help = "Rejected series since the start, by reason.";
    counts(page, ("ctedge_rejected_total", "code"), help, &tally.rejected);
    counts(page, ("ctedge_failed_total", "code"), "Failed series since the start, by reason.", &tally.failed);
    counts(page, ("ctedge_flag_positive_total", "flag"), "Positive flags since the start.", &tally.positive);
    if let Some(at_ms) = tally.last_success_ms() {
        let help = "When a series last got flags.";
        let seconds = Duration::from_millis(u64::try_from(at_ms).unwrap_or_default()).as_secs_f64();
        page.single("ctedge_last_success_timestamp_seconds", Kind::Gauge, help, seconds);
    }
}

/// A counter with one label.
fn counts(page: &mut Page, (name, label): (&'static str, &str), help: &str, counts: &BTreeMap<&'static str, u64>) {
    page.family(name, Kind::Counter, help);
    for (value, count) in counts {
        page.sample(&[(label, value)], count);
    }
}

fn process(page: &mut Page) {
    let Process { resident_bytes, threads, files } = device::process();
    if let Some(bytes) = resident_bytes {
        page.single("process_resident_memory_bytes", Kind::Gauge, "Memory of the supervisor.", bytes);
    }
    if let Some(threads) = threads {
        page.single("process_threads", Kind::Gauge, "Threads of the supervisor.", threads);
    }
    if let Some(files) = files {
        page.single("process_open_fds", Kind::Gauge, "Open files and connections of the supervisor.", files);
    }
}
