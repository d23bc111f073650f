//! One value of a [`Column`] to its encoding: the counterpart of the serde serializer.

use std::ops::Range;

use super::column::{Blobs, Column, Map, Ranges, Texts, Values, index};
use crate::encoder::{Encoder, tag};
use crate::error::{Cause, Failure};

impl Column<'_> {
    pub(super) fn encode(&self, row: usize, encoder: &mut Encoder) -> Result<(), Failure> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        match (self.nullable, is_null) {
            (false, false) => self.values.encode(row, encoder),
            (true, true) => {
                encoder.tag(tag::NONE);
                Ok(())
            }
            (true, false) => {
                encoder.enter(tag::SOME)?;
                self.values.encode(row, encoder)?;
                encoder.leave();
                Ok(())
            }
            (false, true) => Err(Failure::new(Cause::BadValue("it is null in a column that has no nulls"))),
        }
    }
}

impl Values<'_> {
    fn encode(&self, row: usize, encoder: &mut Encoder) -> Result<(), Failure> {
        match self {
            Self::Unit => encoder.tag(tag::UNIT),
            Self::None => encoder.tag(tag::NONE),
            Self::Boolean(array) => encoder.boolean(array.value(row)),
            Self::Int8(array) => encoder.signed(array.value(row).into()),
            Self::Int16(array) => encoder.signed(array.value(row).into()),
            Self::Int32(array) => encoder.signed(array.value(row).into()),
            Self::Int64(array) => encoder.signed(array.value(row)),
            Self::UInt8(array) => encoder.unsigned(array.value(row).into()),
            Self::UInt16(array) => encoder.unsigned(array.value(row).into()),
            Self::UInt32(array) => encoder.unsigned(array.value(row).into()),
            Self::UInt64(array) => encoder.unsigned(array.value(row)),
            Self::Float32(array) => encoder.float32(array.value(row)),
            Self::Float64(array) => encoder.float64(array.value(row)),
            Self::Integer(value) => encoder.signed_wide(value(row)),
            Self::Char(array) => {
                let character = char::from_u32(array.value(row));
                encoder.character(
                    character
                        .ok_or_else(|| Failure::new(Cause::BadValue("it is no Unicode scalar value")))?,
                );
            }
            Self::Text(texts) => encoder.string(texts.get(row)),
            Self::Variant(texts) => encoder.unit_variant(texts.get(row))?,
            Self::Bytes(blobs) => encoder.bytes(blobs.get(row)),
            Self::Sequence(list) => {
                encode_elements(tag::SEQUENCE, list.ranges.get(row), &list.elements, encoder)?;
            }
            Self::FixedTuple(list) => {
                encode_elements(tag::TUPLE, list.ranges.get(row), &list.elements, encoder)?;
            }
            Self::Tuple(columns) => {
                encoder.enter(tag::TUPLE)?;
                for (position, column) in columns.iter().enumerate() {
                    column.encode(row, encoder).map_err(|failure| failure.in_index(position))?;
                }
                encoder.end();
            }
            Self::Struct(fields, known) => {
                encoder.enter(tag::STRUCT)?;
                for (name, column) in fields {
                    column.encode(row, encoder).map_err(|failure| failure.in_field(name))?;
                }
                let names = || fields.iter().map(|(name, _)| *name);
                let shape = encoder.shapes.recall(known, names);
                encoder.end_struct(shape);
            }
            Self::Map(map) => map.encode(row, encoder)?,
            Self::Union(array, variants) => {
                let variant = variants.get(index(array.type_id(row))).and_then(Option::as_ref);
                let (name, column) = variant
                    .ok_or_else(|| Failure::new(Cause::BadValue("its variant is not one of the union's")))?;
                encoder.variant(name)?;
                let payload = column.encode(array.value_offset(row), encoder);
                payload.map_err(|failure| failure.in_field(name))?;
                encoder.leave();
            }
            Self::Dictionary(keys, values) => values.encode(keys[row], encoder)?,
        }
        Ok(())
    }
}

fn encode_elements(
    tag: u8,
    range: Range<usize>,
    elements: &Column<'_>,
    encoder: &mut Encoder,
) -> Result<(), Failure> {
    encoder.enter(tag)?;
    for (position, element) in range.enumerate() {
        elements.encode(element, encoder).map_err(|failure| failure.in_index(position))?;
    }
    encoder.end();
    Ok(())
}

impl Map<'_> {
    fn encode(&self, row: usize, encoder: &mut Encoder) -> Result<(), Failure> {
        let mut map = encoder.begin_map()?;
        for entry in index(self.offsets[row])..index(self.offsets[row + 1]) {
            encoder.begin_key(&mut map);
            self.keys.encode(entry, encoder)?;
            encoder.begin_value(&map);
            let value = self.values.encode(entry, encoder);
            value.map_err(|failure| failure.within(encoder.current_key(&map)))?;
            encoder.end_value(&map);
        }
        encoder.end_map(map)
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
