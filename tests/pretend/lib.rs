//! An ONNX Runtime that pretends to have TensorRT and CUDA: for tests of what is done about engines, on machines without a GPU.
//!
//! It is the real library, which lies beside it as `real.so`, with a few of its functions replaced: the two providers can be
//! asked for, everything is computed on the processor, and the assignment says what was asked for. An engine is a file; to build one
//! takes as many milliseconds as the file `build_ms` beside the library says, and fails where that says something else. What it is
//! built for stands in it, and like TensorRT it takes any engine that has the right name. A run of a process that was asked for a GPU
//! takes as many MiB as the file `hungry_mib` says, where there is one, after as many runs as its second number says.
#![expect(unsafe_code, reason = "stands in for a library with a C interface")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's library that cannot go on stops")]

use ort::sys::{
    OrtAllocatorType, OrtApi, OrtApiBase, OrtCUDAProviderOptionsV2, OrtEpAssignedSubgraph, OrtErrorCode, OrtMemType,
    OrtMemoryInfo, OrtRunOptions, OrtSession, OrtSessionOptions, OrtStatusPtr, OrtTensorRTProviderOptionsV2, OrtValue,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// What the newest session was asked to run on.
static ASKED: AtomicU8 = AtomicU8::new(PROCESSOR);
const PROCESSOR: u8 = 0;
const CUDA: u8 = 1;
const TENSORRT: u8 = 2;

/// Runs of this process.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Whether this process was ever asked for a GPU.
static HAS_GPU: AtomicBool = AtomicBool::new(false);

/// What the newest options of TensorRT say.
static OPTIONS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

type Entry = unsafe extern "C" fn() -> *const OrtApiBase;

/// The real library, and the folder of this one.
struct Real {
    base: &'static OrtApiBase,
    folder: PathBuf,
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let folder = own_folder();
    // SAFETY: the library is ONNX Runtime, and its entry point is what its header says; it is never unloaded.
    let base = unsafe {
        let library = Box::leak(Box::new(libloading::Library::new(folder.join("real.so")).unwrap()));
        &*(library.get::<Entry>(b"OrtGetApiBase").unwrap())()
    };
    Real { base, folder }
});

/// Where this library was loaded from.
fn own_folder() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let own = maps.lines().find_map(|line| line.split_ascii_whitespace().last()?.strip_suffix("/libpretend.so"));
    Path::new(own.unwrap()).to_owned()
}

static BASE: OrtApiBase = OrtApiBase { GetApi: get_api, GetVersionString: version };

/// The only function of ONNX Runtime that is looked for by its name.
#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> *const OrtApiBase {
    &raw const BASE
}

unsafe extern "system" fn version() -> *const c_char {
    // SAFETY: the real library's own function.
    unsafe { (REAL.base.GetVersionString)() }
}

unsafe extern "system" fn get_api(version: u32) -> *const OrtApi {
    // SAFETY: the real library's own function; its table is never changed, and lives as long as the process.
    let Some(real) = (unsafe { (REAL.base.GetApi)(version).as_ref() }) else { return ptr::null() };
    Box::leak(Box::new(OrtApi {
        CreateSessionOptions: create_options,
        CreateMemoryInfo: create_memory,
        Run: run,
        CreateTensorRTProviderOptions: create_tensorrt,
        UpdateTensorRTProviderOptions: update_tensorrt,
        ReleaseTensorRTProviderOptions: release_tensorrt,
        SessionOptionsAppendExecutionProvider_TensorRT_V2: append_tensorrt,
        CreateCUDAProviderOptions: create_cuda,
        UpdateCUDAProviderOptions: update_cuda,
        ReleaseCUDAProviderOptions: release_cuda,
        SessionOptionsAppendExecutionProvider_CUDA_V2: append_cuda,
        EpAssignedSubgraph_GetEpName: name_of_provider,
        GetAvailableProviders: providers,
        ReleaseAvailableProviders: release_providers,
        ..real.clone()
    }))
}

fn real() -> &'static OrtApi {
    // SAFETY: as in `get_api`; whoever calls one of our functions has asked for this version, or an older one.
    unsafe { &*(REAL.base.GetApi)(ort::sys::ORT_API_VERSION) }
}

const FINE: OrtStatusPtr = OrtStatusPtr(ptr::null_mut());

fn refused(reason: &str) -> OrtStatusPtr {
    let reason = CString::new(reason).unwrap();
    // SAFETY: the text is copied.
    unsafe { (real().CreateStatus)(OrtErrorCode::ORT_FAIL, reason.as_ptr()) }
}

/// What it says that it was built with.
struct Names([*mut c_char; 3]);

// SAFETY: the names are constants.
unsafe impl Sync for Names {}

static NAMES: Names = Names([
    c"TensorrtExecutionProvider".as_ptr().cast_mut(),
    c"CUDAExecutionProvider".as_ptr().cast_mut(),
    c"CPUExecutionProvider".as_ptr().cast_mut(),
]);

unsafe extern "system" fn providers(names: *mut *mut *mut c_char, count: *mut c_int) -> OrtStatusPtr {
    // SAFETY: the caller's own variables; who reads the names does not change them.
    unsafe {
        names.write(NAMES.0.as_ptr().cast_mut());
        count.write(3);
    }
    FINE
}

unsafe extern "system" fn release_providers(_names: *mut *mut c_char, _count: c_int) -> OrtStatusPtr {
    FINE
}

