//! One step's gradients: exact for the whole batch, however few pairs go through the towers together.
//!
//! A contrastive loss needs every pair of the batch, but the towers look at each case alone. So (Gao et al., `GradCache`,
//! arXiv 2101.06983): embed micro-batches, take the loss and its gradient by the embeddings of the whole batch, and send
//! each micro-batch's part of that gradient back through its own graph. Each micro-batch has its own thread and its own
//! copy of the graph's leaves; within it one thread computes, since most of the framework's operations use only one. If
//! there are more micro-batches than graphs are kept, they are embedded twice.

use super::Pair;
use super::{Batch, StepError};
use crate::device::{Precision, Tape};
use crate::loss::{Embedded, Knowledge, Known, LOCATED, Learned, Located, Objective, Shown, Terms};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ctedge_models::labels::LABEL_COUNT;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Micro-batches whose graphs are kept where there are fewer threads. Each costs memory; one that is not kept is embedded
/// twice, which is a third of a step.
const GRAPHS: usize = 2;

/// The threads that micro-batches run on, one pool of one thread each.
#[derive(Debug)]
pub struct Workers {
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// `count` threads; on a GPU one is enough, since it queues.
    pub fn new(count: usize) -> Result<Self, StepError> {
        let pool = |index: usize| {
            let name = move |_| format!("learn-{index}");
            ThreadPoolBuilder::new().num_threads(1).thread_name(name).build()
        };
        let pools: Result<Vec<ThreadPool>, _> = (0..count.max(1)).map(pool).collect();
        Ok(Self { pools: pools.map_err(|source| StepError::Threads { source })? })
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.pools.len()
    }

    /// `work` on every item, as many at a time as there are threads; the results in the items' order.
    pub(crate) fn each<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let (count, work) = (self.pools.len(), &work);
        let share = |index: usize| items.iter().skip(index).step_by(count).map(work).collect::<Vec<R>>();
        let share = &share;
        let shares: Vec<std::thread::Result<Vec<R>>> = std::thread::scope(|scope| {
            let pools = self.pools.iter().enumerate();
            let running: Vec<_> =
                pools.map(|(index, pool)| scope.spawn(move || pool.install(|| share(index)))).collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let whole = |share: std::thread::Result<Vec<R>>| share.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut shares: Vec<std::vec::IntoIter<R>> = shares.into_iter().map(whole).map(Vec::into_iter).collect();
        (0..items.len()).filter_map(|place| shares.get_mut(place % count)?.next()).collect()
    }
}

/// The gradients of every parameter that learns, and the loss they are of, still on the device: who reads it waits for all that
/// is queued there.
#[derive(Debug)]
pub struct Gradients {
    /// By parameter.
    pub parameters: GradientsParams,
    /// The loss and its parts.
    pub terms: Terms,
}

/// What a step computes with.
#[derive(Debug)]
pub struct Engine<'a> {
    /// What is minimised; its tensors lie on `device`.
    pub objective: &'a Objective,
    /// Where; it records a graph ([`Device::autodiff`]).
    pub device: &'a Device,
    /// In how many bits the towers' layers compute.
    pub precision: Precision,
    /// On which threads.
    pub workers: &'a Workers,
}

