//! `ctedge model`: the models of this device, on the device itself. Each change is a command in the same journal as those that
//! come over the broker.

use super::{complain, say};
use crate::command::{self, Address, Came, Entry, Name, Retained, State, Taken};
use crate::config::Config;
use crate::floor::store::Store;
use crate::floor::{clock, durable};
use crate::update::{Place, Slot, Slots, Standing, Stock, Trial, table};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use ctedge_models::bundle::{self, file_digest};
use ctedge_models::offer::{Mode, Offer, Signed};
use ctedge_models::trust::signature_path;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What to do with the models.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A new model is verified, loaded beside the one that serves, and has to pass its golden test on this device. \
                        Then it counts on probation, between two studies, and gives way by itself to the one before where it \
                        fails. The running daemon does all this; where it does not run it does so at its next start.\n\n\
                        Exit status: 0 when it was done, 1 when it was refused or failed, 2 when it is not known yet."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Shows what is in the two slots
    List(List),
    /// Takes a bundle: NAME-VERSION.ctb with its .minisig beside it, or a folder that holds one
    Install(Install),
    /// Has the model that is staged or in the shadow count
    Activate {
        #[command(flatten)]
        follow: Follow,
    },
    /// Has the model in the other slot count again
    Rollback {
        /// Why; it stands in the command's state
        reason: String,
        #[command(flatten)]
        follow: Follow,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Install {
    /// The bundle, or the folder that it is in
    bundle: PathBuf,
    /// What becomes of it
    #[arg(long, value_enum, default_value_t = Use::Activate)]
    mode: Use,
    /// Permit to go back to an older release (`ctedge-trainer permit`); its .minisig beside it
    #[arg(long, value_name = "FILE")]
    permit: Option<PathBuf>,
    #[command(flatten)]
    follow: Follow,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Use {
    /// It counts from now on, on probation
    Activate,
    /// It reads every series beside the one that counts, and is compared with it
    Shadow,
    /// It is kept
    Stage,
}

#[derive(Debug, clap::Args)]
struct Follow {
    /// Only enters it, and does not wait for what becomes of it
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait
    #[arg(long, default_value_t = 3600, value_name = "N")]
    wait_s: u64,
    /// The last state as one JSON object
    #[arg(long)]
    json: bool,
}

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Exit status when it is not known what became of it.
const UNKNOWN: u8 = 2;
const ISSUER: &str = "ctedge-model";

/// Does it.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List(how) => list(config, how),
        Action::Install(install) => {
            let offer = brought(config, install)?;
            enter(config, (Name::ModelUpdate, &json!(offer)), &install.follow)
        }
        Action::Activate { follow } => enter(config, (Name::ModelActivate, &json!({})), follow),
        Action::Rollback { reason, follow } => {
            enter(config, (Name::ModelRollback, &json!({ "reason": reason })), follow)
        }
    }
}

/// Copies the bundle to where the daemon finds it, and says what it is.
fn brought(config: &Config, install: &Install) -> anyhow::Result<Offer> {
    let bundle = the_bundle(&install.bundle)?;
    let signature = signature_path(&bundle);
    let signature = fs::read_to_string(&signature)
        .with_context(|| format!("no signature: {}; `ctedge-trainer sign` makes it", signature.display()))?;
    let manifest = bundle::manifest_of(&bundle).with_context(|| bundle.display().to_string())?;
    let (bytes, digest) = file_digest(&bundle).with_context(|| bundle.display().to_string())?;
    let name = format!("{digest}.ctb");
    let inbox = Stock::inbox(&config.paths.state);
    durable::make_folder(&inbox).with_context(|| inbox.display().to_string())?;
    let copy = inbox.join(&name);
    drop(fs::remove_file(&copy));
    durable::copy(&bundle, &copy).with_context(|| copy.display().to_string())?;
    let mode = match install.mode {
        Use::Activate => Mode::Activate,
        Use::Shadow => Mode::Shadow,
        Use::Stage => Mode::Stage,
    };
    let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
    let signed =
        |permit: &Path| anyhow::Ok(Signed { document: read(permit)?, signature: read(&signature_path(permit))? });
    Ok(Offer {
        mode,
        name: Some(manifest.name),
        version: Some(manifest.version),
        serial: Some(manifest.serial),
        requires: Some(manifest.requires),
        permit: install.permit.as_deref().map(signed).transpose()?,
        ..Offer::of_file((name, bytes), (digest, signature))
    })
}

/// The bundle that is meant.
fn the_bundle(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "ctb"))
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("{} holds no .ctb file", path.display()),
        several => bail!("{} holds {} bundles: name the one that is meant", path.display(), several.len()),
    }
}

