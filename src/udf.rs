//! UDFs: the user's functions, each with an identity.
//!
//! Invariant: identities are total. What cannot be identified does not compile as a step (a plain
//! function or closure is no [`Udf`]) or is an error when the chain runs (a captured value that
//! cannot be hashed); there is no fallback to text, to an address or to a random number.

use std::fmt;

use rowmark_hashing::{ContentHash, Fingerprint};
use serde::Serialize;

use crate::BoxError;
use crate::typed::{full_type, path_around, shown_type};

/// A function whose identity is known: of one row, of a slice of rows (`[Row]`), or of a
/// [`Group`](crate::Group) of rows.
///
/// It is written with [`#[rowmark::udf]`](macro@crate::udf) (on a function, or on the `impl` block of a
/// struct with configuration) or [`udf!`](crate::prelude::udf) (a closure), not by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a UDF over rows of type `{In}`",
    label = "not a UDF over `{In}`: its identity is not known, or its row is of another type",
    note = "mark a function with `#[rowmark::udf]`, or wrap a closure: `udf!(\"name\", |row: &{In}| …)`"
)]
pub trait Udf<In: ?Sized>: Send + Sync + 'static {
    /// What the function gives for a row.
    type Output;

    /// What each worker keeps between rows, such as a loaded model or a connection; mostly `()`. It is made
    /// on the worker's thread and stays there, so it need not be `Send`.
    type State;

    /// Makes the state of one worker.
    ///
    /// # Errors
    /// Whatever the user's `setup` answers.
    fn setup(&self) -> Result<Self::State, BoxError>;

    /// Computes one row.
    ///
    /// # Errors
    /// Whatever the user's function answers.
    fn call(&self, state: &mut Self::State, row: &In) -> Result<Self::Output, BoxError>;

    /// The function's name, parameters and code.
    fn identity(&self) -> Identity;
}

/// A function that takes one row after another into a state, with an identity: what
/// [`fold`](crate::Chain::fold) runs.
///
/// It is written as a UDF with two arguments, the first of them `&mut` state:
/// `udf!("total", |sum: &mut u64, n: &u64| *sum += n)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fold rows of type `{In}` into `{State}`",
    label = "takes no `(&mut {State}, &{In})`, or its identity is not known",
    note = "wrap a closure: `udf!(\"name\", |state: &mut {State}, row: &{In}| …)`, or mark a function with `#[rowmark::udf]`"
)]
pub trait FoldUdf<State, In>: Send + Sync + 'static {
    /// Takes one row into the state.
    ///
    /// # Errors
    /// Whatever the user's function answers; the fold then goes on from the last saved state.
    fn fold(&self, state: &mut State, row: &In) -> Result<(), BoxError>;

    /// The function's name, parameters and code.
    fn identity(&self) -> Identity;
}

/// A function whose code was hashed by `#[udf]`, so that others can name it in `uses(…)`.
pub trait Tracked {
    /// The identity of the code, with everything that it uses.
    fn code(&self) -> Code;
}

/// What `uses(…)` can name: a constant that serialises, or a marked function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be named in `uses(…)`",
    label = "its identity is not known",
    note = "mark a function that UDFs call with `#[rowmark::udf(helper)]`; a constant's type must implement `serde::Serialize`"
)]
pub trait Used: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Used for T {}

/// What makes one UDF another: its name, its parameters (captured values, fields), its code.
///
/// A value that cannot be hashed is kept as an error and told when the chain runs.
///
/// Of a parameter its value counts among the parameters, and its type with the code: code does other things with a
/// value of another type, also where the value is the same.
#[derive(Clone, Debug)]
pub struct Identity {
    name: &'static str,
    parameters: Labelled,
    /// The parameters' types: label and type.
    types: Vec<(String, String)>,
    code: Code,
    names_self: bool,
}

impl Identity {
    /// Begins the identity of a UDF with this name.
    pub fn new(name: &'static str) -> Self {
        let (parameters, code) = (Labelled::new("rowmark.udf.parameters"), Code(Labelled::new(CODE)));
        Self { name, parameters, types: Vec::new(), code, names_self: false }
    }

