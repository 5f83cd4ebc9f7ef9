//! Functions of single numbers, made of additions, multiplications and divisions only, so that a loop over them becomes
//! vector instructions; and sums over rows in an order that no width of vectors changes.

#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the vector instructions of its caller")]

/// Numbers that a sum adds up side by side.
const LANES: usize = 16;

/// Exponents beyond which [`exp`] stays at its smallest and largest value.
const LEAST: f32 = -87.0;
const MOST: f32 = 88.0;

/// Adding this rounds to a whole number, and leaves that number, plus the 127 of a float's exponent, in the last bits.
const ROUND: f32 = 12_582_912.0 + 127.0;

/// The logarithm of 2 in two parts: the first has few enough digits that small multiples of it are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Coefficients of `(e^x - 1 - x) / x²` for half a power of two around 0, highest first (Moshier's Cephes, `expf`).
const EXPONENTIAL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// Coefficients of the complementary error function, highest first, and the factor in its argument (Abramowitz and
/// Stegun, 7.1.26): good to 1.5e-7.
const COMPLEMENT: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
const COMPLEMENT_FACTOR: f32 = 0.327_591_1;

/// `e^x` within two units in the last place, from e^-87 to e^88.
#[inline(always)]
pub(in crate::device) fn exp(x: f32) -> f32 {
    let x = x.clamp(LEAST, MOST);
    let raised = x * std::f32::consts::LOG2_E + ROUND;
    let whole = raised - ROUND;
    let [high, low] = LN_2;
    let rest = x - whole * high - whole * low;
    let power = f32::from_bits(raised.to_bits() << 23);
    (polynomial(&EXPONENTIAL, rest) * (rest * rest) + rest + 1.0) * power
}

/// The normal distribution's Φ(x) and its derivative there.
#[inline(always)]
pub(in crate::device) fn normal(x: f32) -> (f32, f32) {
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + COMPLEMENT_FACTOR * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let tail = 0.5 * t * polynomial(&COMPLEMENT, t) * bell;
    let share = if x < 0.0 { tail } else { 1.0 - tail };
    (share, bell * (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The sum of a function of the numbers of two rows.
#[inline(always)]
pub(in crate::device) fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    fold(a, b, 0.0, |sum, a, b| sum + term(a, b)).iter().sum()
}

/// The mean of a function of the numbers of two rows.
#[inline(always)]
pub(in crate::device) fn mean(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let count = u32::try_from(a.len()).map_or(f64::INFINITY, f64::from);
    narrow(f64::from(sum(a, b, term)) / count)
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "rounds to 32 bits")]
pub(in crate::device) fn narrow(value: f64) -> f32 {
    value as f32
}

/// The largest of a row's numbers that are not 0 in `seen`; the least of all numbers if there is none.
#[inline(always)]
pub(in crate::device) fn largest(row: &[f32], seen: &[f32]) -> f32 {
    let lanes = fold(row, seen, f32::MIN, |most, x, seen| if seen > 0.0 && x > most { x } else { most });
    lanes.into_iter().fold(f32::MIN, f32::max)
}

#[inline(always)]
fn fold(a: &[f32], b: &[f32], first: f32, step: impl Fn(f32, f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [first; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut add = |a: &[f32], b: &[f32]| {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = step(*lane, a, b);
        }
    };
    a.iter().zip(b).for_each(|(a, b)| add(a, b));
    add(a_rest, b_rest);
    lanes
}
