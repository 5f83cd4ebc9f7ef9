//! A decoder's two graphs in ONNX Runtime, driven token by token.
//!
//! Keys and values never leave the place where they were computed: the ones of the memory are bound once a report, those of the
//! tokens so far come out of one step and are bound to the next (I/O binding). Only the logits are brought to the processor.

use super::{Graph, Halt, Provider, Runtime, Settings, assigned, build, provider_of, watched};
use crate::infer::draft::search::{Stepped, Steps};
use ctedge_models::bundle::StepGraph;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{DynValue, Tensor};
use std::rc::Rc;
use std::time::Duration;

/// Both graphs.
pub(in crate::infer) struct Decoder {
    cross: Session,
    step: Session,
    /// Names of the keys and values: of the memory, of the tokens before a step, and after it.
    names: Names,
    provider: Provider,
    /// Heads and their width.
    shape: [usize; 2],
}

struct Names {
    cross: Vec<String>,
    past: Vec<String>,
    present: Vec<String>,
}

/// What a volume graph said of each patch, where it was computed.
pub(in crate::infer) struct Tokens(pub(super) DynValue);

impl Decoder {
    /// Loads both graphs with one provider.
    pub(in crate::infer) fn load(
        runtime: &Runtime,
        settings: &Settings,
        (cross, step): (&Graph, &Graph),
        (spec, wanted): (&StepGraph, Provider),
    ) -> Result<Self, String> {
        let load = |graph| build(&runtime.environment, settings, graph, wanted);
        let (cross, step) = (load(cross)?, load(step)?);
        let provider = provider_of(&assigned(&step)?)?;
        let names = |which| spec.caches(which).collect();
        let names = Names { cross: names("cross"), past: names("past"), present: names("present") };
        Ok(Self { cross, step, names, provider, shape: [spec.heads, spec.head_width] })
    }

    /// The provider that runs the steps, as ONNX Runtime says.
    pub(in crate::infer) fn provider(&self) -> Provider {
        self.provider
    }

    /// Has `write` go on token by token from what was seen and the flags (1, -1 or 0), for as long as it may.
    pub(in crate::infer) fn writing<T>(
        &mut self,
        (tokens, flags): (&Tokens, &[f32]),
        within: Duration,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        let options = RunOptions::new()?;
        let Self { cross, step, names, provider, shape } = self;
        watched(&options, within, || {
            let memory = remembered(cross, names, (tokens, flags), &options)?;
            let mut binding = step.create_binding()?;
            for (name, value) in names.cross.iter().zip(&memory) {
                binding.bind_input(name, value)?;
            }
            let (near, device) = (place(Provider::Cpu)?, place(*provider)?);
            let empty = (0..names.past.len()).map(|_| empty(*shape)).collect::<Result<Vec<_>, _>>()?;
            write(&mut Writing { step, binding, names, near, device, options: &options, empty: Rc::new(empty) })
        })
    }
}

/// Keys and values of what was seen.
fn remembered(
    cross: &mut Session,
    names: &Names,
    (tokens, flags): (&Tokens, &[f32]),
    options: &RunOptions,
) -> Result<Vec<DynValue>, Halt> {
    let flags = Tensor::from_array(([1, flags.len()], flags.to_vec()))?;
    let inputs = ort::inputs!["tokens" => &tokens.0, "flags" => flags];
    let mut outputs = cross.run_with_options(inputs, options)?;
    let one = |name: &String| outputs.remove(name).ok_or_else(|| absent(name));
    names.cross.iter().map(one).collect()
}

fn absent(name: &str) -> Halt {
    Halt::Failed(format!("a graph of the decoder has no output `{name}`"))
}

/// Where a provider keeps its tensors.
fn place(provider: Provider) -> Result<MemoryInfo<'static>, Halt> {
    let device = match provider {
        Provider::Cpu => AllocationDevice::CPU,
        Provider::Cuda | Provider::Tensorrt => AllocationDevice::CUDA,
    };
    Ok(MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default)?)
}

/// Keys or values of no token.
fn empty([heads, width]: [usize; 2]) -> Result<DynValue, Halt> {
    Ok(Tensor::<f32>::new(&ort::memory::Allocator::default(), [1, heads, 0, width])?.into_dyn())
}

/// A report that is being written.
pub(in crate::infer) struct Writing<'a> {
    step: &'a mut Session,
    binding: IoBinding,
    names: &'a Names,
    near: MemoryInfo<'static>,
    device: MemoryInfo<'static>,
    options: &'a RunOptions,
    empty: Past,
}

/// Keys and values of the tokens so far, a pair for each layer.
type Past = Rc<Vec<DynValue>>;

impl Steps for Writing<'_> {
    type State = Past;
    type Error = Halt;

    fn step(&mut self, past: Option<&Past>, token: u32, place: usize) -> Stepped<Self> {
        let whole = |value: i64| Tensor::from_array(([1, 1], vec![value]));
        let position = i64::try_from(place).unwrap_or(i64::MAX);
        self.binding.bind_input("input_ids", &whole(i64::from(token))?)?;
        self.binding.bind_input("position_ids", &whole(position)?)?;
        // One token sees all before it and itself.
        self.binding.bind_input("mask", &Tensor::from_array(([1, 1, 1, place + 1], vec![0.0_f32; place + 1]))?)?;
        let past = past.unwrap_or(&self.empty);
        for (name, value) in self.names.past.iter().zip(past.iter()) {
            self.binding.bind_input(name, value)?;
        }
        self.binding.bind_output_to_device("logits", &self.near)?;
        for name in &self.names.present {
            self.binding.bind_output_to_device(name, &self.device)?;
        }
        let mut outputs = self.step.run_binding_with_options(&self.binding, self.options)?;
        let logits = outputs.remove("logits").ok_or_else(|| absent("logits"))?;
        let (_, logits) = logits.try_extract_tensor::<f32>()?;
        let logits = logits.to_vec();
        let present: Result<Vec<_>, _> =
            self.names.present.iter().map(|name| outputs.remove(name).ok_or_else(|| absent(name))).collect();
        Ok((Rc::new(present?), logits))
    }
}
