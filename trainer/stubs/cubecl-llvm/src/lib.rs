//! Stand-in for `cubecl-llvm` without LLVM.
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::BufferIOAttr;
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget { #[default] Cpu, Nvptx }
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler { pub target: LlvmTarget }
#[derive(Clone, Debug, Default)]
pub struct PlironOptions { pub arch: Option<()>, pub sm_arch: Option<SmArch>, pub ptx_version: Option<nvptx::ptx_version::PtxVersion>, pub grid_constants: bool, pub _rest: () }
#[derive(Clone, Debug)]
pub struct NvptxModule { pub ptx: Vec<core::ffi::c_char>, pub entrypoint: String, pub ir: String, pub shared_memory_size: usize, pub io: Vec<BufferIOAttr> }
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlironArtifact { NvptxCode(NvptxModule), Unsupported }
impl core::fmt::Display for PlironArtifact { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str("llvm backend not built") } }
impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;
    fn buffer_io(_: &Self::Representation) -> Option<Vec<BufferIOAttr>> { None }
    fn compile(&mut self, _k: KernelDefinition, _o: &Self::CompilationOptions) -> Result<Self::Representation, CompilationError> {
        Err(CompilationError::Generic { reason: "this build has no LLVM backend; enable feature `cpp` of cubecl-cuda (NVRTC)".into(), backtrace: BackTrace::capture() })
    }
    fn extension(&self) -> &'static str { "ll" }
    fn lang_tag(&self) -> &'static str { "llvm" }
}
pub mod nvptx { pub mod ptx_version {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)] pub struct PtxVersion(u32);
    impl PtxVersion { pub fn for_driver(_driver: i32) -> Option<Self> { None } }
    impl core::fmt::Display for PtxVersion { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { write!(f, "ptx{}", self.0) } }
} }
pub mod shared { pub mod lowered_features {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum GpuTarget { Nvptx }
    pub fn restrict_features(_p: &mut cubecl_core::ir::DeviceProperties, _t: GpuTarget) {}
} }
