//! Which device computes, and in what precision.

use burn::tensor::{DType, Device};
#[cfg(any(feature = "cuda", feature = "libtorch"))]
use burn::tensor::DeviceType;
use clap::ValueEnum;
use std::fmt;

/// A kind of device that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A GPU if there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU, by the framework's own kernels.
    Cuda,
    /// The first NVIDIA GPU, by libtorch's kernels.
    Torch,
}

/// How many bits the towers' layers compute with. Parameters, optimiser and loss have 32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits with the range of 32 (bfloat16).
    Bf16,
}

/// Where a network computes, and how.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device, without a graph.
    pub device: Device,
    /// The precision of the towers' layers while they learn.
    pub precision: Precision,
    /// What it is called.
    pub name: String,
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without it.
    #[error("this ctedge-trainer was built without {feature}: build it with `cargo build --release -p ctedge-trainer --features {feature}`")]
    NotBuilt {
        /// The feature that brings it.
        feature: &'static str,
    },
    /// No GPU answers.
    #[error("no NVIDIA GPU answers: {missing}")]
    NoGpu {
        /// What is missing.
        missing: &'static str,
    },
    /// The processor has no kernels for it.
    #[error("the processor computes in 32 bits only; leave --precision out, or take a GPU")]
    Precision,
}

impl Precision {
    /// The type of the layers' numbers.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// The processor: runs everywhere, pure Rust.
pub fn cpu() -> Device {
    Device::flex()
}

impl Place {
    /// The processor, in 32 bits.
    pub fn cpu() -> Self {
        Self { device: cpu(), precision: Precision::F32, name: "CPU".into() }
    }

    /// Whether it is not the processor.
    pub fn is_gpu(&self) -> bool {
        self.device != cpu()
    }

    /// A device of this kind; a GPU computes in 16 bits if nothing else is asked for.
    ///
    /// # Errors
    /// It is not there, was not built in, or cannot compute in the precision.
    pub fn new(kind: Kind, precision: Option<Precision>) -> Result<Self, DeviceError> {
        let gpu = |found: (Device, String)| {
            let (device, name) = found;
            Self { device, precision: precision.unwrap_or(Precision::Bf16), name }
        };
        match kind {
            Kind::Cpu if precision == Some(Precision::Bf16) => Err(DeviceError::Precision),
            Kind::Cpu => Ok(Self::cpu()),
            Kind::Cuda => cuda().map(gpu),
            Kind::Torch => torch().map(gpu),
            Kind::Auto => match cuda().or_else(|_| torch()) {
                Ok(found) => Ok(gpu(found)),
                Err(_) => Self::new(Kind::Cpu, precision),
            },
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<(Device, String), DeviceError> {
    let missing = "neither a driver (libcuda.so.1) with a GPU nor NVRTC (libnvrtc.so) may be missing from the library path";
    let device = Device::enumerate(DeviceType::Cuda).into_iter().next().ok_or(DeviceError::NoGpu { missing })?;
    let name = device.identity().map_or_else(|| "CUDA".into(), |identity| format!("{identity:?}"));
    Ok((device, name))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<(Device, String), DeviceError> {
    Err(DeviceError::NotBuilt { feature: "cuda" })
}

#[cfg(feature = "libtorch")]
fn torch() -> Result<(Device, String), DeviceError> {
    if std::env::var_os("TORCH_CPU_HACK").is_some() {
        return Ok((Device::libtorch(), "libtorch on the CPU".into()));
    }
    if !tch::Cuda::is_available() {
        return Err(DeviceError::NoGpu { missing: "libtorch sees none" });
    }
    Ok((Device::libtorch_cuda(0), "CUDA by libtorch".into()))
}

#[cfg(not(feature = "libtorch"))]
fn torch() -> Result<(Device, String), DeviceError> {
    Err(DeviceError::NotBuilt { feature: "libtorch" })
}
