//! The objectives that are compared, each as an experiment of its own.

use crate::experiment::{Experiment, ExperimentError, Pairs};
use toml::{Table, Value};

/// A contrastive loss with what its weights know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) pairs: Pairs,
    pub(super) context: Context,
}

/// What the weights of a loss know besides the two embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Neither,
    Spatial,
    Knowledge,
    Both,
}

impl Context {
    const ALL: [Self; 4] = [Self::Neither, Self::Spatial, Self::Knowledge, Self::Both];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Neither => "none",
            Self::Spatial => "spatial",
            Self::Knowledge => "knowledge",
            Self::Both => "both",
        }
    }
}

const LOSSES: [(Pairs, &str); 6] = [
    (Pairs::Clip, "clip"),
    (Pairs::Siglip, "siglip"),
    (Pairs::Cwcl, "cwcl"),
    (Pairs::SwcaPaper, "swca_paper"),
    (Pairs::SwcaSoftTarget, "swca_soft_target"),
    (Pairs::SwcaDiscount, "swca_discount"),
];

/// Knowledge of an experiment that has none of its own.
const KNOWLEDGE: &str = "source = \"labels\"\nalpha = 0.5";

impl Variant {
    /// All of them, from the plainest to the one that knows most. CLIP and `SigLIP` have no weights that could know
    /// anything, so that they stand once.
    pub(super) fn all() -> Vec<Self> {
        let of = |pairs| {
            let contexts: &[Context] =
                if matches!(pairs, Pairs::Clip | Pairs::Siglip) { &[Context::Neither] } else { &Context::ALL };
            contexts.iter().map(move |&context| Self { pairs, context })
        };
        LOSSES.iter().flat_map(|&(pairs, _)| of(pairs)).collect()
    }

    /// Name of its loss, as the experiment file spells it.
    pub(super) fn loss(self) -> &'static str {
        LOSSES.iter().find(|(pairs, _)| *pairs == self.pairs).map_or("", |(_, name)| name)
    }

    /// What it is called on the command line and in paths.
    pub(super) fn name(self) -> String {
        if self.context == Context::Neither {
            self.loss().to_owned()
        } else {
            format!("{}+{}", self.loss(), self.context.name())
        }
    }

    /// The experiment with this objective, seed and budget. It looks once, at its end, and its learning rate falls once:
    /// a restart is placed for the steps of its recipe.
    pub(super) fn of(self, base: &Experiment, seed: u64, steps: usize) -> Result<Experiment, ExperimentError> {
        let broken = |source| ExperimentError::Parse { source };
        let mut file: Table = base.source().parse().map_err(broken)?;
        file.insert("seed".into(), whole(seed));
        if let Some(loss) = file.get_mut("loss").and_then(Value::as_table_mut) {
            loss.insert("pairs".into(), Value::from(self.loss()));
            let [spatial, knowledge] = ["spatial", "knowledge"].map(|key| loss.remove(key));
            if matches!(self.context, Context::Spatial | Context::Both) {
                loss.insert("spatial".into(), spatial.unwrap_or_else(|| Table::new().into()));
            }
            if matches!(self.context, Context::Knowledge | Context::Both) {
                let own = KNOWLEDGE.parse::<Table>().map_err(broken)?;
                loss.insert("knowledge".into(), knowledge.unwrap_or_else(|| own.into()));
            }
        }
        if let Some(training) = file.get_mut("training").and_then(Value::as_table_mut) {
            let steps = u64::try_from(steps).unwrap_or(u64::MAX);
            training.insert("steps".into(), whole(steps));
            training.insert("validate_every".into(), whole(steps));
            training.remove("restart_at");
        }
        Experiment::parse(&file.to_string())
    }
}

/// TOML's integers are signed; a number beyond them is refused when the experiment is read.
fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(-1))
}
