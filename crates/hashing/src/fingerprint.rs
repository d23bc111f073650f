//! [`Fingerprint`]: a hash made of labelled parts, which are kept so that a change can be explained.
//!
//! The hash is over the domain, the labels and the parts' hashes, in order. The short texts that stand beside the
//! hashes are for people and are never hashed.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::buffer::Buffer;
use crate::digest::{Kind, finish};
use crate::encoder::{put_length, put_text};
use crate::shown::{Shown, shorten};
use crate::value::hash_value;
use crate::{ContentHash, Error};

/// One labelled part of a [`Fingerprint`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Component {
    /// What the part is, in words.
    pub label: String,
    /// The hash of its value.
    pub hash: ContentHash,
    /// The value as a short text for people; not part of any hash.
    pub shown: String,
}

/// Names a thing by its parts, and keeps them, so that it can be said which part of it has changed.
///
/// ```
/// use rowmark_hashing::{ContentHash, Fingerprint};
///
/// let step = |threshold: f64| {
///     Fingerprint::new("udf step")
///         .with("name", "classify")?
///         .with("captured threshold", &threshold)
/// };
/// let (earlier, now) = (step(0.5)?, step(0.7)?);
/// assert_ne!(earlier.hash(), now.hash());
/// let difference = now.first_difference(&earlier).expect("the hashes differ");
/// assert_eq!(difference.to_string(), "captured threshold: 0.5 → 0.7");
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    domain: String,
    components: Vec<Component>,
}

impl Fingerprint {
    /// Begins a fingerprint without parts; those of different domains are never equal.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.to_owned(), components: Vec::new() }
    }

    /// Adds a value under a label.
    ///
    /// # Errors
    ///
    /// When the value [cannot be hashed](Error); the path in the error begins with the label.
    pub fn with<T: Serialize + ?Sized>(self, label: &str, value: &T) -> Result<Self, Error> {
        let hash = hash_value(value).map_err(|failure| failure.rooted(label))?;
        Ok(self.with_hash(label, hash, Shown(value)))
    }

    /// Adds a value that is known by its hash alone, such as the content of a file.
    ///
    /// ```
    /// use rowmark_hashing::{Fingerprint, hash_reader};
    ///
    /// let content = hash_reader(&b"1,good\n"[..])?;
    /// let source = Fingerprint::new("csv source").with_hash("content", content, "reviews.csv");
    /// assert_eq!(source.get("content").map(|component| component.hash), Some(content));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_hash(mut self, label: &str, hash: ContentHash, shown: impl Display) -> Self {
        self.components.push(Component { label: label.to_owned(), hash, shown: shorten(shown) });
        self
    }

    /// Gives the hash over the domain and all labels and hashes, in order.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let mut buffer = Buffer::default();
        let at = put_text(&mut buffer, 0, &self.domain);
        let at = put_length(&mut buffer, at, self.components.len());
        let end = self.components.iter().fold(at, |at, component| {
            let at = put_text(&mut buffer, at, &component.label);
            buffer.put_slice(at, component.hash.as_bytes())
        });
        let mut sha = Kind::Fingerprint.hasher();
        sha.update(buffer.slice(0, end));
        finish(sha)
    }

    /// Gives the parts, in the order in which they were added.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Gives the domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Gives the first part with this label.
    #[must_use]
    pub fn get(&self, label: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.label == label)
    }

    /// Finds the first part that is not as it was; there is none exactly if the hashes are equal.
    ///
    /// A part that is new has no old text, one that is gone no new text. Where the same parts come in another order,
    /// the texts are their positions.
    #[must_use]
    pub fn first_difference(&self, earlier: &Self) -> Option<Difference> {
        if self.domain != earlier.domain {
            return Some(Difference::new("domain", Some(&earlier.domain), Some(&self.domain)));
        }
        let mut index = 0;
        loop {
            match (earlier.components.get(index), self.components.get(index)) {
                (None, None) => return None,
                (Some(old), Some(new)) if old.label == new.label && old.hash == new.hash => index += 1,
                (Some(old), Some(new)) if old.label == new.label => {
                    return Some(Difference::of_values(old, new));
                }
                (old, new) => return Some(difference_of_labels(earlier, old, self, new, index)),
            }
        }
    }
}

/// Everything before `index` is the same in both, and what stands there has different labels or is missing.
fn difference_of_labels(
    earlier: &Fingerprint,
    old: Option<&Component>,
    now: &Fingerprint,
    new: Option<&Component>,
    index: usize,
) -> Difference {
    let later = |fingerprint: &Fingerprint, label: &str| {
        fingerprint.components.iter().skip(index).position(|component| component.label == label)
    };
    match (old, new) {
        (Some(old), _) if later(now, &old.label).is_none() => {
            // If something else stands in its place under a label of its own, that is told by the next comparison.
            Difference::new(&old.label, Some(&old.shown), None)
        }
        (old, Some(new)) => match later(earlier, &new.label) {
            Some(offset) if old.is_some() => {
                let position = |index: usize| format!("position {}", index + 1);
                Difference::new(&new.label, Some(&position(index + offset)), Some(&position(index)))
            }
            _ => Difference::new(&new.label, None, Some(&new.shown)),
        },
        (Some(old), None) => Difference::new(&old.label, Some(&old.shown), None),
        (None, None) => unreachable!("one of the two fingerprints has a part at this index"),
    }
}

/// One part that differs between two fingerprints, for people.
///
/// ```
/// use rowmark_hashing::Fingerprint;
///
/// let earlier = Fingerprint::new("csv source").with("delimiter", &',')?;
/// let now = earlier.clone().with("row limit", &100)?;
/// let difference = now.first_difference(&earlier).expect("a part was added");
/// assert_eq!(difference.to_string(), "row limit: (none) → 100");
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// The label of the part.
    pub label: String,
    /// What it was; nothing if the part is new.
    pub old: Option<String>,
    /// What it is now; nothing if the part is gone.
    pub new: Option<String>,
}

impl Difference {
    fn new(label: &str, old: Option<&str>, new: Option<&str>) -> Self {
        Self { label: label.to_owned(), old: old.map(str::to_owned), new: new.map(str::to_owned) }
    }

    /// Two texts that look the same although the values differ get the beginnings of their hashes.
    fn of_values(old: &Component, new: &Component) -> Self {
        let text = |component: &Component| {
            let Component { shown, hash, .. } = component;
            if old.shown == new.shown { format!("{shown} ({})", hash.short()) } else { shown.clone() }
        };
        Self::new(&new.label, Some(&text(old)), Some(&text(new)))
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |text: &'_ Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
        write!(f, "{}: {} → {}", self.label, side(&self.old), side(&self.new))
    }
}
