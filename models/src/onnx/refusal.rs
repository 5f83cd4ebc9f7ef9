//! Why a graph is not loaded.

/// Why a graph is not loaded. `BUNDLE.md` lists the codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no ONNX file, or not a sound one.
    #[error("no sound ONNX file: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// It says how it is trained further, which no device needs.
    #[error("the file holds training information")]
    Training,
    /// It has so many parts that reading it costs more than it is worth.
    #[error("more {what} than {most}")]
    Complex {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        most: u64,
    },
    /// Elements of a tensor lie where the manifest does not name them.
    #[error("external data of tensor {tensor}: {reason}")]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator that is neither ONNX's own nor defined by the model.
    #[error(
        "operator {operator} of domain {domain}: only ONNX's own operators, and functions of the model made of them"
    )]
    Domain {
        /// Whose operator.
        domain: String,
        /// Which.
        operator: String,
    },
    /// A loop or a branch that the manifest does not declare.
    #[error("operator {operator}, which the manifest does not declare (`control_flow`)")]
    ControlFlow {
        /// Which.
        operator: &'static str,
    },
    /// Another operator set or format than the manifest says, or than ONNX Runtime reads.
    #[error("{what} {found}, expected {expected}")]
    Version {
        /// What differs.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Inputs or outputs differ from the manifest.
    #[error("{what} {found}; the manifest says {expected}")]
    Shape {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A tensor that the memory which the manifest asks for cannot hold.
    #[error("{what} needs {bytes} bytes; the manifest asks for {most} bytes of memory (`requires.memory_mib`)")]
    Size {
        /// What is too large.
        what: String,
        /// How many bytes it would take, as far as that can be counted.
        bytes: String,
        /// What the manifest asks for.
        most: u64,
    },
}

/// Codes of all refusals.
pub const CODES: [&str; 9] = [
    "onnx_malformed",
    "onnx_training",
    "onnx_complex",
    "onnx_external_data",
    "onnx_domain",
    "onnx_control_flow",
    "onnx_version",
    "onnx_shape",
    "onnx_size",
];

impl Refusal {
    /// What is wrong, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "onnx_malformed",
            Self::Training => "onnx_training",
            Self::Complex { .. } => "onnx_complex",
            Self::ExternalData { .. } => "onnx_external_data",
            Self::Domain { .. } => "onnx_domain",
            Self::ControlFlow { .. } => "onnx_control_flow",
            Self::Version { .. } => "onnx_version",
            Self::Shape { .. } => "onnx_shape",
            Self::Size { .. } => "onnx_size",
        }
    }

    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }
}

/// Longest name that a refusal repeats, in characters.
const NAME: usize = 80;

/// A name out of a file as a refusal repeats it: quoted, on one line, short.
pub(super) fn quoted(name: &str) -> String {
    let start: String = name.chars().take(NAME).collect();
    let rest = if start.len() < name.len() { "…" } else { "" };
    format!("{start:?}{rest}")
}
