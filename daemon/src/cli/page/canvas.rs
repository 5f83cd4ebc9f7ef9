//! A picture in colour that letters and lines can be drawn on.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixel coordinates of one page; what lies outside is not drawn"
)]

use crate::cli::montage::{self, Plane, Solid};
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_7X13_BOLD, FONT_9X15, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
pub(super) use embedded_graphics::pixelcolor::Rgb888 as Color;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use std::convert::Infallible;
use std::path::Path;

/// Colours of a page.
pub(super) const PAPER: Color = Color::new(250, 250, 248);
pub(super) const INK: Color = Color::new(20, 24, 32);
pub(super) const FAINT: Color = Color::new(120, 126, 138);
pub(super) const RULE: Color = Color::new(214, 216, 220);
pub(super) const ALARM: Color = Color::new(176, 32, 32);
pub(super) const MARK: Color = Color::new(255, 150, 20);
pub(super) const WHITE: Color = Color::new(255, 255, 255);

/// Letters of a page, by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Title,
    Text,
    Small,
    Bold,
}

impl Letters {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Title => &FONT_10X20,
            Self::Text => &FONT_9X15,
            Self::Small => &FONT_7X13,
            Self::Bold => &FONT_7X13_BOLD,
        }
    }

    /// How many of them fit into so many pixels.
    pub(super) fn within(self, pixels: u32) -> usize {
        (pixels / self.font().character_size.width) as usize
    }
}

/// A picture, row after row.
pub(super) struct Canvas {
    size: Size,
    pixels: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let count = (width as usize).saturating_mul(height as usize);
        let pixels = [PAPER.r(), PAPER.g(), PAPER.b()].repeat(count);
        Self { size: Size::new(width, height), pixels }
    }

    /// Writes it as PNG.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let size = [self.size.width as usize, self.size.height as usize];
        montage::png(path, size, png::ColorType::Rgb, &self.pixels)
    }

    /// A line of text, its upper left corner at (x, y).
    pub(super) fn text(&mut self, [x, y]: [i32; 2], letters: Letters, color: Color, text: &str) {
        self.aligned([x, y], (letters, Alignment::Left), color, text);
    }

    /// The same that ends at x.
    pub(super) fn text_to(&mut self, [x, y]: [i32; 2], letters: Letters, color: Color, text: &str) {
        self.aligned([x, y], (letters, Alignment::Right), color, text);
    }

    fn aligned(&mut self, [x, y]: [i32; 2], (letters, side): (Letters, Alignment), color: Color, text: &str) {
        let style = TextStyleBuilder::new().alignment(side).baseline(Baseline::Top).build();
        let letters = MonoTextStyle::new(letters.font(), color);
        let Ok(_next) = Text::with_text_style(text, Point::new(x, y), letters, style).draw(self);
    }

    /// A filled box.
    pub(super) fn fill(&mut self, [x, y]: [i32; 2], [width, height]: [u32; 2], color: Color) {
        let area = Rectangle::new(Point::new(x, y), Size::new(width, height));
        let Ok(()) = area.into_styled(PrimitiveStyle::with_fill(color)).draw(self);
    }

    /// A line, two pixels wide.
    pub(super) fn line(&mut self, [x, y]: [i32; 2], [to_x, to_y]: [i32; 2], color: Color) {
        let line = Line::new(Point::new(x, y), Point::new(to_x, to_y));
        let Ok(()) = line.into_styled(PrimitiveStyle::with_stroke(color, 2)).draw(self);
    }

    /// The edges of a box, cut to the tile whose corner and side are given.
    pub(super) fn frame(&mut self, [low, high]: [[f64; 2]; 2], ([x, y], side): ([i32; 2], u32), color: Color) {
        let on = |at: f64, from: i32| from + (at.clamp(0.0, 1.0) * f64::from(side - 2)) as i32;
        let ([left, top], [right, bottom]) = (low, high);
        let (left, right, top, bottom) = (on(left, x), on(right, x), on(top, y), on(bottom, y));
        for (from, to) in [
            ([left, top], [right, top]),
            ([left, bottom], [right, bottom]),
            ([left, top], [left, bottom]),
            ([right, top], [right, bottom]),
        ] {
            self.line(from, to, color);
        }
    }

    /// A plane of a volume, on black.
    pub(super) fn tile(&mut self, ([x, y], side): ([i32; 2], u32), solid: &Solid<'_>, (plane, depth): (Plane, f64)) {
        let area = Rectangle::new(Point::new(x, y), Size::new(side, side));
        let pixel = |point: Point| {
            let at = [point.x - x, point.y - y].map(|pixel| (f64::from(pixel) + 0.5) / f64::from(side));
            let gray = (solid.brightness(plane, at, depth).unwrap_or_default() * 255.0) as u8;
            Pixel(point, Color::new(gray, gray, gray))
        };
        let Ok(()) = self.draw_iter(area.points().map(pixel));
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Canvas {
    type Color = super::canvas::Color;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Color>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { continue };
            if x >= self.size.width {
                continue;
            }
            let at = (y as usize * self.size.width as usize + x as usize) * 3;
            if let Some(pixel) = self.pixels.get_mut(at..at + 3) {
                pixel.copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}
