//! Makes sample values of a type, from nothing but its `Deserialize` implementation.
//!
//! The schema of a type must be known before there is a value of it. A [`Sampler`] is a serde
//! deserializer that answers every request of the type with a made-up value: each `Option` is
//! `Some`, each list has one element, each enum goes through its variants, one value after the
//! other. A leaf whose type refuses a value (a date refuses `""`, a `NonZeroU32` refuses 0) is
//! offered the next of a short list of candidates, and the whole value is made again.
//!
//! What the values are written *as* is not looked at here; that is [`crate::shape`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::error::Unstorable;

/// How deep a type may be nested; a type that contains itself is deeper than any bound.
pub(crate) const DEPTH_MAX: usize = 20;
/// How many values are tried before a type is given up; wide enums need one for each variant.
const ATTEMPTS_MAX: usize = 20_000;

const BOOLS: &[bool] = &[false, true];
const INTEGERS: &[u8] = &[0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 24, 32, 50, 64, 100, 127];
const FLOATS: &[f32] = &[0.0, 1.0, 0.5, 2.0, 10.0, 100.0, -1.0];
const CHARS: &[char] = &['\0', 'a', 'A', '0', ' ', '-'];
const BYTES: &[&[u8]] = &[&[], &[0; 16], &[0; 32], &[0; 4], &[0; 8], &[0; 12], &[0; 20], &[0; 64], &[1]];
const STRINGS: &[&str] = &[
    "",
    "a",
    "0",
    "1",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00",
    "1970-01-01 00:00:00.0 +00:00:00",
    "1970-01-01T00:00:00+00:00[UTC]",
    "1970-01-01",
    "00:00:00",
    "00:00:00.0",
    "PT0S",
    "P0D",
    "1s",
    "UTC",
    "Monday",
    "January",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "[::1]:80",
    "127.0.0.0/8",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000",
    "http://example.com/",
    "example.com",
    "a@example.com",
    "+12025550123",
    "1.0.0",
    "^1.0",
    "true",
    "0.0",
    "en",
    "en-US",
    "EUR",
    "#000000",
    "a/b",
    "text/plain",
    "00",
    "0000000000000000",
    "00000000000000000000000000000000",
    "0000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
];

/// Whether options are filled and lists have an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fill {
    Full,
    Sparse,
}

/// Makes values of `T`: one for each enum variant (at least one), and one with nothing in it.
///
/// # Errors
///
/// The path of the field that no value could be made for, and why.
pub(crate) fn samples<T: DeserializeOwned>() -> Result<Vec<T>, (String, Unstorable)> {
    let mut state = State::default();
    let mut samples = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        state.begin(Fill::Full);
        match T::deserialize(Sampler::root(&mut state)) {
            Ok(sample) => {
                samples.push(sample);
                state.accept();
                if state.variants_are_complete() {
                    // A type may rightly refuse to be empty, so this one is not insisted on.
                    state.begin(Fill::Sparse);
                    samples.extend(T::deserialize(Sampler::root(&mut state)).ok());
                    return Ok(samples);
                }
            }
            Err(error) => state.learn_from(error)?,
        }
    }
    let message = "too many combinations of values".to_owned();
    Err((String::new(), Unstorable::Rejected { message }))
}

/// What is remembered from one value to the next.
#[derive(Default)]
struct State {
    fill: Option<Fill>,
    /// Which candidate a leaf is at, by path.
    candidates: BTreeMap<String, usize>,
    /// The variants of an enum that have had their turn, by path.
    enums: BTreeMap<String, Variants>,
    /// The variants that are part of the value being made.
    visited: Vec<(String, usize)>,
    /// Names that turned out to be aliases of another field, by path of the struct.
    aliases: BTreeSet<(String, usize)>,
    /// The leaf or variant that was answered last, and the leaf that refused its answer.
    last: Option<Choice>,
    refused: Option<Choice>,
    last_key: Option<(String, usize)>,
    fatal: Option<(String, Unstorable)>,
}

#[derive(Clone)]
enum Choice {
    Leaf { path: String, candidates: usize },
    Variant { path: String, variant: usize },
}

struct Variants {
    names: &'static [&'static str],
    seen: BTreeSet<usize>,
}

impl State {
    fn begin(&mut self, fill: Fill) {
        self.fill = Some(fill);
        self.last = None;
        self.refused = None;
        self.last_key = None;
        self.visited.clear();
    }

    /// Takes note of a whole value: the variants in it have had their turn.
    fn accept(&mut self) {
        for (path, variant) in self.visited.drain(..) {
            if let Some(variants) = self.enums.get_mut(&path) {
                variants.seen.insert(variant);
            }
        }
    }

    fn is_sparse(&self) -> bool {
        self.fill == Some(Fill::Sparse)
    }

    /// Changes what will be answered next time, after a value could not be made.
    fn learn_from(&mut self, error: SampleError) -> Result<(), (String, Unstorable)> {
        if let Some(fatal) = self.fatal.take() {
            return Err(fatal);
        }
        if let (SampleError::DuplicateField, Some(key)) = (&error, self.last_key.take()) {
            self.aliases.insert(key);
            return Ok(());
        }
        let message = error.to_string();
        match self.refused.take().or_else(|| self.last.take()) {
            Some(Choice::Leaf { path, candidates }) => {
                let candidate = self.candidates.entry(path.clone()).or_default();
                *candidate += 1;
                if *candidate < candidates { Ok(()) } else { Err((path, Unstorable::Rejected { message })) }
            }
            Some(Choice::Variant { path, variant }) => {
                let unseen = self.enums.get_mut(&path).is_some_and(|variants| variants.seen.insert(variant));
                if unseen { Ok(()) } else { Err((path, Unstorable::Rejected { message })) }
            }
            None => Err((String::new(), Unstorable::Rejected { message })),
        }
    }

    /// Whether all enums that are known have gone through all of their variants.
    fn variants_are_complete(&self) -> bool {
        self.enums.keys().all(|path| self.next_variant(path).is_none())
    }

    /// The first variant of an enum that has not been seen, or that has unseen variants inside.
    fn next_variant(&self, path: &str) -> Option<usize> {
        let variants = self.enums.get(path)?;
        (0..variants.names.len()).find(|variant| {
            let inside = child(path, variants.names[*variant]);
            !variants.seen.contains(variant)
                || self.enums.iter().any(|(other, variants)| {
                    is_within(other, &inside) && variants.seen.len() < variants.names.len()
                })
        })
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_within(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The deserializer of one place in the value.
struct Sampler<'a> {
    state: &'a mut State,
    path: String,
    depth: usize,
}

impl<'a> Sampler<'a> {
    fn root(state: &'a mut State) -> Self {
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
        sampler.state.enums.entry(path.clone()).or_insert_with(|| Variants { names, seen: BTreeSet::new() });
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

/// Why one value could not be made; what matters more is kept in [`State`].
#[derive(Debug)]
enum SampleError {
    Fatal,
    DuplicateField,
    Message(String),
}

impl fmt::Display for SampleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal => formatter.write_str("the type cannot be stored"),
            Self::DuplicateField => formatter.write_str("duplicate field"),
            Self::Message(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for SampleError {}

impl serde::de::Error for SampleError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }

    fn duplicate_field(_field: &'static str) -> Self {
        Self::DuplicateField
    }
}
