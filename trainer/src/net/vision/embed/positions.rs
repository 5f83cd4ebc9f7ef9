//! 3D positions: sine and cosine of a token's centre in millimetres from the centre of the field, or a learned table.
//!
//! For the former only addition, multiplication, division and square-free loops are used: IEEE arithmetic gives the
//! same bits on every machine, while the last bit of a library's `sin` differs, and the table travels inside the exported graph.

use crate::experiment::{Positions, Vision};
use crate::net::layers::width;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ctedge_models::spec::Grid;

/// Wavelengths run in a geometric series from this ...
const LONGEST_MM: f64 = 1440.0;
/// ... to this, twice a token pitch of 40 mm: shorter waves would alias.
const SHORTEST_MM: f64 = 80.0;
/// Field (z, y, x) that is assumed where the input contract stretches every scan to one size.
const NOMINAL_FIELD_MM: f64 = 360.0;

/// What is added to the tokens, `[1, T, C]`.
#[derive(Module, Debug)]
pub enum Places {
    /// Follows from the grid, so it is no parameter.
    Sine(Tensor<3>),
    /// Learned.
    Learned(Param<Tensor<3>>),
}

impl Places {
    pub(in crate::net::vision) fn new(architecture: &Vision, grid: &TokenGrid, device: &Device) -> Self {
        let dim = architecture.dim;
        match architecture.positions {
            Positions::Sine => Self::Sine(grid.table(dim, device)),
            Positions::Learned => Self::Learned(Param::from_tensor(Tensor::zeros([1, grid.tokens(), dim], device))),
        }
    }

    /// The table.
    pub fn table(&self) -> Tensor<3> {
        match self {
            Self::Sine(table) => table.clone(),
            Self::Learned(table) => table.val(),
        }
    }
}

/// Where the tokens lie.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenGrid {
    /// Tokens along (z, y, x).
    pub count: [usize; 3],
    /// Distance between token centres along (z, y, x) in mm.
    pub pitch_mm: [f64; 3],
}

impl TokenGrid {
    /// The tokens of an input grid that is cut into patches; the caller has checked that the patch divides the size.
    pub fn new(grid: &Grid, patch: [usize; 3]) -> Self {
        let size = grid.size();
        let count = zip(size, patch, |edge, step| edge / step.max(1));
        let voxel_mm = match grid {
            Grid::Spacing { spacing_mm, .. } => *spacing_mm,
            Grid::Resize { size } => size.map(|edge| NOMINAL_FIELD_MM / width(edge)),
        };
        Self { count, pitch_mm: zip(voxel_mm, patch, |spacing, step| spacing * width(step)) }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.count.iter().product()
    }

    /// Centres (z, y, x) of the tokens in mm from the centre of the field, in token order.
    pub fn centres_mm(&self) -> Vec<[f64; 3]> {
        let [nz, ny, nx] = self.count;
        let place = |axis: usize, index: usize| {
            let (count, pitch) = (self.count.get(axis), self.pitch_mm.get(axis));
            let middle = (width(count.copied().unwrap_or(1)) - 1.0) / 2.0;
            (width(index) - middle) * pitch.copied().unwrap_or(0.0)
        };
        let rows = (0..nz).flat_map(|k| (0..ny).map(move |j| (k, j)));
        rows.flat_map(|(k, j)| (0..nx).map(move |i| [place(0, k), place(1, j), place(2, i)])).collect()
    }

    /// The table that is added to the tokens, `[1, T, dim]`.
    pub fn table(&self, dim: usize, device: &Device) -> Tensor<3> {
        let data = TensorData::new(self.table_values(dim), [1, self.tokens(), dim]);
        Tensor::from_data(data, device)
    }

    /// Its values in C order. A token's channels are, for z, y and x in turn, the sines and then the cosines of all
    /// frequencies; channels that are left over when `dim` is no multiple of six stay zero.
    pub fn table_values(&self, dim: usize) -> Vec<f32> {
        let waves = angular_frequencies(dim / 6);
        let mut values = Vec::with_capacity(self.tokens() * dim);
        for centre in self.centres_mm() {
            let end = values.len() + dim;
            for along_mm in centre {
                let angles: Vec<(f64, f64)> = waves.iter().map(|wave| sin_cos(along_mm * wave)).collect();
                values.extend(angles.iter().map(|&(sine, _)| narrow(sine)));
                values.extend(angles.iter().map(|&(_, cosine)| narrow(cosine)));
            }
            values.resize(end, 0.0);
        }
        values
    }
}

/// `count` angular frequencies in rad/mm, lowest first.
fn angular_frequencies(count: usize) -> Vec<f64> {
    let ratio = root(LONGEST_MM / SHORTEST_MM, count.saturating_sub(1));
    let lowest = std::f64::consts::TAU / LONGEST_MM;
    std::iter::successors(Some(lowest), |wave| Some(wave * ratio)).take(count).collect()
}

/// The `degree`-th root of a number above one, by bisection.
fn root(number: f64, degree: usize) -> f64 {
    let (mut low, mut high) = (1.0, number);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        let power = (0..degree).fold(1.0, |product, _| product * middle);
        if power < number {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Sine and cosine: Taylor series of the angle halved into [-1/4, 1/4], then as many doublings. Good to 1e-12 for the
/// angles here (below 20 rad).
fn sin_cos(angle: f64) -> (f64, f64) {
    let mut halvings = 0;
    let mut small = angle;
    while small.abs() > 0.25 {
        small /= 2.0;
        halvings += 1;
    }
    let square = small * small;
    let series = |first: f64, from: u32| {
        let terms = (0..8).scan(first, |term, index| {
            let current = *term;
            let next = f64::from(from + 2 * index);
            *term *= -square / (next * (next + 1.0));
            Some(current)
        });
        terms.sum::<f64>()
    };
    let (mut sine, mut cosine) = (series(small, 2), series(1.0, 1));
    for _ in 0..halvings {
        (sine, cosine) = (2.0 * sine * cosine, cosine * cosine - sine * sine);
    }
    (sine, cosine)
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "rounds a number in [-1, 1] to 32 bits")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn zip<A: Copy, B: Copy, C>(a: [A; 3], b: [B; 3], join: impl Fn(A, B) -> C) -> [C; 3] {
    let ([a0, a1, a2], [b0, b1, b2]) = (a, b);
    [join(a0, b0), join(a1, b1), join(a2, b2)]
}
