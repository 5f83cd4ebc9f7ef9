//! `publish`, `activate` and `rollback`: what devices in the field run.

use super::broker::{Asking, BrokerArgs};
use super::{Outcome, Progress, Refused};
use crate::fleet::{Delivery, Ended, Line, Order, Parcel, Told, Topics};
use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use ctedge_models::bundle::{self, BUNDLE_BYTES, BundleDigest, Manifest};
use ctedge_models::offer::{self, Offer, SIGNATURE_CHARS, Signed, Source};
use ctedge_models::trust::{self, Permit};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Offer a signed bundle to devices in the field, and serve it to them over their broker.
///
/// Each device fetches it at its own pace, checks it as it checks every bundle, proves it on its own hardware, and says what
/// became of it. A lost connection or a restart on either side costs nothing: what a device has, it keeps. Run the same command
/// again to go on after a timeout.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 when every device has it, 1 when one has refused it, failed, or not answered in time.\n\n\
    Examples:\n  \
    ctedge-trainer publish scale-vlp-tiny-0.5.0.ctb --broker mqtt.site --device ct-1\n  \
    ctedge-trainer publish scale-vlp-tiny-0.5.0.ctb --broker mqtt.site --group pilot --mode shadow --kib-s 256\n  \
    ctedge-trainer publish scale-vlp-tiny-0.5.0.ctb --broker mqtt.site --all --url https://files.site/scale-vlp-tiny-0.5.0.ctb"
)]
pub(super) struct Publish {
    /// The bundle; its signature lies beside it.
    bundle: PathBuf,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    asking: Asking,
    /// What devices do with it once it is checked.
    #[arg(long, value_enum, default_value = "activate")]
    mode: Mode,
    /// Devices fetch it from this address instead (any static server; https).
    #[arg(long, value_name = "URL", value_parser = https, conflicts_with_all = ["kib_s", "chunk_bytes"])]
    url: Option<String>,
    /// What `ctedge-trainer permit` wrote: the device may go down to this bundle.
    #[arg(long, value_name = "FILE", requires = "device")]
    permit: Option<PathBuf>,
    /// Most KiB a second that are sent, to all devices together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    kib_s: Option<u32>,
    /// Bytes of a piece, 1024 to 1048576; devices take what fits their `mqtt.message_bytes` [default: 49152, more for large files]
    #[arg(long, value_name = "N")]
    chunk_bytes: Option<u32>,
    /// Public key (.pub), or a folder of them: the signature is checked here before anything is sent.
    #[arg(long, value_name = "PATH")]
    trust: Option<PathBuf>,
}

/// What a device does with a bundle.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// It counts once it has passed, and the one before comes back if it does badly
    Activate,
    /// It reads what comes beside the one that counts, and says nothing but how they agree
    Shadow,
    /// It waits on the device
    Stage,
}

impl From<Mode> for offer::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Activate => Self::Activate,
            Mode::Shadow => Self::Shadow,
            Mode::Stage => Self::Stage,
        }
    }
}

fn https(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic());
    let is_one = rest.split('/').next().is_some_and(|host| !host.is_empty()) && rest.contains('/') && is_plain;
    if is_one && text.len() <= 1024 { Ok(text.to_owned()) } else { Err("an address https://HOST/PATH".to_owned()) }
}

