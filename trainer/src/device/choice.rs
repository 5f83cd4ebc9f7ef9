//! Which device computes, and in what precision.

use burn::tensor::{DType, Device};
use clap::ValueEnum;
use std::fmt;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A GPU if this program was built for one and one answers, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU, by libtorch's kernels.
    Libtorch,
    /// The first NVIDIA GPU, by the framework's own kernels, which are compiled when they are first needed.
    Cuda,
    /// The processor by libtorch's kernels: what the GPU would compute, where there is none.
    LibtorchCpu,
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
    /// What was found; never [`Kind::Auto`].
    pub kind: Kind,
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without it.
    #[error("this ctedge-trainer was built without {feature}; trainer/bench/README.md tells how to build it with")]
    NotBuilt {
        /// The feature that brings it.
        feature: &'static str,
    },
    /// No GPU answers.
    #[error("no NVIDIA GPU answers: {why}")]
    NoGpu {
        /// Who has looked, and for what.
        why: &'static str,
    },
    /// The processor has no kernels for it.
    #[error("the processor computes in 32 bits only; leave --precision out, or take another --device")]
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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto | Self::Cpu => "CPU",
            Self::Libtorch => "GPU (libtorch)",
            Self::Cuda => "GPU (burn's kernels)",
            Self::LibtorchCpu => "CPU (libtorch)",
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
        Self { device: cpu(), precision: Precision::F32, kind: Kind::Cpu }
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self.kind, Kind::Libtorch | Kind::Cuda)
    }

    /// A device of this kind; a GPU computes in 16 bits if nothing else is asked for.
    ///
    /// # Errors
    /// It is not there, was not built in, or cannot compute in the precision.
    pub fn new(kind: Kind, precision: Option<Precision>) -> Result<Self, DeviceError> {
        let device = match kind {
            Kind::Auto => {
                let found = [Kind::Libtorch, Kind::Cuda].into_iter().find_map(|gpu| Self::new(gpu, precision).ok());
                return found.map_or_else(|| Self::new(Kind::Cpu, precision), Ok);
            }
            Kind::Cpu if precision == Some(Precision::Bf16) => return Err(DeviceError::Precision),
            Kind::Cpu => return Ok(Self::cpu()),
            Kind::Cuda => cuda()?,
            Kind::Libtorch | Kind::LibtorchCpu => libtorch(kind)?,
        };
        let usual = if kind == Kind::LibtorchCpu { Precision::F32 } else { Precision::Bf16 };
        Ok(Self { device, precision: precision.unwrap_or(usual), kind })
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    let why = "burn needs a driver (libcuda.so.1) with a GPU, and NVRTC (libnvrtc.so) on the library path";
    Device::enumerate(burn::tensor::DeviceType::Cuda).into_iter().next().ok_or(DeviceError::NoGpu { why })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "cuda" })
}

#[cfg(feature = "libtorch")]
fn libtorch(kind: Kind) -> Result<Device, DeviceError> {
    if kind == Kind::LibtorchCpu {
        return Ok(super::torch::processor());
    }
    let why = "libtorch sees none; it needs a driver with a GPU, and LD_PRELOAD=TORCH/lib/libtorch_cuda.so";
    if tch::Cuda::is_available() { Ok(super::torch::gpu()) } else { Err(DeviceError::NoGpu { why }) }
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(_kind: Kind) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "libtorch" })
}