/// Enters a command into the journal, and follows it.
fn enter(config: &Config, (name, params): (Name, &Value), follow: &Follow) -> anyhow::Result<ExitCode> {
    let database = config.paths.database();
    let mut store = Store::open_beside(&database).with_context(|| {
        format!("the ledger of this device, {}; the daemon makes it at its first start", database.display())
    })?;
    let now_ms = clock::now_ms();
    let address = Address { name: name.name().to_owned(), id: durable::random_name().context("a random id")? };
    let payload = command::payload((&address.id, ISSUER), params, now_ms);
    let came = Came { payload: &payload, retained: Retained::No, reply: None };
    let taken = store.commit(|transaction| command::take(transaction, address.clone(), came, &Name::ALL, now_ms))?;
    let (Taken::New(entry, _) | Taken::Again(entry) | Taken::Unkept(entry)) = taken;
    complain(&format!("{} {}: {}", name.name(), address.id, entry.state.name()));
    if follow.no_wait || entry.state.is_final() {
        return Ok(ended(&entry, follow));
    }
    let since = clock::Stopwatch::start();
    let mut last = String::new();
    while since.elapsed() < Duration::from_secs(follow.wait_s) {
        let entry = store.read(|connection| command::find(connection, &address))?;
        let entry = entry.context("the journal does not know the command any more")?;
        if entry.state.is_final() {
            return Ok(ended(&entry, follow));
        }
        let line = describe(&entry);
        if line != last {
            complain(&line);
            last = line;
        }
        std::thread::sleep(LOOK);
    }
    complain("it has not ended; `ctedge model list` shows how the models stand");
    Ok(ExitCode::from(UNKNOWN))
}

fn describe(entry: &Entry) -> String {
    let stage = entry.told.stage.as_deref().unwrap_or(match entry.state {
        State::Accepted => "waiting for the daemon",
        State::Running | State::Succeeded | State::Failed | State::Rejected | State::Expired | State::Cancelled => {
            "begun"
        }
    });
    let share = entry.told.progress.map_or_else(String::new, |share| format!(", {:.0} %", share * 100.0));
    format!("{stage}{share}")
}

/// Says how a command ended.
fn ended(entry: &Entry, follow: &Follow) -> ExitCode {
    let (state, told) = (entry.state.name(), &entry.told);
    if follow.json {
        say(&json!({ "state": state, "reason_code": told.reason_code, "reason_detail": told.reason_detail,
            "result": told.result })
        .to_string());
    } else {
        let text = |key: &str| told.result.as_ref().and_then(|result| result.get(key)).and_then(Value::as_str);
        match (&told.reason_code, text("name")) {
            (Some(code), _) => {
                complain(&format!("{state}, {code}: {}", told.reason_detail.as_deref().unwrap_or_default()));
            }
            (None, Some(name)) => {
                let word = |key| text(key).unwrap_or_default();
                say(&format!("{name} {} is in slot {}: {}", word("version"), word("slot"), word("state")));
            }
            (None, None) => say(state),
        }
    }
    match entry.state {
        State::Succeeded => ExitCode::SUCCESS,
        State::Accepted | State::Running => ExitCode::from(UNKNOWN),
        State::Failed | State::Rejected | State::Expired | State::Cancelled => ExitCode::FAILURE,
    }
}

fn list(config: &Config, how: &List) -> anyhow::Result<ExitCode> {
    let database = config.paths.database();
    ensure!(database.exists(), "there is no ledger at {}: the daemon has not run yet", database.display());
    let store = Store::open_to_read(&database).with_context(|| database.display().to_string())?;
    let (slots, trial) = store.read(|connection| Ok((table::slots(connection)?, table::trial(connection)?)))?;
    if how.json {
        let told = |place: Place| {
            slots.get(place).map(|slot| {
                json!({ "model": slot.bundle, "standing": slot.standing,
            "since": clock::rfc3339(slot.since_ms) })
            })
        };
        say(&json!({ "a": told(Place::A), "b": told(Place::B) }).to_string());
    } else {
        say(&screen(&slots, trial.as_ref()));
    }
    Ok(ExitCode::SUCCESS)
}

fn screen(slots: &Slots, trial: Option<&Trial>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["slot", "model", "version", "state", "since", ""]);
    for place in Place::ALL {
        let Some(Slot { bundle, standing, since_ms }) = slots.get(place) else {
            table.add_row([place.name(), "", "", "empty", "", ""]);
            continue;
        };
        let more = match standing {
            Standing::Failed { code, detail } => format!("{code}: {detail}"),
            Standing::Probation { .. } => trial
                .filter(|trial| trial.digest == bundle.digest)
                .map_or_else(String::new, |trial| format!("{} series read, {} failed", trial.series, trial.faults)),
            Standing::Staged | Standing::Shadow | Standing::Active | Standing::Standby => String::new(),
        };
        let since = clock::rfc3339(*since_ms);
        table.add_row([place.name(), &bundle.name, &bundle.version, standing.name(), &since, &more]);
    }
    table.to_string()
}