    /// Adds a parameter: a value that the function works with. Its type counts without its module.
    #[must_use]
    pub fn parameter<T: Serialize + ?Sized>(self, label: &str, value: &T) -> Self {
        self.parameter_of_type(label, value, shown_type(value))
    }

    /// Adds a captured value. Its type counts with its path, since the code does not name it.
    #[must_use]
    pub fn captured<T: Serialize>(self, label: &str, value: &T) -> Self {
        self.parameter_of_type(label, value, full_type(value))
    }

    fn parameter_of_type<T: Serialize + ?Sized>(
        mut self,
        label: &str,
        value: &T,
        r#type: Option<String>,
    ) -> Self {
        self.parameters.add(label, value);
        if let Some(shown) = r#type {
            let label = format!("{label} type");
            self.code.0.add(&label, &shown);
            self.types.push((label, shown));
        }
        self
    }

    /// Sets the code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        for (label, shown) in &self.types {
            self.code.0.add(label, shown);
        }
        self
    }

    /// Says that a closure's code names `Self`, which stands around it.
    #[doc(hidden)]
    #[must_use]
    pub fn naming_self(self) -> Self {
        Self { names_self: true, ..self }
    }

    /// Adds what a closure can use of the code that it stands in: type arguments, and `Self`.
    fn within<F>(mut self) -> Self {
        if let Some(path) = path_around::<F>(self.names_self) {
            self.code.0.add("code around it", path);
        }
        self
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The parameters, as labelled components.
    ///
    /// # Errors
    /// One of them cannot be hashed.
    pub fn parameters(&self) -> Result<&Fingerprint, IdentityError> {
        self.parameters.get(self.name)
    }

    /// The code, as labelled components.
    ///
    /// # Errors
    /// A value that it uses cannot be hashed.
    pub fn code_fingerprint(&self) -> Result<&Fingerprint, IdentityError> {
        self.code.0.get(self.name)
    }
}

const CODE: &str = "rowmark.udf.code";

/// The identity of a piece of code: its body's hash or declared version, and what it uses.
#[derive(Clone, Debug)]
pub struct Code(Labelled);

impl Code {
    /// The code whose canonical tokens have this hash.
    pub fn body(hash: [u8; 32]) -> Self {
        let hash = ContentHash::from_bytes(hash);
        Self(Labelled(Ok(Fingerprint::new(CODE).with_hash("body", hash, hash.short()))))
    }

    /// Code that is known by a version number instead of its body.
    pub fn version(version: u64) -> Self {
        let mut code = Labelled::new(CODE);
        code.add("version", &version);
        Self(code)
    }

    /// Adds a constant or a marked function that the code uses.
    #[must_use]
    pub fn uses<T: Used + ?Sized>(mut self, label: &str, value: &T) -> Self {
        self.0.add(label, value);
        if let Some(shown) = full_type(value) {
            self.0.add(&format!("{label} type"), &shown);
        }
        self
    }

    /// The hash over all of it.
    ///
    /// # Errors
    /// A value that it uses cannot be hashed.
    pub fn hash(&self, name: &str) -> Result<ContentHash, IdentityError> {
        self.0.get(name).map(Fingerprint::hash)
    }
}

/// A value that belongs to the identity of a UDF cannot be hashed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{label}` is part of the identity of the UDF `{udf}` and cannot be hashed: {reason}")]
#[non_exhaustive]
pub struct IdentityError {
    /// The UDF's name.
    pub udf: String,
    /// Which of its parameters, or of what its code uses.
    pub label: String,
    /// What is wrong with the value.
    pub reason: String,
}

/// Labelled components of an identity, or the first that could not be hashed and why.
#[derive(Clone, Debug)]
struct Labelled(Result<Fingerprint, (String, String)>);

impl Labelled {
    fn new(domain: &str) -> Self {
        Self(Ok(Fingerprint::new(domain)))
    }

    fn add<T: Serialize + ?Sized>(&mut self, label: &str, value: &T) {
        if let Ok(fingerprint) = &self.0 {
            let longer = fingerprint.clone().with(label, value);
            self.0 = longer.map_err(|error| (label.to_owned(), error.to_string()));
        }
    }

