//! Builds DICOM byte by byte, so that any of it can be wrong.

/// A data set in the making, explicit VR little endian.
#[derive(Debug, Clone, Default)]
pub(crate) struct Craft(pub(crate) Vec<u8>);

pub(crate) const UNDEFINED: u32 = u32::MAX;
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

impl Craft {
    /// An element whose length is what is said, not what is there.
    pub(crate) fn lie(mut self, (group, number): (u16, u16), vr: [u8; 2], length: u32, value: &[u8]) -> Self {
        self.0.extend([group.to_le_bytes(), number.to_le_bytes()].concat());
        self.0.extend(vr);
        if matches!(&vr, b"OB" | b"OW" | b"SQ" | b"UN" | b"UT" | b"UC") {
            self.0.extend([0, 0]);
            self.0.extend(length.to_le_bytes());
        } else {
            self.0.extend(u16::try_from(length & 0xffff).unwrap().to_le_bytes());
        }
        self.0.extend(value);
        self
    }

    /// An honest element.
    pub(crate) fn put(self, tag: (u16, u16), vr: [u8; 2], value: &[u8]) -> Self {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == *b"UI" { 0 } else { b' ' });
        }
        self.lie(tag, vr, u32::try_from(value.len()).unwrap(), &value)
    }

    pub(crate) fn text(self, tag: (u16, u16), vr: [u8; 2], value: &str) -> Self {
        self.put(tag, vr, value.as_bytes())
    }

    pub(crate) fn number(self, tag: (u16, u16), value: u16) -> Self {
        self.put(tag, *b"US", &value.to_le_bytes())
    }

    /// The begin of an item, or a delimiter: no value representation.
    pub(crate) fn mark(mut self, number: u16, length: u32) -> Self {
        self.0.extend([0xfffe_u16.to_le_bytes(), number.to_le_bytes()].concat());
        self.0.extend(length.to_le_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

pub(crate) const ITEM: u16 = 0xe000;
pub(crate) const ITEM_END: u16 = 0xe00d;
pub(crate) const SEQUENCE_END: u16 = 0xe0dd;
pub(crate) const PIXELS: (u16, u16) = (0x7fe0, 0x0010);

/// A slice of 16 x 16, with the parts that most lies are about open to change.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) syntax: Vec<u8>,
    pub(crate) class: &'static str,
    pub(crate) series: Vec<u8>,
    pub(crate) modality: &'static str,
    pub(crate) size: [u16; 2],
    /// Allocated, stored, high bit, representation, samples.
    pub(crate) bits: [u16; 5],
    pub(crate) position: &'static str,
    pub(crate) axes: &'static str,
    pub(crate) spacing: &'static str,
    pub(crate) rescale: [&'static str; 2],
    pub(crate) frames: Option<&'static str>,
    /// Written before the pixels, in place of nothing.
    pub(crate) between: Craft,
    pub(crate) pixels: Craft,
}

impl Default for Slice {
    fn default() -> Self {
        let pixels: Vec<u8> = (0..256u16).flat_map(|value| (value * 8).to_le_bytes()).collect();
        Self {
            syntax: EXPLICIT.into(),
            class: CT,
            series: b"2.25.1001".into(),
            modality: "CT",
            size: [16, 16],
            bits: [16, 12, 11, 0, 1],
            position: "0\\0\\0",
            axes: "1\\0\\0\\0\\1\\0",
            spacing: "1\\1",
            rescale: ["-1024", "1"],
            frames: None,
            between: Craft::default(),
            pixels: Craft::default().put(PIXELS, *b"OW", &pixels),
        }
    }
}

impl Slice {
    pub(crate) fn meta(&self) -> Craft {
        let elements = Craft::default().text((2, 2), *b"UI", self.class).put((2, 0x10), *b"UI", &self.syntax);
        let length = u32::try_from(elements.0.len()).unwrap();
        let head = [&[0; 128][..], b"DICM"].concat();
        Craft(head).lie((2, 0), *b"UL", 4, &length.to_le_bytes()).raw(&elements.0)
    }

    pub(crate) fn data(&self) -> Craft {
        let [allocated, stored, high, signed, samples] = self.bits;
        let [intercept, slope] = self.rescale;
        let data = Craft::default()
            .text((8, 0x16), *b"UI", self.class)
            .text((8, 0x18), *b"UI", "2.25.1")
            .text((8, 0x60), *b"CS", self.modality)
            .text((0x10, 0x10), *b"PN", "NOBODY^AT^ALL")
            .text((0x20, 0xd), *b"UI", "2.25.1000")
            .put((0x20, 0xe), *b"UI", &self.series)
            .text((0x20, 0x32), *b"DS", self.position)
            .text((0x20, 0x37), *b"DS", self.axes)
            .number((0x28, 2), samples)
            .text((0x28, 4), *b"CS", "MONOCHROME2");
        let data = match self.frames {
            Some(frames) => data.text((0x28, 8), *b"IS", frames),
            None => data,
        };
        data.number((0x28, 0x10), self.size[0])
            .number((0x28, 0x11), self.size[1])
            .text((0x28, 0x30), *b"DS", self.spacing)
            .number((0x28, 0x100), allocated)
            .number((0x28, 0x101), stored)
            .number((0x28, 0x102), high)
            .number((0x28, 0x103), signed)
            .text((0x28, 0x1052), *b"DS", intercept)
            .text((0x28, 0x1053), *b"DS", slope)
            .raw(&self.between.0)
            .raw(&self.pixels.0)
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        self.meta().raw(&self.data().0).0
    }
}

/// Pixels in fragments behind an offset table.
pub(crate) fn fragments(table: &[u8], pieces: &[&[u8]]) -> Craft {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let begin = Craft::default().lie(PIXELS, *b"OB", UNDEFINED, &[]).mark(ITEM, length(table)).raw(table);
    let items = pieces.iter().fold(begin, |craft, piece| craft.mark(ITEM, length(piece)).raw(piece));
    items.mark(SEQUENCE_END, 0)
}
