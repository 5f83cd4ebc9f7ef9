//! The fused operations beside the framework's own, which are made of other parts, and beside 64-bit arithmetic.

use super::flex::numbers::{exp, normal};
use super::flex::rows::{self, Gelu, LayerNorm, LayerNormGradient, Softmax};
use super::gradient::{Kernels, Scale, Seen};
use super::parts::{self, norm};
use super::{attention, causal_attention, convolution, cpu, gelu, layer_norm, linear};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::nn::LayerNormConfig;
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Shape, Tensor, TensorData, activation, module};
use proptest::prelude::*;
use pulp::{Arch, Scalar, Simd};

/// Numbers in [-spread, spread] that follow from their place alone.
fn made_up(count: usize, salt: usize, spread: f32) -> Vec<f32> {
    let step = |index: usize| u16::try_from((index * 7919 + salt * 104_729) % 2003).map_or(0.0, f32::from);
    (0..count).map(|index| (step(index) / 1001.0 - 1.0) * spread).collect()
}

fn tensor<const D: usize>(shape: [usize; D], salt: usize, spread: f32, device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    Tensor::from_data(TensorData::new(made_up(count, salt, spread), shape), device)
}

#[track_caller]
fn assert_near<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>, within: f32) {
    let apart: f32 = (ours - theirs).abs().max().into_scalar();
    assert!(apart <= within, "{apart} apart");
}

