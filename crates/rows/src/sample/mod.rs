//! Makes sample values of a type, from nothing but its `Deserialize` implementation.
//!
//! The schema of a type must be known before there is a value of it. A [`Sampler`] is a serde
//! deserializer that answers every request of the type with a made-up value: each `Option` is
//! `Some`, each list has one element, each enum goes through its variants, one value after the
//! other. A leaf whose type refuses a value (a date refuses `""`, a `NonZeroU32` refuses 0) is
//! offered the next of a short list of candidates, and the whole value is made again.
//!
//! What the values are written *as* is not looked at here; that is [`crate::shape`].

mod candidates;
mod sampler;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;

use self::sampler::Sampler;
use crate::error::Unstorable;

/// How deep a type may be nested; a type that contains itself is deeper than any bound.
pub(crate) const DEPTH_MAX: usize = 20;
/// How many values are tried before a type is given up; wide enums need one for each variant.
const ATTEMPTS_MAX: usize = 20_000;

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

#[derive(Default)]
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
