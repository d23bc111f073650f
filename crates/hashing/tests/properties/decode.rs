//! Reads an encoding back, by the page and not by the encoder: what can be read back is injective.

use rowmark_hashing::strategies::Value;

pub(crate) fn value(bytes: &[u8]) -> Value {
    let mut decoder = Decoder { bytes, shapes: Vec::new() };
    let value = decoder.value();
    assert!(decoder.bytes.is_empty(), "{} bytes are left", decoder.bytes.len());
    value
}

struct Decoder<'a> {
    bytes: &'a [u8],
    shapes: Vec<Vec<&'static str>>,
}

impl Decoder<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    fn array<const N: usize>(&mut self, count: usize) -> [u8; N] {
        let mut array = [0; N];
        array[..count].copy_from_slice(self.take(count));
        array
    }

    fn length(&mut self) -> usize {
        let byte = usize::from(self.take(1)[0]);
        if byte < 0x80 { byte } else { byte - 0x80 + (self.length() << 7) }
    }

    fn text(&mut self) -> String {
        let length = self.length();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn name(&mut self) -> &'static str {
        Box::leak(self.text().into_boxed_str())
    }

    /// What `item` reads until the end tag.
    fn until_end<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        while self.bytes[0] != 0 {
            items.push(item(self));
        }
        self.take(1);
        items
    }

    /// A value in a scope of its own.
    fn alone(&mut self) -> Value {
        let outer = std::mem::take(&mut self.shapes);
        let value = self.value();
        self.shapes = outer;
        value
    }

    fn value(&mut self) -> Value {
        match self.take(1)[0] {
            0x01 => Value::Unit,
            0x02 => Value::Bool(false),
            0x03 => Value::Bool(true),
            0x04 => Value::None,
            0x05 => Value::Some(Box::new(self.value())),
            0x06 => Value::F32(f32::from_le_bytes(self.array(4))),
            0x07 => Value::F64(f64::from_le_bytes(self.array(8))),
            0x08 => Value::Char(char::from_u32(u32::from_le_bytes(self.array(4))).unwrap()),
            0x09 => Value::String(self.text()),
            0x0a => {
                let length = self.length();
                Value::Bytes(self.take(length).to_vec())
            }
            0x0b => Value::Sequence(self.until_end(Self::value)),
            0x0c => Value::Tuple(self.until_end(Self::value)),
            0x0d => Value::Map(self.until_end(|decoder| (decoder.alone(), decoder.alone()))),
            0x0e => {
                let values = self.until_end(Self::value);
                let number = self.length();
                if number == self.shapes.len() {
                    let fields = self.length();
                    let shape = (0..fields).map(|_| self.name()).collect();
                    self.shapes.push(shape);
                }
                let names = &self.shapes[number];
                assert_eq!(names.len(), values.len());
                Value::Struct(names.iter().copied().zip(values).collect())
            }
            0x0f => {
                let name = self.name();
                Value::Variant(name, Some(Box::new(self.value())))
            }
            tag @ 0x10..=0x20 => Value::Unsigned(u128::from_le_bytes(self.array(usize::from(tag - 0x10)))),
            tag @ 0x30..=0x40 => Value::Signed(-1 - i128::from_le_bytes(self.array(usize::from(tag - 0x30)))),
            tag => panic!("no value begins with {tag:#x}"),
        }
    }
}