impl Engine<'_> {
    /// Loss and gradients of a network on a batch.
    pub fn gradients(&self, network: &Pair, batch: &Loaded) -> Gradients {
        let inputs = &batch.inputs;
        let keeps_graphs = inputs.len() <= self.workers.count().max(GRAPHS);
        let tape = Tape::of(self.device);
        let with_graph = |input: &Input| {
            let own = tape.leaves(network, self.device, |own: Pair| own.computing_in(self.precision.dtype()));
            let said = input.embed(&own);
            (own, said)
        };
        let mut kept = Vec::new();
        let said: Vec<Embedded> = if keeps_graphs {
            kept = self.workers.each(inputs, with_graph);
            kept.iter().map(|(_, said)| cut(said, tape)).collect()
        } else {
            // With a graph that is dropped at once: without one the framework takes another attention, and the bits
            // would depend on how many threads there are.
            self.workers.each(inputs, |input| cut(&with_graph(input).1, tape))
        };

        let whole = joined(&said);
        let own = network.clone().fork(self.device);
        let (log_scale, bias) = (own.log_scale.val(), own.bias.val());
        let learned = Learned { log_scale, bias, shared_flags: own.shared_flags.clone() };
        let terms = self.objective.of(&whole, &learned, &batch.known);
        let mut back = terms.total.clone().backward();
        let by_embedding = Slopes::of(&whole, &mut back, tape);
        let mut sum = GradientsAccumulator::new();
        sum.accumulate(&own, GradientsParams::from_module(&mut back, &own));

        let length = inputs.first().map_or(0, Input::count);
        let parts: Vec<GradientsParams> = if keeps_graphs {
            let graphs: Vec<(usize, &(Pair, Embedded))> = kept.iter().enumerate().collect();
            self.workers.each(&graphs, |(part, (own, said))| by_embedding.sent_back(own, said, part * length))
        } else {
            let numbered: Vec<(usize, &Input)> = inputs.iter().enumerate().collect();
            self.workers.each(&numbered, |(part, input)| {
                let (own, said) = with_graph(input);
                by_embedding.sent_back(&own, &said, part * length)
            })
        };
        for part in parts {
            sum.accumulate(network, part);
        }
        Gradients { parameters: sum.grads(), terms }
    }
}

/// A batch on a device, in micro-batches.
#[derive(Debug)]
pub struct Loaded {
    /// The micro-batches.
    pub inputs: Vec<Input>,
    /// What is known of the whole.
    known: Known,
}

impl Loaded {
    /// Sends a batch to a device where layers compute in this precision.
    pub fn new(
        batch: &Batch,
        knowledge: Option<&Knowledge>,
        micro_batch: usize,
        (device, precision): (&Device, Precision),
    ) -> Self {
        let cases = batch.places.len();
        let tensor =
            |values: Vec<f32>, width: usize| Tensor::<2>::from_data(TensorData::new(values, [cases, width]), device);
        let known = Known {
            labels: tensor(batch.labels.clone(), LABEL_COUNT),
            labelled: tensor(batch.labelled.clone(), 1),
            knowledge: knowledge.map(|knowledge| tensor(knowledge.rows(&batch.places), knowledge.width)),
            same: tensor(batch.same.clone(), cases),
            located: batch
                .located
                .as_ref()
                .map(|Located { there, known }| [there, known].map(|places| tensor(places.clone(), LOCATED))),
        };
        let towers = Tape::of(device).device(device);
        Self { inputs: Input::cut(batch, micro_batch, (&towers, precision)), known }
    }
}

/// What is shown of some cases, the ids of their reports' tokens and the mask of those.
type Rows<'a> = ((&'a [Vec<f32>], &'a [i32]), &'a [f32]);

/// A micro-batch of N cases on a device.
#[derive(Debug)]
pub struct Input {
    /// What the volume tower is shown of each case, a row each.
    shown: Tensor<2>,
    /// Whether that is what a frozen tower has made of them.
    is_encoded: bool,
    /// Token ids `[N, L]`.
    ids: Tensor<2, Int>,
    /// 1 for tokens, 0 for padding `[N, L]`.
    mask: Tensor<2>,
}

impl Input {
    /// A batch cut into micro-batches. Where layers compute in fewer bits, so do volumes travel: as the shards keep them.
    pub fn cut(batch: &Batch, micro_batch: usize, (device, precision): (&Device, Precision)) -> Vec<Self> {
        let [_, length] = batch.reports.shape;
        let shown = batch.shown.rows().chunks(micro_batch);
        let is_encoded = matches!(batch.shown, Shown::Tokens(_));
        let ids = batch.reports.ids.chunks(micro_batch * length);
        let masks = batch.reports.mask.chunks(micro_batch * length);
        let load = |((shown, ids), mask): Rows<'_>| {
            let (count, width) = (shown.len(), shown.first().map_or(0, Vec::len));
            let sent = match precision {
                Precision::F32 => Tensor::from_data(TensorData::new(shown.concat(), [count, width]), device),
                Precision::Bf16 => {
                    let halves = TensorData::new(halved(shown, width), [count, width]);
                    Tensor::<2>::from_data(halves, (device, DType::F16)).cast(DType::F32)
                }
            };
            Self {
                shown: sent,
                is_encoded,
                ids: Tensor::from_data(TensorData::new(ids.to_vec(), [count, length]), device),
                mask: Tensor::from_data(TensorData::new(mask.to_vec(), [count, length]), device),
            }
        };
        shown.zip(ids).zip(masks).map(load).collect()
    }

    /// How many cases it has.
    fn count(&self) -> usize {
        let [count, _] = self.shown.dims();
        count
    }

    /// Its volumes `[N, 1, z, y, x]`, as the network's tower takes them.
    pub fn volumes(&self, network: &Pair) -> Tensor<5> {
        let [z, y, x] = network.vision.input_size;
        self.shown.clone().reshape([self.count(), 1, z, y, x])
    }

    /// What a network says of it.
    pub fn embed(&self, network: &Pair) -> Embedded {
        let vision = &network.vision;
        let seen = if self.is_encoded {
            let ([count, values], width) = (self.shown.dims(), vision.dim());
            vision.read(self.shown.clone().reshape([count, values / width, width]))
        } else {
            vision.forward(self.volumes(network))
        };
        let read = network.text.forward(self.ids.clone(), self.mask.clone());
        let located = network.located(&seen);
        Embedded { volume: seen.embedding, text: read.embedding, flags: seen.logits, located, saliency: seen.saliency }
    }
}