impl Publish {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        progress.say("reading the bundle");
        let manifest = bundle::manifest_of(&self.bundle)
            .with_context(|| format!("{} is no bundle; `ctedge-trainer pack` makes one", self.bundle.display()))?;
        let signature = self.signature()?;
        let (broker, topics) = (self.broker.broker()?, self.broker.topics()?);
        let (digest, bytes, source, parcel) = if let Some(url) = &self.url {
            let digest = BundleDigest::of(&self.bundle).with_context(|| self.bundle.display().to_string())?;
            let bytes = fs::metadata(&self.bundle).with_context(|| self.bundle.display().to_string())?.len();
            (digest.as_str().to_owned(), bytes, Source::Https(url.clone()), None)
        } else {
            let parcel = Parcel::open(&self.bundle, self.chunk_bytes)?;
            (parcel.digest().to_owned(), parcel.bytes(), parcel.source(), Some(parcel))
        };
        ensure!(bytes <= BUNDLE_BYTES, "{} has {bytes} bytes, more than devices take", self.bundle.display());
        let deadline = jiff::Timestamp::now().checked_add(jiff::SignedDuration::try_from(self.asking.lasting())?)?;
        let offer = Offer {
            digest: digest.clone(),
            bytes,
            signature,
            source,
            mode: self.mode.into(),
            name: Some(manifest.name.clone()),
            version: Some(manifest.version.clone()),
            serial: Some(manifest.serial),
            requires: Some(manifest.requires.clone()),
            permit: self.permit.as_deref().map(|permit| self.permitted(permit, &digest)).transpose()?,
            deadline: Some(deadline.to_string()),
        };
        progress.say("looking for the devices");
        let devices = self.asking.choice().devices(&broker, &topics)?;
        let order = self.asking.order("model_update", json!(offer));
        let mut job = Job::open(&topics, broker, &order, devices)?;
        if let Some(parcel) = parcel {
            job.delivery = job.delivery.with(parcel, self.kib_s);
        }
        job.done(progress, &offered(&manifest, &digest), bytes)
    }

    /// The text of the signature beside the bundle.
    fn signature(&self) -> anyhow::Result<String> {
        let path = trust::signature_path(&self.bundle);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("no signature {}; `ctedge-trainer sign` makes one", path.display()))?;
        ensure!(text.len() <= SIGNATURE_CHARS, "{} is longer than {SIGNATURE_CHARS} bytes", path.display());
        trust::signer(&text).with_context(|| format!("{} is no signature", path.display()))?;
        if let Some(trusted) = &self.trust {
            let keys = trust::TrustedKeys::load(trusted)?;
            keys.verify(&self.bundle, &path).context("devices that trust these keys would refuse it")?;
        }
        Ok(text)
    }

    /// The permit as devices take it.
    fn permitted(&self, path: &Path, digest: &str) -> anyhow::Result<Signed> {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        let (document, signature) = (read(path)?, read(&trust::signature_path(path))?);
        let permit: Permit =
            serde_json::from_str(&document).with_context(|| format!("{} is no permit", path.display()))?;
        ensure!(permit.digest == digest, "{} is for another bundle: {}", path.display(), permit.digest);
        ensure!(
            self.asking.single() == Some(&permit.device),
            "{} is for the device {} alone: give --device {}",
            path.display(),
            permit.device,
            permit.device
        );
        Ok(Signed { document, signature })
    }
}

fn offered(manifest: &Manifest, digest: &str) -> Value {
    json!({ "name": manifest.name, "version": manifest.version, "serial": manifest.serial, "digest": digest })
}

/// Tell devices to let the model that they have staged, or in shadow, count.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer activate --broker mqtt.site --group pilot")]
pub(super) struct Activate {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    asking: Asking,
    /// Only if it is this bundle, by its SHA-256.
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    digest: Option<String>,
}

fn digest(text: &str) -> Result<String, String> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { Ok(text.to_owned()) } else { Err("64 of 0-9 and a-f".to_owned()) }
}

impl Activate {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let params = self.digest.as_ref().map_or_else(|| json!({}), |digest| json!({ "digest": digest }));
        told(progress, &self.broker, &self.asking, &self.asking.order("model_activate", params))
    }
}

/// Tell devices to go back to the model that counted before.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  ctedge-trainer rollback --broker mqtt.site --device ct-1 --reason \"flags everything\""
)]
pub(super) struct Rollback {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    asking: Asking,
    /// Why, in up to 200 characters; it stands in the device's audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Rollback {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let params = self.reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        told(progress, &self.broker, &self.asking, &self.asking.order("model_rollback", params))
    }
}

/// A command without a bundle.
fn told(progress: &Progress, broker: &BrokerArgs, asking: &Asking, order: &Order) -> anyhow::Result<Outcome> {
    let (broker, topics) = (broker.broker()?, broker.topics()?);
    progress.say("looking for the devices");
    let devices = asking.choice().devices(&broker, &topics)?;
    Job::open(&topics, broker, order, devices)?.done(progress, &Value::Null, 0)
}

