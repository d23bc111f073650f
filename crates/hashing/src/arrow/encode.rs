//! One value of a [`Column`] to its encoding: the counterpart of the serde serializer.

use std::ops::Range;

use super::column::{Blobs, Column, List, Map, Ranges, Texts, Values, index};
use crate::encoder::{Encoder, tag};
use crate::error::{Cause, Failure};

impl Column<'_> {
    /// Writes the value of a row at a position, and gives the position after it.
    pub(super) fn encode(&self, row: usize, encoder: &mut Encoder, at: usize) -> Result<usize, Failure> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        match (self.nullable, is_null) {
            (false, false) => self.values.encode(row, encoder, at),
            (true, true) => Ok(encoder.tag(at, tag::NONE)),
            (true, false) => {
                let at = encoder.enter(at, tag::SOME)?;
                let at = self.values.encode(row, encoder, at)?;
                encoder.leave();
                Ok(at)
            }
            (false, true) => Err(Failure::new(Cause::BadValue("it is null in a column that has no nulls"))),
        }
    }
}

impl Values<'_> {
    fn encode(&self, row: usize, encoder: &mut Encoder, at: usize) -> Result<usize, Failure> {
        Ok(match self {
            Self::Unit => encoder.tag(at, tag::UNIT),
            Self::None => encoder.tag(at, tag::NONE),
            Self::Boolean(array) => encoder.boolean(at, array.value(row)),
            Self::Int8(array) => encoder.signed(at, array.value(row).into()),
            Self::Int16(array) => encoder.signed(at, array.value(row).into()),
            Self::Int32(array) => encoder.signed(at, array.value(row).into()),
            Self::Int64(array) => encoder.signed(at, array.value(row)),
            Self::UInt8(array) => encoder.unsigned(at, array.value(row).into()),
            Self::UInt16(array) => encoder.unsigned(at, array.value(row).into()),
            Self::UInt32(array) => encoder.unsigned(at, array.value(row).into()),
            Self::UInt64(array) => encoder.unsigned(at, array.value(row)),
            Self::Float32(array) => encoder.float32(at, array.value(row)),
            Self::Float64(array) => encoder.float64(at, array.value(row)),
            Self::Integer(value) => encoder.signed_wide(at, value(row)),
            Self::Char(array) => {
                let no_char = || Failure::new(Cause::BadValue("it is no Unicode scalar value"));
                encoder.character(at, char::from_u32(array.value(row)).ok_or_else(no_char)?)
            }
            Self::Text(texts) => encoder.string(at, texts.get(row)),
            Self::Variant(texts) => encoder.unit_variant(at, texts.get(row))?,
            Self::Bytes(blobs) => encoder.bytes(at, blobs.get(row)),
            Self::Sequence(list) => list.encode(tag::SEQUENCE, row, encoder, at)?,
            Self::FixedTuple(list) => list.encode(tag::TUPLE, row, encoder, at)?,
            Self::Tuple(columns) => {
                let mut at = encoder.enter(at, tag::TUPLE)?;
                for (position, column) in columns.iter().enumerate() {
                    at = column.encode(row, encoder, at).map_err(|failure| failure.in_index(position))?;
                }
                encoder.end(at)
            }
            Self::Struct(fields, known) => {
                let mut at = encoder.enter(at, tag::STRUCT)?;
                for (name, column) in fields {
                    at = column.encode(row, encoder, at).map_err(|failure| failure.in_field(name))?;
                }
                let shape = encoder.shapes.recall(known, || fields.iter().map(|(name, _)| *name));
                encoder.end_struct(at, shape)
            }
            Self::Map(map) => map.encode(row, encoder, at)?,
            Self::Union(array, variants) => {
                let variant = variants.get(index(array.type_id(row))).and_then(Option::as_ref);
                let unknown = || Failure::new(Cause::BadValue("its variant is not one of the union's"));
                let (name, column) = variant.ok_or_else(unknown)?;
                let at = encoder.variant(at, name)?;
                let written = column.encode(array.value_offset(row), encoder, at);
                let at = written.map_err(|failure| failure.in_field(name))?;
                encoder.leave();
                at
            }
            Self::Dictionary(keys, values) => values.encode(keys[row], encoder, at)?,
        })
    }
}

impl List<'_> {
    fn encode(&self, tag: u8, row: usize, encoder: &mut Encoder, at: usize) -> Result<usize, Failure> {
        let mut at = encoder.enter(at, tag)?;
        for (position, element) in self.ranges.get(row).enumerate() {
            at = self.elements.encode(element, encoder, at).map_err(|failure| failure.in_index(position))?;
        }
        Ok(encoder.end(at))
    }
}

impl Map<'_> {
    fn encode(&self, row: usize, encoder: &mut Encoder, at: usize) -> Result<usize, Failure> {
        let (mut map, mut at) = encoder.begin_map(at)?;
        for entry in index(self.offsets[row])..index(self.offsets[row + 1]) {
            encoder.begin_key(&mut map, at);
            at = self.keys.encode(entry, encoder, at)?;
            encoder.begin_value(&map, at);
            let written = self.values.encode(entry, encoder, at);
            at = written.map_err(|failure| failure.within(encoder.current_key(&map)))?;
            encoder.end_value(&map, at);
        }
        encoder.end_map(map, at)
    }
}

impl Ranges<'_> {
    fn get(&self, row: usize) -> Range<usize> {
        match self {
            Self::Small(offsets) => index(offsets[row])..index(offsets[row + 1]),
            Self::Large(offsets) => index(offsets[row])..index(offsets[row + 1]),
            Self::SmallView(offsets, sizes) => index(offsets[row])..index(offsets[row] + sizes[row]),
            Self::LargeView(offsets, sizes) => index(offsets[row])..index(offsets[row] + sizes[row]),
            Self::Fixed(length) => row * length..(row + 1) * length,
        }
    }
}

impl Texts<'_> {
    fn get(&self, row: usize) -> &str {
        match self {
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }
}

impl Blobs<'_> {
    fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
            Self::Fixed(array) => array.value(row),
        }
    }
}
