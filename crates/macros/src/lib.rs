#![doc = include_str!("../README.md")]

use proc_macro::TokenStream;
use quote::ToTokens;
use syn::{Item, parse_macro_input};

mod closure;
mod function;
mod options;
mod structure;
mod tokens;
mod unseen;

/// Marks a function, or the `impl` block of a struct with a method `call`, as a UDF.
///
/// A marked function can be called as before, passed to a step of a chain, and named in the
/// `uses(…)` of another. Its identity is its name, its signature and its code; comments, doc
/// comments and white space do not count.
///
/// | option | meaning |
/// |---|---|
/// | `uses(a, B)` | constants and marked functions that the code calls: their values and codes count too |
/// | `version = 3` | counts in place of the code: recompute when the number changes, not when the code does |
/// | `helper` | the function is not a UDF itself (it may take any arguments) but can be named in `uses` |
///
/// ```
/// use rowmark::prelude::*;
///
/// const LIMIT: f64 = 100.0;
///
/// #[rowmark::udf(helper)]
/// fn celsius(fahrenheit: f64) -> f64 {
///     (fahrenheit - 32.0) / 1.8
/// }
///
/// #[rowmark::udf(uses(celsius, LIMIT))]
/// fn boils(fahrenheit: &f64) -> bool {
///     celsius(*fahrenheit) >= LIMIT
/// }
///
/// /// A UDF with configuration: its fields are part of its identity.
/// #[derive(Serialize)]
/// struct Scale {
///     factor: f64,
/// }
///
/// #[rowmark::udf]
/// impl Scale {
///     fn call(&self, value: &f64) -> Result<f64, std::num::ParseFloatError> {
///         Ok(value * self.factor)
///     }
/// }
///
/// assert!(boils(&212.0));
/// assert_eq!(Udf::call(&Scale { factor: 2.0 }, &mut (), &4.0).unwrap(), 8.0);
/// ```
///
/// A struct that needs something at work that cannot be shared or stored, such as a loaded model or a connection,
/// makes it in `setup`, once for each worker; `call` is given it:
///
/// ```
/// use std::cell::RefCell;
/// use rowmark::prelude::*;
///
/// #[derive(Serialize)]
/// struct Stem {
///     suffixes: Vec<String>,
/// }
///
/// #[rowmark::udf]
/// impl Stem {
///     /// Longest first. It stays on the worker's thread, so it need not be `Send`.
///     fn setup(&self) -> RefCell<Vec<String>> {
///         let mut suffixes = self.suffixes.clone();
///         suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
///         RefCell::new(suffixes)
///     }
///
///     fn call(&self, suffixes: &mut RefCell<Vec<String>>, word: &String) -> String {
///         let suffixes = suffixes.borrow();
///         suffixes.iter().find_map(|suffix| word.strip_suffix(suffix.as_str())).unwrap_or(word).to_owned()
///     }
/// }
///
/// # let folder = tempfile::tempdir()?;
/// # let session = Session::open(folder.path().join("state"))?;
/// let stem = Stem { suffixes: vec!["s".into(), "ings".into(), "ing".into()] };
/// let words = ["savings", "runs"].map(String::from);
/// assert_eq!(session.read_values(&words).map(stem).collect()?, ["sav", "run"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Without `setup`, a function or `call` whose first argument is a `&mut` state folds rows into it: see
/// `Chain::fold`. A UDF over `&[Row]` is for `Chain::map_batch`, one over `&Group<Key, Row>` for `Chain::agg`.
///
/// The return type is the row itself or a `Result` (spelled so) of it with any error that converts
/// into a boxed one. Generic functions are refused: their code is not known until it is called.
#[proc_macro_attribute]
pub fn udf(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as options::Options);
    let expanded = match parse_macro_input!(item as Item) {
        Item::Fn(function) => function::expand(&options, function),
        Item::Impl(block) => structure::expand(&options, &block),
        other => Err(syn::Error::new_spanned(
            other.into_token_stream(),
            "`#[udf]` marks a function, or an `impl` block with a method `call`",
        )),
    };
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a UDF of a closure: `udf!("name", captures(a, b = expression), |row: &Row| …)`.
///
/// The closure may use only the values that `captures(…)` lists; using another does not compile.
/// The values are moved into it, and are part of its identity, as are its name and its code.
/// `uses(…)` and `version = …` are as for [`macro@udf`].
///
/// ```
/// use rowmark::prelude::*;
///
/// let threshold = 0.5;
/// let above = udf!("above", captures(threshold), |score: &f64| *score > threshold);
/// assert!(above.call(&mut (), &0.7).unwrap());
/// ```
#[proc_macro]
pub fn udf_closure(input: TokenStream) -> TokenStream {
    let closure = parse_macro_input!(input as closure::Closure);
    closure::expand(&closure).unwrap_or_else(syn::Error::into_compile_error).into()
}
