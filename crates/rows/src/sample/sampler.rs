//! The deserializer that answers a type's requests, one place of the value at a time.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::candidates::{BOOLS, BYTES, CHARS, FLOATS, INTEGERS, STRINGS};
use super::{Choice, DEPTH_MAX, SampleError, State, Variants, child};
use crate::error::Unstorable;

/// The deserializer of one place in the value.
pub(super) struct Sampler<'a> {
    state: &'a mut State,
    path: String,
    depth: usize,
}

impl<'a> Sampler<'a> {
    pub(super) fn root(state: &'a mut State) -> Self {
        Self { state, path: String::new(), depth: 0 }
    }

    fn inner(&mut self, name: &str) -> Sampler<'_> {
        Sampler { path: child(&self.path, name), depth: self.depth + 1, state: self.state }
    }

    fn fail<T>(self, reason: Unstorable) -> Result<T, SampleError> {
        self.state.fatal.get_or_insert((self.path, reason));
        Err(SampleError::Fatal)
    }

    fn check_depth(self) -> Result<Self, SampleError> {
        if self.depth < DEPTH_MAX {
            Ok(self)
        } else {
            self.fail(Unstorable::TooDeep { depth_max: DEPTH_MAX })
        }
    }

    /// Answers with a candidate, and takes note if the type refuses it.
    fn answer<C: Copy, T>(
        self,
        candidates: &[C],
        visit: impl FnOnce(C) -> Result<T, SampleError>,
    ) -> Result<T, SampleError> {
        let index = self.state.candidates.get(&self.path).copied().unwrap_or(0);
        let choice = Choice::Leaf { path: self.path, candidates: candidates.len() };
        self.state.last = Some(choice.clone());
        let answer = visit(candidates[index.min(candidates.len() - 1)]);
        if answer.is_err() {
            self.state.refused.get_or_insert(choice);
        }
        answer
    }
}

macro_rules! answer_number {
    ($($method:ident $visit:ident $number:ty, $candidates:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
            self.answer($candidates, |value| visitor.$visit(<$number>::try_from(value).unwrap_or_default()))
        })*
    };
}

impl<'de> Deserializer<'de> for Sampler<'_> {
    type Error = SampleError;

    answer_number! {
        deserialize_i8 visit_i8 i8, INTEGERS;
        deserialize_i16 visit_i16 i16, INTEGERS;
        deserialize_i32 visit_i32 i32, INTEGERS;
        deserialize_i64 visit_i64 i64, INTEGERS;
        deserialize_u8 visit_u8 u8, INTEGERS;
        deserialize_u16 visit_u16 u16, INTEGERS;
        deserialize_u32 visit_u32 u32, INTEGERS;
        deserialize_u64 visit_u64 u64, INTEGERS;
        deserialize_f32 visit_f32 f32, FLOATS;
        deserialize_f64 visit_f64 f64, FLOATS;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(BOOLS, |value| visitor.visit_bool(value))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(CHARS, |value| visitor.visit_char(value))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(STRINGS, |value| visitor.visit_str(value))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(STRINGS, |value| visitor.visit_string(value.to_owned()))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(BYTES, |value| visitor.visit_bytes(value))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.answer(BYTES, |value| visitor.visit_byte_buf(value.to_vec()))
    }

    fn deserialize_i128<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, SampleError> {
        self.fail(Unstorable::Integer128)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, SampleError> {
        self.fail(Unstorable::Integer128)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, SampleError> {
        self.fail(Unstorable::SelfDescribing)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        if self.state.is_sparse() {
            return visitor.visit_none();
        }
        let sampler = self.check_depth()?;
        visitor.visit_some(Sampler { depth: sampler.depth + 1, ..sampler })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        let sampler = self.check_depth()?;
        visitor.visit_newtype_struct(Sampler { depth: sampler.depth + 1, ..sampler })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        let left = usize::from(!self.state.is_sparse());
        visitor.visit_seq(Elements { sampler: self.check_depth()?, next: 0, left, is_list: true })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_seq(Elements { sampler: self.check_depth()?, next: 0, left: len, is_list: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        let left = usize::from(!self.state.is_sparse());
        visitor.visit_map(Entries { sampler: self.check_depth()?, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        visitor.visit_map(Fields { sampler: self.check_depth()?, fields, next: 0 })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        let sampler = self.check_depth()?;
        if names.is_empty() {
            return sampler.fail(Unstorable::NoVariants);
        }
        let path = sampler.path.clone();
        sampler.state.enums.entry(path.clone()).or_insert_with(|| Variants { names, ..Variants::default() });
        let variant = sampler.state.next_variant(&path).unwrap_or(0);
        sampler.state.last = Some(Choice::Variant { path: path.clone(), variant });
        sampler.state.visited.push((path.clone(), variant));
        let name = names[variant];
        let inside = Sampler { path: child(&path, name), depth: sampler.depth + 1, state: sampler.state };
        visitor.visit_enum(Variant { sampler: inside, name })
    }
}

/// The elements of a list, an array or a tuple.
struct Elements<'a> {
    sampler: Sampler<'a>,
    next: usize,
    left: usize,
    is_list: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = SampleError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SampleError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let name = if self.is_list { "item".to_owned() } else { self.next.to_string() };
        self.next += 1;
        seed.deserialize(self.sampler.inner(&name)).map(Some)
    }
}

/// The one entry of a map, or none.
struct Entries<'a> {
    sampler: Sampler<'a>,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = SampleError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, SampleError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.sampler.inner("key")).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, SampleError> {
        seed.deserialize(self.sampler.inner("value"))
    }
}

/// The fields of a struct, in the order in which the type lists them.
struct Fields<'a> {
    sampler: Sampler<'a>,
    fields: &'static [&'static str],
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = SampleError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, SampleError> {
        while self.next < self.fields.len() {
            let key = (self.sampler.path.clone(), self.next);
            self.next += 1;
            if !self.sampler.state.aliases.contains(&key) {
                let name = self.fields[key.1];
                self.sampler.state.last_key = Some(key);
                return seed.deserialize(StrDeserializer::new(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, SampleError> {
        let name = self.fields[self.next - 1];
        seed.deserialize(self.sampler.inner(name))
    }
}

/// One variant of an enum.
struct Variant<'a> {
    sampler: Sampler<'a>,
    name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = SampleError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), SampleError> {
        let value = seed.deserialize(StrDeserializer::new(self.name))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = SampleError;

    fn unit_variant(self) -> Result<(), SampleError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, SampleError> {
        seed.deserialize(self.sampler)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, SampleError> {
        self.sampler.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        self.sampler.deserialize_struct("", fields, visitor)
    }
}
