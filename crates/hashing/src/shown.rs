//! Short texts of values, for people: like JSON, on one line, bounded. Nothing here is ever hashed.

use std::fmt::{self, Display, Formatter, Write};

use serde::ser::{self, Serialize, Serializer};

/// The longest text that is kept of a value.
const SHOWN_CHARS_MAX: usize = 120;

/// Gives the beginning of a text on one line, with `…` where it was cut.
pub(crate) fn shorten(text: impl Display) -> String {
    let mut bounded = Bounded { text: String::new(), chars: 0 };
    if write!(bounded, "{text}").is_err() {
        bounded.text.push('…');
    }
    bounded.text
}

/// A text that refuses what is beyond its bound, so that showing a large value ends early.
struct Bounded {
    text: String,
    chars: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            if self.chars == SHOWN_CHARS_MAX {
                return Err(fmt::Error);
            }
            self.text.push(if character.is_control() { ' ' } else { character });
            self.chars += 1;
        }
        Ok(())
    }
}

/// Displays any value that can be serialised.
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Serialize + ?Sized> Display for Shown<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.serialize(Text(f))
    }
}

struct Text<'a, 'b>(&'a mut Formatter<'b>);

macro_rules! display {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> fmt::Result {
            write!(self.0, "{value}")
        })*
    };
}

impl<'a, 'b> Serializer for Text<'a, 'b> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Parts<'a, 'b>;
    type SerializeTuple = Parts<'a, 'b>;
    type SerializeTupleStruct = Parts<'a, 'b>;
    type SerializeTupleVariant = Parts<'a, 'b>;
    type SerializeMap = Parts<'a, 'b>;
    type SerializeStruct = Parts<'a, 'b>;
    type SerializeStructVariant = Parts<'a, 'b>;

    display! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128
    }

    fn serialize_f32(self, value: f32) -> fmt::Result {
        write!(self.0, "{value:?}")
    }

    fn serialize_f64(self, value: f64) -> fmt::Result {
        write!(self.0, "{value:?}")
    }

    fn serialize_char(self, value: char) -> fmt::Result {
        write!(self.0, "{value:?}")
    }

    fn serialize_str(self, value: &str) -> fmt::Result {
        write!(self.0, "{value:?}")
    }

    fn serialize_bytes(self, value: &[u8]) -> fmt::Result {
        self.0.write_str("0x")?;
        value.iter().try_for_each(|byte| write!(self.0, "{byte:02x}"))
    }

    fn serialize_none(self) -> fmt::Result {
        self.0.write_str("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        self.0.write_str("()")
    }

    fn serialize_unit_struct(self, name: &'static str) -> fmt::Result {
        self.0.write_str(name)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> fmt::Result {
        self.0.write_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> fmt::Result {
        write!(self.0, "{variant}(")?;
        value.serialize(Text(self.0))?;
        self.0.write_char(')')
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, "", '[', ']')
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, "", '(', ')')
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, "", '(', ')')
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, variant, '(', ')')
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, "", '{', '}')
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, "", '{', '}')
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a, 'b>, fmt::Error> {
        Parts::begin(self.0, variant, '{', '}')
    }
}

/// What stands between brackets, divided by commas.
struct Parts<'a, 'b> {
    f: &'a mut Formatter<'b>,
    empty: bool,
    close: char,
}

impl<'a, 'b> Parts<'a, 'b> {
    fn begin(
        f: &'a mut Formatter<'b>,
        variant: &'static str,
        open: char,
        close: char,
    ) -> Result<Self, fmt::Error> {
        write!(f, "{variant}{open}")?;
        Ok(Self { f, empty: true, close })
    }

    fn comma(&mut self) -> fmt::Result {
        if std::mem::replace(&mut self.empty, false) { Ok(()) } else { self.f.write_str(", ") }
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.comma()?;
        value.serialize(Text(self.f))
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> fmt::Result {
        self.comma()?;
        write!(self.f, "{name}: ")?;
        value.serialize(Text(self.f))
    }

    fn finish(self) -> fmt::Result {
        self.f.write_char(self.close)
    }
}

impl ser::SerializeSeq for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.part(value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeTuple for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.part(value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.part(value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.part(value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> fmt::Result {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.f.write_str(": ")?;
        value.serialize(Text(self.f))
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> fmt::Result {
        self.field(name, value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> fmt::Result {
        self.field(name, value)
    }

    fn end(self) -> fmt::Result {
        self.finish()
    }
}