/// Value and gradients of an operation, its output weighed by numbers of its own.
fn judged<const D: usize, const N: usize>(
    inputs: [Tensor<D>; N],
    operation: impl Fn([Tensor<D>; N]) -> Tensor<D>,
) -> (Tensor<D>, [Tensor<D>; N]) {
    let inputs = inputs.map(Tensor::require_grad);
    let output = operation(inputs.clone());
    let weights = tensor(output.dims(), 5, 1.0, &output.device());
    let gradients = (output.clone() * weights).sum().backward();
    (output.inner(), inputs.map(|input| input.grad(&gradients).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gelu_is_the_frameworks(rows in 1..70_usize, width in 1..300_usize, spread in 0.1..12.0_f32) {
        let device = cpu().autodiff();
        let input = || [tensor([rows, width], 1, spread, &device)];
        let (ours, [slope]) = judged(input(), |[x]| gelu(x));
        let (theirs, [other]) = judged(input(), |[x]| activation::gelu(x));
        assert_near(ours, theirs, 2e-6 * spread.max(1.0));
        assert_near(slope, other, 2e-6);
    }

    #[test]
    fn layer_norm_is_the_frameworks(rows in 1..70_usize, width in 2..300_usize, shift in -3.0..3.0_f32) {
        let device = cpu().autodiff();
        let inputs = || {
            let [gamma, beta] = [2, 3].map(|salt| tensor([1, width], salt, 1.0, &device));
            [tensor([rows, width], 1, 2.0, &device) + shift, gamma, beta]
        };
        let (ours, gradients) = judged(inputs(), |[x, gamma, beta]| layer_norm(x, gamma.squeeze(), beta.squeeze(), 1e-5));
        let norm = LayerNormConfig::new(width).with_epsilon(1e-5).init(&device);
        let (theirs, others) = judged(inputs(), |[x, gamma, beta]| norm.forward(x) * gamma + beta);
        assert_near(ours, theirs, 1e-5);
        for (gradient, other) in gradients.into_iter().zip(others) {
            assert_near(gradient, other, 2e-4);
        }
    }

    #[test]
    fn attention_is_the_frameworks(
        cases in 1..4_usize, heads in 1..4_usize, count in 1..90_usize, spread in 0.1..30.0_f32, all in any::<bool>()
    ) {
        let device = cpu().autodiff();
        let shape = [cases, heads, count, 5];
        let seen = (tensor([cases, count], 4, 1.0, &device) + 0.5).sign().clamp(0.0, 1.0);
        // A query with no key at all is another test's.
        let seen = Tensor::cat(vec![Tensor::ones([cases, 1], &device), seen.slice_dim(1, 1..count)], 1);
        let hidden = seen.clone().equal_elem(0.0).reshape([cases, 1, 1, count]).expand([cases, heads, count, count]);
        let (seen, hidden) = if all { (None, None) } else { (Some(seen), Some(hidden)) };
        let inputs = || [(1, spread), (2, 1.0), (3, 1.0)].map(|(salt, spread)| tensor(shape, salt, spread, &device));
        let (ours, slopes) = judged(inputs(), |parts| attention(parts, seen.clone()));
        let (theirs, others) = judged(inputs(), |[query, key, value]| {
            module::attention(query, key, value, hidden.clone(), None, AttentionModuleOptions::default())
        });
        assert_near(ours, theirs, 2e-6);
        for (slope, other) in slopes.into_iter().zip(others) {
            assert_near(slope, other, 1e-5 * spread.max(1.0));
        }
    }

    #[test]
    fn a_convolution_is_the_frameworks(
        cases in 1..4_usize, size in prop::array::uniform3(1..9_usize), channels in 1..5_usize, outputs in 1..6_usize,
        stride in 1..3_usize
    ) {
        let device = cpu().autodiff();
        let [z, y, x] = size;
        let (maps, weight, bias) = (
            tensor([cases, z, y, x, channels], 1, 1.0, &device).require_grad(),
            tensor([27 * channels, outputs], 2, 1.0, &device).require_grad(),
            tensor([outputs], 3, 1.0, &device).require_grad(),
        );
        let ours = convolution(maps.clone(), weight.clone(), bias.clone(), stride);
        let kernel = weight.clone().reshape([3, 3, 3, channels, outputs]).permute([4, 3, 0, 1, 2]);
        let options = ConvOptions::new([stride; 3], [1; 3], [1; 3], 1);
        let first = maps.clone().permute([0, 4, 1, 2, 3]);
        let theirs = module::conv3d(first, kernel, Some(bias.clone()), options).permute([0, 2, 3, 4, 1]);
        prop_assert_eq!(ours.dims(), theirs.dims());
        assert_near(ours.clone().inner(), theirs.clone().inner(), 1e-5);
        let told = tensor(ours.dims(), 5, 1.0, &device);
        let [mine, other] = [ours, theirs].map(|output| (output * told.clone()).sum().backward());
        assert_near(maps.grad(&mine).unwrap(), maps.grad(&other).unwrap(), 1e-4);
        assert_near(weight.grad(&mine).unwrap(), weight.grad(&other).unwrap(), 1e-3);
        assert_near(bias.grad(&mine).unwrap(), bias.grad(&other).unwrap(), 1e-3);
    }

    #[test]
    fn causal_attention_sees_the_past_alone(
        cases in 1..3_usize, heads in 1..4_usize, queries in 1..40_usize, before in 0..40_usize
    ) {
        let device = cpu().autodiff();
        let keys = before + queries;
        let lengths = [(1, queries), (2, keys), (3, keys)];
        let inputs = || lengths.map(|(salt, length)| tensor([cases, heads, length, 5], salt, 2.0, &device));
        let hidden = Tensor::<2>::ones([queries, keys], &device).tril(i64::try_from(before).unwrap()).equal_elem(0.0);
        let hidden = hidden.reshape([1, 1, queries, keys]).expand([cases, heads, queries, keys]);
        let (ours, slopes) = judged(inputs(), causal_attention);
        let (theirs, others) = judged(inputs(), |[query, key, value]| {
            module::attention(query, key, value, Some(hidden.clone()), None, AttentionModuleOptions::default())
        });
        assert_near(ours, theirs, 2e-6);
        for (slope, other) in slopes.into_iter().zip(others) {
            assert_near(slope, other, 1e-5);
        }
    }

    #[test]
    fn a_linear_layer_is_a_product_and_a_sum(
        cases in 1..4_usize, rows in 1..20_usize, inputs in 1..40_usize, outputs in 1..40_usize
    ) {
        let device = cpu().autodiff();
        let given = || {
            let [weight, bias] = [[1, inputs, outputs], [1, 1, outputs]].map(|shape| tensor(shape, 2, 1.0, &device));
            [tensor([cases, rows, inputs], 1, 1.0, &device), weight, bias]
        };
        let (ours, slopes) = judged(given(), |[x, weight, bias]| linear(x, weight.squeeze_dim(0), bias.flatten(0, 2)));
        let (theirs, others) =
            judged(given(), |[x, weight, bias]| x.matmul(weight.expand([cases, inputs, outputs])) + bias);
        assert_near(ours, theirs, 1e-4);
        for (slope, other) in slopes.into_iter().zip(others) {
            assert_near(slope, other, 1e-3);
        }
    }

    #[test]
    fn kernels_are_their_parts(cases in 1..4_usize, heads in 1..4_usize, count in 2..40_usize) {
        type Numbers = FloatTensor<Flex>;
        let device = cpu();
        let numbers = |salt| -> Numbers {
            let shape = [cases, heads, count, count];
            tensor(shape, salt, 3.0, &device).try_into_primitive::<Flex>().unwrap()
        };
        let vector = |salt| tensor([count], salt, 1.0, &device).try_into_primitive::<Flex>().unwrap();
        let near = |ours: Numbers, theirs: Numbers, within: f32| {
            let [ours, theirs] = [ours, theirs].map(Tensor::<4>::from_primitive::<Flex>);
            assert_near(ours, theirs, within);
        };
        let scale = || Scale { gamma: vector(2), beta: vector(3), epsilon: 1e-5 };
        near(Flex::layer_norm_kernel(numbers(1), scale()), norm::layer_norm::<Flex>(numbers(1), scale()), 1e-5);
        let ours = Flex::layer_norm_gradient(numbers(1), scale(), numbers(5));
        let theirs = norm::layer_norm_gradient::<Flex>(numbers(1), scale(), numbers(5));
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            let flat = |part: Numbers| Flex::float_reshape(part.clone(), Shape::new([1, 1, 1, part.shape().num_elements()]));
            near(flat(ours), flat(theirs), 2e-3);
        }
        near(Flex::gelu_gradient(numbers(1), numbers(5)), parts::gelu_gradient::<Flex>(numbers(1), numbers(5)), 1e-5);
        let seen = || (tensor([cases, count], 4, 1.0, &device) + 0.9).sign().clamp(0.0, 1.0);
        let seen = || Seen::Keys(seen().try_into_primitive::<Flex>().unwrap());
        near(Flex::softmax_kernel(numbers(1), seen()), parts::softmax::<Flex>(numbers(1), seen()), 1e-6);
        near(Flex::softmax_kernel(numbers(1), Seen::All), parts::softmax::<Flex>(numbers(1), Seen::All), 1e-6);
        near(Flex::softmax_kernel(numbers(1), Seen::Past), parts::softmax::<Flex>(numbers(1), Seen::Past), 1e-6);
        let weights = || Flex::softmax_kernel(numbers(1), Seen::All);
        let theirs = parts::softmax_gradient::<Flex>(weights(), numbers(5));
        near(Flex::softmax_gradient(weights(), numbers(5)), theirs, 1e-5);
    }

    #[test]
    fn vectors_of_any_width_give_the_same_bits(rows in 1..20_usize, width in 1..70_usize) {
        let [input, gamma, beta] = [1, 2, 3].map(|salt| made_up(rows * width, salt, 3.0));
        let scale = rows::Scale { gamma: &gamma[..width], beta: &beta[..width], epsilon: 1e-5 };
        let seen: Vec<f32> = beta[..width].iter().map(|x| f32::from(*x > 0.0)).collect();
        let [mut wide, mut narrow] = [input.clone(), input.clone()];
        Arch::new().dispatch(LayerNorm { block: &mut wide, scale });
        Scalar.vectorize(LayerNorm { block: &mut narrow, scale });
        Arch::new().dispatch(Gelu { block: &mut wide });
        Scalar.vectorize(Gelu { block: &mut narrow });
        let of_wide = Arch::new().dispatch(LayerNormGradient { input: &input, scale, block: &mut wide });
        let of_narrow = Scalar.vectorize(LayerNormGradient { input: &input, scale, block: &mut narrow });
        Arch::new().dispatch(Softmax { block: &mut wide, seen: &seen });
        Scalar.vectorize(Softmax { block: &mut narrow, seen: &seen });
        prop_assert_eq!(wide, narrow);
        prop_assert_eq!(of_wide, of_narrow);
    }

    #[test]
    fn exponential_is_that_of_64_bits(x in -87.0..88.0_f32) {
        let exact = f64::from(x).exp();
        let error = (f64::from(exp(x)) / exact - 1.0).abs();
        prop_assert!(error < 2.5e-7, "{} for {exact}", exp(x));
    }
}

#[test]
fn a_query_without_keys_gets_zeros() {
    let device = cpu();
    let parts = [1, 2, 3].map(|salt| tensor([1, 1, 2, 3], salt, 1.0, &device));
    let mixed = attention(parts, Some(Tensor::zeros([1, 2], &device)));
    assert_eq!(mixed.into_data().try_to_vec::<f32>().unwrap(), [0.0; 6]);
}

#[test]
fn what_is_no_number_stays_none() {
    let device = cpu();
    let broken = || Tensor::<2>::from_data([[1.0, f32::NAN, 2.0], [1.0, 2.0, 3.0]], &device);
    let [ones, zeros] = [Tensor::ones([3], &device), Tensor::zeros([3], &device)];
    let whole = || tensor([1, 1, 2, 3], 1, 1.0, &device);
    let mixed = attention([broken().reshape([1, 1, 2, 3]), whole(), whole()], None).reshape([2, 3]);
    for tensor in [gelu(broken()), layer_norm(broken(), ones, zeros, 1e-5), mixed] {
        let values = tensor.into_data().try_to_vec::<f32>().unwrap();
        assert!(values[1].is_nan() && values[3..].iter().all(|x| x.is_finite()), "{values:?}");
    }
}

#[test]
fn tails_of_the_normal_distribution() {
    // By Python's statistics.NormalDist.
    let exact = [(0.0, 0.5), (1.0, 0.841_344_8), (-1.0, 0.158_655_3), (-3.0, 0.001_349_9), (2.5, 0.993_790_3)];
    for (x, share) in exact.into_iter().chain([(20.0, 1.0), (-200.0, 0.0)]) {
        assert!((normal(x).0 - share).abs() < 2e-7, "{x}");
    }
}

#[test]
fn strided_tensors_are_read_in_their_order() {
    let device = cpu();
    let swapped = tensor([3, 40], 1, 2.0, &device).swap_dims(0, 1);
    let part = tensor([50, 40], 1, 2.0, &device).slice_dim(0, 7..9);
    for input in [swapped, part] {
        assert_near(gelu(input.clone()), activation::gelu(input), 1e-5);
    }
}
