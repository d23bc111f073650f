//! The serde side of the encoding: which of a type's calls becomes which value of the model.
//!
//! Newtypes are transparent, names of structs and indexes of variants do not count, and a variant's payload is the
//! value that its data would be on its own: a unit, the newtype's content, a tuple or a struct. A field that
//! the type skips is a field that holds `None`, which is also what a table makes of it.

use serde::ser::{self, Serialize, Serializer};

use crate::encoder::{Encoder, OpenMap, tag};
use crate::error::{Failure, Segment};
use crate::shape::{self, Shape};

/// Where the next value goes.
#[derive(Debug)]
pub(crate) struct At<'a> {
    pub(crate) encoder: &'a mut Encoder,
    pub(crate) position: usize,
}

/// The position after what was written.
type Done = Result<usize, Failure>;

impl<'a> Serializer for At<'a> {
    type Ok = usize;
    type Error = Failure;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Done {
        Ok(self.encoder.boolean(self.position, value))
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Done {
        Ok(self.encoder.signed(self.position, value))
    }

    fn serialize_i128(self, value: i128) -> Done {
        Ok(self.encoder.signed_wide(self.position, value))
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Done {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Done {
        Ok(self.encoder.unsigned(self.position, value))
    }

    fn serialize_u128(self, value: u128) -> Done {
        Ok(self.encoder.unsigned_wide(self.position, value))
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Done {
        Ok(self.encoder.float32(self.position, value))
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Done {
        Ok(self.encoder.float64(self.position, value))
    }

    #[inline]
    fn serialize_char(self, value: char) -> Done {
        Ok(self.encoder.character(self.position, value))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Done {
        Ok(self.encoder.string(self.position, value))
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Done {
        Ok(self.encoder.bytes(self.position, value))
    }

    #[inline]
    fn serialize_none(self) -> Done {
        Ok(self.encoder.tag(self.position, tag::NONE))
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        let Self { encoder, position } = self;
        let position = encoder.enter(position, tag::SOME)?;
        let position = value.serialize(At { encoder, position })?;
        encoder.leave();
        Ok(position)
    }

    #[inline]
    fn serialize_unit(self) -> Done {
        Ok(self.encoder.tag(self.position, tag::UNIT))
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.encoder.unit_variant(self.position, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        let Self { encoder, position } = self;
        let position = encoder.variant(position, variant)?;
        let written = value.serialize(At { encoder, position });
        let position = written.map_err(|failure| failure.in_field(variant))?;
        encoder.leave();
        Ok(position)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Failure> {
        let position = self.encoder.enter(self.position, tag::SEQUENCE)?;
        Ok(Elements { encoder: self.encoder, position, index: 0, variant: None })
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Failure> {
        let position = self.encoder.enter(self.position, tag::TUPLE)?;
        Ok(Elements { encoder: self.encoder, position, index: 0, variant: None })
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Elements<'a>, Failure> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a>, Failure> {
        let position = self.encoder.variant(self.position, variant)?;
        let position = self.encoder.enter(position, tag::TUPLE)?;
        Ok(Elements { encoder: self.encoder, position, index: 0, variant: Some(variant) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Failure> {
        let (map, position) = self.encoder.begin_map(self.position)?;
        Ok(Entries { encoder: self.encoder, position, map, expects_value: false })
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Failure> {
        let position = self.encoder.enter(self.position, tag::STRUCT)?;
        Ok(Fields { encoder: self.encoder, position, shape: shape::EMPTY, variant: None })
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Failure> {
        let position = self.encoder.variant(self.position, variant)?;
        let position = self.encoder.enter(position, tag::STRUCT)?;
        Ok(Fields { encoder: self.encoder, position, shape: shape::EMPTY, variant: Some(variant) })
    }
}

/// The elements of a sequence or a tuple; they need no count, for an end tag follows the last.
#[derive(Debug)]
pub(crate) struct Elements<'a> {
    encoder: &'a mut Encoder,
    position: usize,
    index: usize,
    variant: Option<&'static str>,
}

impl Elements<'_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        match value.serialize(At { encoder: self.encoder, position: self.position }) {
            Ok(position) => self.position = position,
            Err(failure) => {
                let failure = failure.in_index(self.index);
                return Err(self.variant.into_iter().fold(failure, Failure::in_field));
            }
        }
        self.index += 1;
        Ok(())
    }

    #[inline]
    fn finish(self) -> Done {
        if self.variant.is_some() {
            self.encoder.leave();
        }
        Ok(self.encoder.end(self.position))
    }
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeTuple for Elements<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Elements<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Elements<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

/// The entries of a map, in whatever order they come.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    encoder: &'a mut Encoder,
    position: usize,
    map: OpenMap,
    expects_value: bool,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = usize;
    type Error = Failure;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        if std::mem::replace(&mut self.expects_value, true) {
            return Err(ser::Error::custom("a map's key was followed by another key, not by its value"));
        }
        self.encoder.begin_key(&mut self.map, self.position);
        let written = key.serialize(At { encoder: self.encoder, position: self.position });
        self.position = written.map_err(|failure| failure.within(Segment::Key("a key".to_owned())))?;
        self.encoder.begin_value(&self.map, self.position);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.expects_value, false) {
            return Err(ser::Error::custom("a map's value came without its key"));
        }
        let written = value.serialize(At { encoder: self.encoder, position: self.position });
        self.position = written.map_err(|failure| failure.within(self.encoder.current_key(&self.map)))?;
        self.encoder.end_value(&self.map, self.position);
        Ok(())
    }

    fn end(self) -> Done {
        if self.expects_value {
            return Err(ser::Error::custom("a map ended with a key that has no value"));
        }
        self.encoder.end_map(self.map, self.position)
    }
}

/// The fields of a struct.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    encoder: &'a mut Encoder,
    position: usize,
    /// The names so far.
    shape: Shape,
    variant: Option<&'static str>,
}

impl Fields<'_> {
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failure> {
        self.shape = self.encoder.shapes.extend(self.shape, name);
        match value.serialize(At { encoder: self.encoder, position: self.position }) {
            Ok(position) => {
                self.position = position;
                Ok(())
            }
            Err(failure) => {
                let failure = failure.in_field(name);
                Err(self.variant.into_iter().fold(failure, Failure::in_field))
            }
        }
    }

    #[inline(always)]
    fn skip(&mut self, name: &'static str) {
        self.shape = self.encoder.shapes.extend(self.shape, name);
        self.position = self.encoder.tag(self.position, tag::NONE);
    }

    #[inline(always)]
    fn finish(self) -> Done {
        if self.variant.is_some() {
            self.encoder.leave();
        }
        Ok(self.encoder.end_struct(self.position, self.shape))
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        self.field(name, value)
    }

    #[inline(always)]
    fn skip_field(&mut self, name: &'static str) -> Result<(), Failure> {
        self.skip(name);
        Ok(())
    }

    #[inline(always)]
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Fields<'_> {
    type Ok = usize;
    type Error = Failure;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        self.field(name, value)
    }

    #[inline(always)]
    fn skip_field(&mut self, name: &'static str) -> Result<(), Failure> {
        self.skip(name);
        Ok(())
    }

    #[inline(always)]
    fn end(self) -> Done {
        self.finish()
    }
}
