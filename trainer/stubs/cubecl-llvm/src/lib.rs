//! Stands in for `cubecl-llvm`, whose build script downloads a prebuilt LLVM.
//!
//! `cubecl-cuda` names the crate whether or not it compiles with it. With its feature `cpp` it writes CUDA C++ and lets the box's
//! NVRTC compile that, so that nothing here is ever asked for a kernel; whoever does ask gets an error that says why. The
//! types are those that `cubecl-cuda` 0.11.3 names, and have to be gone through again with every release of it.

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::BufferIOAttr;
use std::fmt;

/// What LLVM would compile for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Nvptx,
}

/// A compiler that compiles nothing.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it is asked to compile for.
    pub target: LlvmTarget,
}

/// Its options; none has an effect.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Of a processor.
    pub arch: Option<()>,
    /// Of a GPU.
    pub sm_arch: Option<SmArch>,
    /// Of the assembly.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// How arguments are passed.
    pub grid_constants: bool,
    /// For `..Default::default()`.
    pub _rest: (),
}

/// A compiled kernel, of which there is never one.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Assembly.
    pub ptx: Vec<std::ffi::c_char>,
    /// Its function.
    pub entrypoint: String,
    /// What it was made of.
    pub ir: String,
    /// Bytes that blocks share.
    pub shared_memory_size: usize,
    /// Its buffers.
    pub io: Vec<BufferIOAttr>,
}

/// What a compiler makes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlironArtifact {
    /// A kernel for a GPU.
    NvptxCode(NvptxModule),
    /// Something else.
    Unsupported,
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing: this build has no LLVM")
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn buffer_io(_: &Self::Representation) -> Option<Vec<BufferIOAttr>> {
        None
    }

    fn compile(
        &mut self,
        _: KernelDefinition,
        _: &Self::CompilationOptions,
    ) -> Result<Self::Representation, CompilationError> {
        let reason = "this build has no LLVM; cubecl-cuda needs its feature `cpp`, which compiles with NVRTC".into();
        Err(CompilationError::Generic { reason, backtrace: BackTrace::capture() })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// Names of NVIDIA's assembly.
pub mod nvptx {
    /// Its versions.
    pub mod ptx_version {
        use std::fmt;

        /// One of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// None, whatever the driver.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What all targets share.
pub mod shared {
    /// What LLVM's path cannot do.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A kind of GPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// Takes nothing away: NVRTC can do it all.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}
