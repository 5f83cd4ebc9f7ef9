//! Solids with simple distances. Points and lengths in mm, LPS.

/// A point or direction.
pub(super) type Point = [f64; 3];

/// An ellipsoid along the axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipsoid {
    pub(super) centre: Point,
    pub(super) half: Point,
}

impl Ellipsoid {
    /// A sphere.
    pub(super) fn sphere(centre: Point, radius: f64) -> Self {
        Self { centre, half: [radius; 3] }
    }

    /// 0 in the centre, 1 on the surface, growing outwards.
    pub(super) fn level(&self, [x, y, z]: Point) -> f64 {
        let ([cx, cy, cz], [a, b, c]) = (self.centre, self.half);
        let (u, v, w) = ((x - cx) / a, (y - cy) / b, (z - cz) / c);
        (u * u + v * v + w * w).sqrt()
    }

    pub(super) fn holds(&self, point: Point) -> bool {
        self.level(point) <= 1.0
    }

    /// Whether it, or what rounding makes of it, reaches the axial plane at `z`.
    pub(super) fn reaches_z(&self, z: f64) -> bool {
        let ([_, _, centre], [_, _, half]) = (self.centre, self.half);
        (z - centre).abs() <= half + 0.1
    }

    /// The same with every half axis longer by `margin_mm`.
    pub(super) fn grown(&self, margin_mm: f64) -> Self {
        Self { half: self.half.map(|half| half + margin_mm), ..*self }
    }

    /// The same, larger by a factor.
    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self { half: self.half.map(|half| half * factor), ..*self }
    }
}

/// A round tube with round ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tube {
    pub(super) from: Point,
    pub(super) to: Point,
    pub(super) radius: f64,
}

impl Tube {
    /// Distance of a point from the tube's axis.
    pub(super) fn distance(&self, point: Point) -> f64 {
        let along = sub(self.to, self.from);
        let offset = sub(point, self.from);
        let share = (dot(offset, along) / dot(along, along)).clamp(0.0, 1.0);
        length(sub(offset, along.map(|value| value * share)))
    }

    pub(super) fn holds(&self, point: Point) -> bool {
        self.distance(point) <= self.radius
    }

    /// Whether it comes within a margin of the axial plane at `z`.
    pub(super) fn reaches_z(&self, z: f64, margin_mm: f64) -> bool {
        let ([_, _, from], [_, _, to]) = (self.from, self.to);
        between(from, to, self.radius + margin_mm, z)
    }

    /// Whether it comes within a margin of the coronal plane at `y`.
    pub(super) fn reaches_y(&self, y: f64, margin_mm: f64) -> bool {
        let ([_, from, _], [_, to, _]) = (self.from, self.to);
        between(from, to, self.radius + margin_mm, y)
    }
}

fn between(from: f64, to: f64, margin: f64, at: f64) -> bool {
    from.min(to) - margin <= at && at <= from.max(to) + margin
}

/// Tubes from point to point.
pub(super) fn line(points: &[Point], radius: f64) -> Vec<Tube> {
    points.iter().zip(points.iter().skip(1)).map(|(&from, &to)| Tube { from, to, radius }).collect()
}

pub(super) fn sub([ax, ay, az]: Point, [bx, by, bz]: Point) -> Point {
    [ax - bx, ay - by, az - bz]
}

pub(super) fn add([ax, ay, az]: Point, [bx, by, bz]: Point) -> Point {
    [ax + bx, ay + by, az + bz]
}

pub(super) fn dot([ax, ay, az]: Point, [bx, by, bz]: Point) -> f64 {
    ax * bx + ay * by + az * bz
}

pub(super) fn length(vector: Point) -> f64 {
    dot(vector, vector).sqrt()
}