    fn get(&self, udf: &str) -> Result<&Fingerprint, IdentityError> {
        self.0.as_ref().map_err(|(label, reason)| IdentityError {
            udf: udf.to_owned(),
            label: label.clone(),
            reason: reason.clone(),
        })
    }
}

/// What the macros' code calls; no part of the API.
#[doc(hidden)]
pub mod private {
    pub use serde::{Serialize, Serializer};

    use super::{BoxError, FoldUdf, Identity, Tracked, Udf, fmt};

    /// A closure with its identity, made by `udf!`.
    pub struct Closure<F> {
        identity: Identity,
        function: F,
    }

    impl<F> fmt::Debug for Closure<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Closure").field(&self.identity.name()).finish()
        }
    }

    /// `make` is a `fn` pointer so that it cannot capture: what the closure uses is in `captures`.
    pub fn closure_of_its_captures<In: ?Sized, Out, Captures, F>(
        identity: Identity,
        captures: Captures,
        make: fn(Captures) -> F,
    ) -> Closure<F>
    where
        F: Fn(&In) -> Result<Out, BoxError>,
    {
        Closure { identity: identity.within::<F>(), function: make(captures) }
    }

    impl<In: ?Sized, Out, F> Udf<In> for Closure<F>
    where
        F: Fn(&In) -> Result<Out, BoxError> + Send + Sync + 'static,
    {
        type Output = Out;
        type State = ();

        fn setup(&self) -> Result<(), BoxError> {
            Ok(())
        }

        fn call(&self, (): &mut (), row: &In) -> Result<Out, BoxError> {
            (self.function)(row)
        }

        fn identity(&self) -> Identity {
            self.identity.clone()
        }
    }

    /// As [`closure_of_its_captures`], for a closure that folds.
    pub fn fold_of_its_captures<State, In, Captures, F>(
        identity: Identity,
        captures: Captures,
        make: fn(Captures) -> F,
    ) -> Closure<F>
    where
        F: Fn(&mut State, &In) -> Result<(), BoxError>,
    {
        Closure { identity: identity.within::<F>(), function: make(captures) }
    }

    impl<State, In, F> FoldUdf<State, In> for Closure<F>
    where
        F: Fn(&mut State, &In) -> Result<(), BoxError> + Send + Sync + 'static,
    {
        fn fold(&self, state: &mut State, row: &In) -> Result<(), BoxError> {
            (self.function)(state, row)
        }

        fn identity(&self) -> Identity {
            self.identity.clone()
        }
    }

    /// A marked function serialises as the hash of its code, which is how it counts in `uses(…)`.
    pub fn serialize_code<S: Serializer>(tracked: &impl Tracked, serializer: S) -> Result<S::Ok, S::Error> {
        let hash = tracked.code().hash("helper").map_err(serde::ser::Error::custom)?;
        serializer.serialize_newtype_struct(crate::typed::MARKED, &hash)
    }

    // A function's outcome is a row or a `Result` of one. The method `__rowmark_kind` tells the two apart by
    // the types alone: for `&Result` the impl on `Result` is found before the one on references.

    /// How a plain row becomes a result.
    #[derive(Debug)]
    pub struct Plain;

    /// How a result becomes one with a boxed error.
    #[derive(Debug)]
    pub struct Fallible;

    /// Outcomes that are rows.
    pub trait PlainKind {
        /// The tag.
        fn __rowmark_kind(&self) -> Plain {
            Plain
        }
    }

    impl<T> PlainKind for &T {}

    /// Outcomes that are results.
    pub trait FallibleKind {
        /// What is in the result.
        type Row;

        /// The tag.
        fn __rowmark_kind(&self) -> Fallible {
            Fallible
        }
    }

    impl<T, E> FallibleKind for Result<T, E> {
        type Row = T;
    }

    impl Plain {
        /// Wraps a row.
        pub fn into_result<T>(self, row: T) -> Result<T, BoxError> {
            Ok(row)
        }
    }

    impl Fallible {
        /// Boxes the error.
        pub fn into_result<T, E: Into<BoxError>>(self, outcome: Result<T, E>) -> Result<T, BoxError> {
            outcome.map_err(Into::into)
        }
    }
}