/// A command on its way, and how it is shown.
struct Job {
    id: String,
    name: &'static str,
    devices: Vec<String>,
    delivery: Delivery,
}

impl Job {
    fn open(
        topics: &Topics,
        broker: crate::fleet::Broker,
        order: &Order,
        devices: Vec<String>,
    ) -> anyhow::Result<Self> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let id = data_encoding::HEXLOWER.encode(&random);
        let line = Line::open(broker, Delivery::filters(topics, order.name, &id))?;
        let delivery = Delivery::new(topics.clone(), line, &id, order, devices.clone())?;
        Ok(Self { id, name: order.name, devices, delivery })
    }

    /// Follows it to its end. `bytes` is the length of what is served.
    fn done(mut self, progress: &Progress, model: &Value, bytes: u64) -> anyhow::Result<Outcome> {
        let bars = Bars::new(progress, &self.devices);
        let ended = self.delivery.run(&mut |device, told| bars.show(device, told, bytes))?.clone();
        bars.clear();
        let all_well = ended.values().all(|told| told.ended() == Some(Ended::Well));
        let devices: BTreeMap<&String, Value> = ended
            .iter()
            .map(|(device, told)| (device, json!({ "heard": told.heard(), "sent_bytes": told.sent_bytes })))
            .collect();
        let json = json!({
            "command": self.name, "id": self.id, "model": model, "devices": devices, "cuts": self.delivery.cuts(),
        });
        let outcome = Outcome { text: table(&ended), json };
        if all_well { Ok(outcome) } else { Err(Refused(outcome).into()) }
    }
}

/// A bar for each device.
struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

const BAR: &str = "{prefix:16} {bar:32} {msg}";
/// Length of a bar.
const WHOLE: u64 = 1000;

impl Bars {
    fn new(progress: &Progress, devices: &[String]) -> Self {
        let all = progress.many();
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_never| ProgressStyle::default_bar());
        let bar = |device: &String| {
            let bar = all.add(ProgressBar::new(WHOLE).with_style(style.clone()).with_prefix(device.clone()));
            bar.set_message("not heard yet");
            (device.clone(), bar)
        };
        let bars = devices.iter().map(bar).collect();
        Self { all, bars }
    }

    fn show(&self, device: &str, told: &Told, bytes: u64) {
        let Some(bar) = self.bars.get(device) else { return };
        let words = [told.state(), told.text("stage"), told.text("reason_code")];
        let sent = if told.sent_bytes > 0 {
            format!("{} of {} KiB sent", told.sent_bytes >> 10, bytes >> 10)
        } else {
            String::new()
        };
        let words: Vec<String> = words.into_iter().chain([sent]).filter(|word| !word.is_empty()).collect();
        bar.set_message(words.join(", "));
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        let share = told.progress().map(|share| (share.clamp(0.0, 1.0) * 1000.0) as u64);
        match told.ended() {
            Some(Ended::Well) => bar.set_position(WHOLE),
            Some(Ended::Badly) => bar.abandon(),
            None => bar.set_position(share.unwrap_or_else(|| bar.position())),
        }
    }

    fn clear(&self) {
        drop(self.all.clear());
    }
}

/// What each device said last.
fn table(ended: &BTreeMap<String, Told>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["device", "state", "slot", "reason", ""]);
    for (device, told) in ended {
        let state = match told.ended() {
            Some(_) => told.state(),
            None if told.heard().is_null() => "no answer".to_owned(),
            None => format!("{} ({}), not ended in time", told.state(), told.text("stage")),
        };
        let of =
            |key: &str| told.result().and_then(|result| result.get(key)).and_then(Value::as_str).unwrap_or_default();
        let slot = [of("slot"), of("state")].join(" ");
        table.add_row([device.clone(), state, slot, told.text("reason_code"), told.text("reason_detail")]);
    }
    table.trim_fmt()
}
