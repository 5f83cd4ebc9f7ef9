//! Which devices are meant.

use super::{Broker, FleetError, Overview, Row, Topics, is_device};
use std::collections::BTreeSet;
use std::fmt;

/// Which devices are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These.
    Named(Vec<String>),
    /// All that say they are of this group (`update.group`).
    Group(String),
    /// All that there are.
    All,
}

impl Choice {
    /// Their names, sorted, each once.
    ///
    /// # Errors
    /// A name is none, the broker does not answer, or there is no such device.
    pub fn devices(&self, broker: &Broker, topics: &Topics) -> Result<Vec<String>, FleetError> {
        if let Self::Named(names) = self {
            if let Some(name) = names.iter().find(|name| !is_device(name)) {
                return Err(FleetError::Device { name: name.clone() });
            }
            return Ok(names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect());
        }
        let rows = Overview::gathered(broker, topics)?.rows();
        let names: Vec<String> = rows.into_iter().filter(|row| self.means(row)).map(|row| row.device).collect();
        if names.is_empty() { Err(FleetError::Nobody { what: self.to_string() }) } else { Ok(names) }
    }

    fn means(&self, row: &Row) -> bool {
        match self {
            Self::Named(names) => names.contains(&row.device),
            Self::Group(group) => row.group.as_ref() == Some(group),
            Self::All => true,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => write!(f, "is called {}", names.join(" or ")),
            Self::Group(group) => write!(f, "says that it is of group {group:?}"),
            Self::All => f.write_str("says what it is"),
        }
    }
}
