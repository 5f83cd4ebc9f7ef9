//! What a bundle asks of the device.

use super::Requires;
use super::manifest::version_of;

/// The device, as far as bundles ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Version of ctedge, `MAJOR.MINOR.PATCH`.
    pub ctedge: String,
    /// Version of ONNX Runtime, `MAJOR.MINOR.PATCH`.
    pub onnxruntime: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// What kind of device it is, in the site's word.
    pub class: String,
}

/// Why a bundle is not for this device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// ctedge is too old or too new.
    #[error("it needs ctedge {needs}, and this is {have}")]
    Ctedge {
        /// What it needs, for people.
        needs: String,
        /// What is here.
        have: String,
    },
    /// ONNX Runtime is too old.
    #[error("it needs ONNX Runtime {needs} or later, and this is {have}")]
    Onnxruntime {
        /// The lowest version.
        needs: String,
        /// What is here.
        have: String,
    },
    /// There is too little memory.
    #[error("it needs {needs_mib} MiB of memory, and this device has {have_mib}")]
    Memory {
        /// What it needs.
        needs_mib: u64,
        /// What is here.
        have_mib: u64,
    },
    /// It is for other kinds of devices.
    #[error("it is for {}, and this device is {have}", needs.join(", "))]
    Class {
        /// Those it is for.
        needs: Vec<String>,
        /// What this one is.
        have: String,
    },
}

impl Unfit {
    /// Stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ctedge { .. } => "needs_ctedge",
            Self::Onnxruntime { .. } => "needs_onnxruntime",
            Self::Memory { .. } => "needs_memory",
            Self::Class { .. } => "other_device_class",
        }
    }
}

impl Requires {
    /// Whether the device is what the bundle asks for.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn met_by(&self, device: &Device) -> Result<(), Unfit> {
        // A version with a suffix, as of a build from source, is not before the one that it is named after.
        let plain = |version: &str| version_of(version.split(['-', '+']).next().unwrap_or_default());
        let is_at_least = |have: &str, needs: &str| plain(have) >= plain(needs);
        if !is_at_least(&device.ctedge, &self.ctedge_min) {
            return Err(Unfit::Ctedge { needs: format!("{} or later", self.ctedge_min), have: device.ctedge.clone() });
        }
        if let Some(below) = self.ctedge_below.as_ref().filter(|below| is_at_least(&device.ctedge, below)) {
            return Err(Unfit::Ctedge { needs: format!("before {below}"), have: device.ctedge.clone() });
        }
        if let Some(needs) = self.onnxruntime_min.as_ref().filter(|needs| !is_at_least(&device.onnxruntime, needs)) {
            return Err(Unfit::Onnxruntime { needs: needs.clone(), have: device.onnxruntime.clone() });
        }
        if device.memory_mib < self.memory_mib {
            return Err(Unfit::Memory { needs_mib: self.memory_mib, have_mib: device.memory_mib });
        }
        if !self.device_class.is_empty() && !self.device_class.contains(&device.class) {
            return Err(Unfit::Class { needs: self.device_class.clone(), have: device.class.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_says_what_is_missing() {
        let requires = Requires {
            ctedge_min: "0.2.0".to_owned(),
            ctedge_below: Some("1.0.0".to_owned()),
            onnxruntime_min: Some("1.20.0".to_owned()),
            memory_mib: 400,
            device_class: vec!["jetson-orin".to_owned(), "x86_64".to_owned()],
        };
        let fit = Device {
            ctedge: "0.10.1".to_owned(),
            onnxruntime: "1.28.0-dev".to_owned(),
            memory_mib: 400,
            class: "x86_64".to_owned(),
        };
        requires.met_by(&fit).unwrap();
        let code = |change: fn(&mut Device)| {
            let mut device = fit.clone();
            change(&mut device);
            requires.met_by(&device).unwrap_err().code()
        };
        assert_eq!(code(|device| device.ctedge = "0.1.9".to_owned()), "needs_ctedge");
        assert_eq!(code(|device| device.ctedge = "1.0.0".to_owned()), "needs_ctedge");
        assert_eq!(code(|device| device.ctedge = "new".to_owned()), "needs_ctedge");
        assert_eq!(code(|device| device.onnxruntime = "1.9.0".to_owned()), "needs_onnxruntime");
        assert_eq!(code(|device| device.memory_mib = 399), "needs_memory");
        assert_eq!(code(|device| device.class = "aarch64".to_owned()), "other_device_class");
    }
}
