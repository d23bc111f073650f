//! What can go wrong, and where in the value it did.
//!
//! A failure deep in a value travels up as a [`Failure`], one pointer wide, and collects the names of the
//! fields it passes; nothing is kept for a value that hashes well. At the public entry it becomes an
//! [`Error`] whose path starts at the root the caller knows, such as `rows[17].meta.tags`.

use std::fmt::{self, Display, Write as _};

/// Says why a value has no hash, or why a text is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A map gave two entries whose keys are the same value.
    #[error("cannot hash {path}: the map has the key {key} twice; keep one entry for each key")]
    DuplicateKey {
        /// Where the map is, from the root of what was hashed.
        path: String,
        /// The key, shortened for people.
        key: String,
    },
    /// The `Serialize` implementation of a type answered an error.
    #[error("cannot hash {path}: its serializer refused: {message}")]
    Serializer {
        /// Where the value is, from the root of what was hashed.
        path: String,
        /// What the implementation said.
        message: String,
    },
    /// A value is nested deeper than [`DEPTH_MAX`](crate::DEPTH_MAX).
    #[error("cannot hash {path}: it is nested deeper than {depth_max} levels; flatten it")]
    TooDeep {
        /// Where the first level too many is, from the root of what was hashed.
        path: String,
        /// The bound.
        depth_max: usize,
    },
    /// The values of a column of an Arrow record batch are not known for certain.
    #[cfg(feature = "arrow")]
    #[error("cannot hash column {column} of type {data_type}: {reason}")]
    Column {
        /// The names of the column and of the fields in it, joined by dots.
        column: String,
        /// Its Arrow type.
        data_type: String,
        /// Why, and what can be done.
        reason: &'static str,
    },
    /// An Arrow array holds a value that its field or type does not allow.
    #[cfg(feature = "arrow")]
    #[error("cannot hash {path}: {reason}")]
    BadValue {
        /// Where the value is, from the root of what was hashed.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is not 64 hexadecimal digits.
    #[error("cannot read {text:?} as a content hash: expected 64 hexadecimal digits")]
    NotAHash {
        /// The text, shortened.
        text: String,
    },
}

/// One step from a value to a part of it.
#[derive(Debug)]
pub(crate) enum Segment {
    Field(String),
    Index(usize),
    Key(String),
}

#[derive(Debug)]
pub(crate) enum Cause {
    DuplicateKey(String),
    Serializer(String),
    TooDeep,
    #[cfg(feature = "arrow")]
    BadValue(&'static str),
}

#[derive(Debug)]
struct Located {
    /// Innermost first.
    path: Vec<Segment>,
    cause: Cause,
}

/// A failure on its way up; boxed, so that the result of a success is one word.
#[derive(Debug)]
pub(crate) struct Failure(Box<Located>);

impl Failure {
    #[cold]
    pub(crate) fn new(cause: Cause) -> Self {
        Self(Box::new(Located { path: Vec::new(), cause }))
    }

    #[cold]
    pub(crate) fn within(mut self, segment: Segment) -> Self {
        self.0.path.push(segment);
        self
    }

    #[cold]
    pub(crate) fn in_field(self, name: &str) -> Self {
        self.within(Segment::Field(name.to_owned()))
    }

    #[cold]
    pub(crate) fn in_index(self, index: usize) -> Self {
        self.within(Segment::Index(index))
    }

    /// Names the root and becomes what the caller sees.
    #[cold]
    pub(crate) fn rooted(self, root: &str) -> Error {
        let mut path = root.to_owned();
        for segment in self.0.path.iter().rev() {
            // Writing to a `String` cannot fail.
            let _ = match segment {
                Segment::Field(name) if is_plain_name(name) => write!(path, ".{name}"),
                Segment::Field(name) => write!(path, "[{name:?}]"),
                Segment::Index(index) => write!(path, "[{index}]"),
                Segment::Key(key) => write!(path, "[{key}]"),
            };
        }
        match self.0.cause {
            Cause::DuplicateKey(key) => Error::DuplicateKey { path, key },
            Cause::Serializer(message) => Error::Serializer { path, message },
            Cause::TooDeep => Error::TooDeep { path, depth_max: crate::DEPTH_MAX },
            #[cfg(feature = "arrow")]
            Cause::BadValue(reason) => Error::BadValue { path, reason },
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| character.is_alphanumeric() || character == '_')
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::DuplicateKey(key) => write!(f, "the map has the key {key} twice"),
            Cause::Serializer(message) => f.write_str(message),
            Cause::TooDeep => write!(f, "nested deeper than {} levels", crate::DEPTH_MAX),
            #[cfg(feature = "arrow")]
            Cause::BadValue(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Failure {}

impl serde::ser::Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Cause::Serializer(message.to_string()))
    }
}