/// Rows of this width as 16-bit numbers, row after row.
fn halved(rows: &[Vec<f32>], width: usize) -> Vec<f16> {
    let mut halves = vec![f16::ZERO; rows.len() * width];
    halves.par_chunks_mut(width.max(1)).zip(rows).for_each(|(halves, row)| halves.convert_from_f32_slice(row));
    halves
}

/// The gradient of the loss by what the towers said, `[N, ..]` each.
struct Slopes {
    volume: Tensor<2>,
    text: Tensor<2>,
    flags: Tensor<2>,
    located: Option<Tensor<2>>,
    tape: Tape,
}

impl Slopes {
    fn of(whole: &Embedded, back: &mut burn::tensor::Gradients, tape: Tape) -> Self {
        // A part that the objective leaves out has no gradient: zero.
        let mut slope = |leaf: &Tensor<2>| {
            leaf.grad_remove(back).unwrap_or_else(|| Tensor::zeros(leaf.dims(), &leaf.device().inner()))
        };
        let located = whole.located.as_ref().map(&mut slope);
        Self { volume: slope(&whole.volume), text: slope(&whole.text), flags: slope(&whole.flags), located, tape }
    }

    /// The gradients of a micro-batch whose first case is the batch's `first`-th.
    fn sent_back(&self, own: &Pair, said: &Embedded, first: usize) -> GradientsParams {
        let along = |slope: &Tensor<2>, said: &Tensor<2>| {
            let [count, _] = said.dims();
            let part = slope.clone().slice_dim(0, first..first + count);
            (self.tape.handed(part) * said.clone()).sum()
        };
        let surrogate =
            along(&self.volume, &said.volume) + along(&self.text, &said.text) + along(&self.flags, &said.flags);
        let surrogate = match (&self.located, &said.located) {
            (Some(slope), Some(said)) => surrogate + along(slope, said),
            _ => surrogate,
        };
        self.tape.gradients(&surrogate, own)
    }
}

fn parts(said: &Embedded, change: impl Fn(Tensor<2>) -> Tensor<2>) -> Embedded {
    let Embedded { volume, text, flags, located, saliency } = said.clone();
    let located = located.map(&change);
    Embedded { volume: change(volume), text: change(text), flags: change(flags), located, saliency: change(saliency) }
}

/// The same numbers without their way.
fn cut(said: &Embedded, tape: Tape) -> Embedded {
    parts(said, |part| tape.cut(part))
}

/// Micro-batches as one batch that a graph begins at.
fn joined(said: &[Embedded]) -> Embedded {
    let join = |part: fn(&Embedded) -> &Tensor<2>| Tensor::cat(said.iter().map(|said| part(said).clone()).collect(), 0);
    let located: Option<Vec<Tensor<2>>> = said.iter().map(|said| said.located.clone()).collect();
    Embedded {
        volume: join(|said| &said.volume).require_grad(),
        text: join(|said| &said.text).require_grad(),
        flags: join(|said| &said.flags).require_grad(),
        located: located.map(|parts| Tensor::cat(parts, 0).require_grad()),
        saliency: join(|said| &said.saliency),
    }
}