unsafe extern "system" fn create_options(options: *mut *mut OrtSessionOptions) -> OrtStatusPtr {
    ASKED.store(PROCESSOR, Ordering::SeqCst);
    // SAFETY: handed on.
    unsafe { (real().CreateSessionOptions)(options) }
}

/// A GPU's memory is the processor's.
unsafe extern "system" fn create_memory(
    name: *const c_char,
    allocator: OrtAllocatorType,
    id: c_int,
    kind: OrtMemType,
    out: *mut *mut OrtMemoryInfo,
) -> OrtStatusPtr {
    // SAFETY: a name of ours or the caller's, which is a C string.
    unsafe {
        let name = if CStr::from_ptr(name) == c"Cuda" { c"Cpu".as_ptr() } else { name };
        (real().CreateMemoryInfo)(name, allocator, id, kind, out)
    }
}

unsafe extern "system" fn run(
    session: *mut OrtSession,
    options: *const OrtRunOptions,
    input_names: *const *const c_char,
    inputs: *const *const OrtValue,
    input_count: usize,
    output_names: *const *const c_char,
    output_count: usize,
    outputs: *mut *mut OrtValue,
) -> OrtStatusPtr {
    let earlier = RUNS.fetch_add(1, Ordering::SeqCst);
    let hungry = fs::read_to_string(REAL.folder.join("hungry_mib")).unwrap_or_default();
    let mut numbers = hungry.split_ascii_whitespace().map(|number| number.parse::<usize>().unwrap_or_default());
    let (mib, after) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if mib > 0 && earlier >= after && HAS_GPU.load(Ordering::SeqCst) {
        // Kept, as a driver keeps what it has taken; every page is written.
        std::hint::black_box(Box::leak(vec![1u8; mib << 20].into_boxed_slice()));
    }
    // SAFETY: handed on.
    unsafe { (real().Run)(session, options, input_names, inputs, input_count, output_names, output_count, outputs) }
}

unsafe extern "system" fn create_tensorrt(out: *mut *mut OrtTensorRTProviderOptionsV2) -> OrtStatusPtr {
    OPTIONS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // SAFETY: the caller's own variable. What it points to is never looked at, only not null.
    unsafe { out.write(ptr::NonNull::dangling().as_ptr()) };
    FINE
}

unsafe extern "system" fn update_tensorrt(
    _options: *mut OrtTensorRTProviderOptionsV2,
    keys: *const *const c_char,
    values: *const *const c_char,
    count: usize,
) -> OrtStatusPtr {
    // SAFETY: two tables of so many C strings.
    let text = |table: *const *const c_char, index| unsafe { CStr::from_ptr(*table.add(index)) };
    let told = (0..count).map(|index| [text(keys, index), text(values, index)]);
    let told = told.map(|pair| pair.map(|text| text.to_string_lossy().into_owned()));
    OPTIONS.lock().unwrap_or_else(PoisonError::into_inner).extend(told.map(|[key, value]| (key, value)));
    FINE
}

unsafe extern "system" fn release_tensorrt(_options: *mut OrtTensorRTProviderOptionsV2) {}

unsafe extern "system" fn append_tensorrt(
    _options: *mut OrtSessionOptions,
    _tensorrt: *const OrtTensorRTProviderOptionsV2,
) -> OrtStatusPtr {
    let options = OPTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let [folder, prefix] = ["trt_engine_cache_path", "trt_engine_cache_prefix"].map(|key| options[key].as_str());
    let engine = Path::new(folder).join(format!("{prefix}_pretended_sm87.engine"));
    if !engine.exists() {
        let told = fs::read_to_string(REAL.folder.join("build_ms")).unwrap_or_default();
        let Ok(build_ms) = told.trim().parse() else { return refused("no engine can be built") };
        std::thread::sleep(Duration::from_millis(build_ms));
        let text: Vec<String> = options.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Err(error) = fs::write(&engine, text.concat()) {
            return refused(&format!("{}: {error}", engine.display()));
        }
    }
    ASKED.store(TENSORRT, Ordering::SeqCst);
    FINE
}

unsafe extern "system" fn create_cuda(out: *mut *mut OrtCUDAProviderOptionsV2) -> OrtStatusPtr {
    // SAFETY: as for TensorRT.
    unsafe { out.write(ptr::NonNull::dangling().as_ptr()) };
    FINE
}

unsafe extern "system" fn update_cuda(
    _options: *mut OrtCUDAProviderOptionsV2,
    _keys: *const *const c_char,
    _values: *const *const c_char,
    _count: usize,
) -> OrtStatusPtr {
    FINE
}

unsafe extern "system" fn release_cuda(_options: *mut OrtCUDAProviderOptionsV2) {}

unsafe extern "system" fn append_cuda(
    _options: *mut OrtSessionOptions,
    _cuda: *const OrtCUDAProviderOptionsV2,
) -> OrtStatusPtr {
    ASKED.fetch_max(CUDA, Ordering::SeqCst);
    HAS_GPU.store(true, Ordering::SeqCst);
    FINE
}

unsafe extern "system" fn name_of_provider(
    part: *const OrtEpAssignedSubgraph,
    out: *mut *const c_char,
) -> OrtStatusPtr {
    let name = match ASKED.load(Ordering::SeqCst) {
        TENSORRT => c"TensorrtExecutionProvider",
        CUDA => c"CUDAExecutionProvider",
        // SAFETY: handed on.
        _ => return unsafe { (real().EpAssignedSubgraph_GetEpName)(part, out) },
    };
    // SAFETY: the caller's own variable.
    unsafe { out.write(name.as_ptr()) };
    FINE
}
