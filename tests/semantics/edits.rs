//! i: what an edit of a UDF, or of what is around it, does to its identity: each row of `docs/identity.md`.
//!
//! An edit is two states of the code in two modules, and a UDF of each. What the identity decides is in `identity.rs`.

use rowmark::prelude::*;
use rowmark::udf::Identity;

/// What an edit changes.
#[derive(Debug, PartialEq)]
enum Edit {
    /// Nothing: what was computed is used.
    Same,
    /// The code: a finished step is computed again, and unfinished progress goes on.
    Code,
    /// The name or the parameters: nothing that was computed is used.
    Parameters,
}
use Edit::{Code, Parameters, Same};

fn identity<In: ?Sized, U: Udf<In>>(udf: &U) -> Identity {
    udf.identity()
}

fn compare(before: &Identity, after: &Identity) -> Edit {
    let parameters = |identity: &Identity| (identity.name(), identity.parameters().unwrap().hash());
    let code = |identity: &Identity| identity.code_fingerprint().unwrap().hash();
    match (parameters(before) == parameters(after), code(before) == code(after)) {
        (true, true) => Same,
        (true, false) => Code,
        (false, _) => Parameters,
    }
}

/// Tests named after edits: what each does, and the code and the UDF before and after it.
macro_rules! edits {
    ($($name:ident: $edit:ident, { $($before:item)* } $old:expr, { $($after:item)* } $new:expr;)*) => {
        $(
            #[test]
            fn $name() {
                #[allow(dead_code, unused_imports, unused_doc_comments, clippy::all)]
                mod before {
                    use rowmark::prelude::*;
                    $($before)*
                    pub(super) fn of() -> rowmark::udf::Identity { super::identity(&$old) }
                }
                #[allow(dead_code, unused_imports, unused_doc_comments, clippy::all)]
                mod after {
                    use rowmark::prelude::*;
                    $($after)*
                    pub(super) fn of() -> rowmark::udf::Identity { super::identity(&$new) }
                }
                assert_eq!(compare(&before::of(), &after::of()), $edit);
            }
        )*
    };
}

edits! {
    i01_a_statement: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { let m = n + 1; m } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { let m = n + 1; m * m } } f;
    i01_an_inner_closure: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { (|m| m + 1)(*n) } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { (|m| m + 2)(*n) } } f;
    i01_a_comment: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { /* one */ n + 1 } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 {
            // another
            n + 1
        } } f;
    i01_a_doc_comment_of_the_function: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        {
            /// Documented.
            #[rowmark::udf]
            /// More.
            fn f(n: &u64) -> u64 { n + 1 }
        } f;
    i01_a_doc_comment_inside_the_body: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { let m = n + 1; m } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 {
            /// The next number.
            let m = n + 1;
            m
        } } f;
    i01_a_doc_comment_that_a_macro_is_given: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { #[derive(Debug)] enum E { /** One. */ A } n + E::A as u64 } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { #[derive(Debug)] enum E { /** Two. */ A } n + E::A as u64 } } f;
    i01_a_doc_comment_in_a_udf_structs_block: Same,
        {
            #[derive(Serialize)] struct S;
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + 1 } }
        } S,
        {
            #[derive(Serialize)] struct S;
            #[rowmark::udf] impl S {
                /// The next number.
                fn call(&self, n: &u64) -> u64 { n + 1 }
            }
        } S;
    i01_white_space: Same,
        { #[rowmark::udf] fn f(n:&u64)->u64{let m:Option<Vec<u64>>=None;n+m.map_or(1,|m|m[0])} } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 {
            let m: Option<Vec<u64> > = None;
            n + m.map_or(1, |m| m[0])
        } } f;
    i01_arguments_on_lines_of_their_own: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { u64::max([*n, 1][0], 2) } } f,
        { #[rowmark::udf] fn f(
            n: &u64,
        ) -> u64 {
            u64::max(
                [
                    *n,
                    1,
                ][0],
                2,
            )
        } } f;
    i01_a_comma_that_another_macro_is_given: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { vec![*n][0] } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { vec![*n,][0] } } f;
    i01_brackets_that_change_nothing: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] #[allow(unused_parens)] fn f(n: &u64) -> u64 { (n + 1) } } f;
    i01_a_renamed_local: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { let m = n + 1; m } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { let next = n + 1; next } } f;
    i01_an_attribute_of_the_function: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] #[inline(never)] fn f(n: &u64) -> u64 { n + 1 } } f;
    i01_the_functions_visibility: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] pub(super) fn f(n: &u64) -> u64 { n + 1 } } f;
    i01_another_module: Same,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { mod inner { #[rowmark::udf] pub(super) fn f(n: &u64) -> u64 { n + 1 } } use inner::f; } f;
    i01_another_crate: Same,
        { #[rowmark::udf] fn plus(n: &u64) -> u64 { n + 1 } } plus,
        { use rowmark_other_crate::v2::plus; } plus;
    i01_another_version_of_a_crate_with_the_same_code: Same,
        { use rowmark_other_crate::v1::plus; } plus,
        { use rowmark_other_crate::v2::plus; } plus;
    i01_the_body_of_a_macro_that_makes_the_function: Code,
        { macro_rules! make { ($k:expr) => { #[rowmark::udf] fn f(n: &u64) -> u64 { n + $k } } } make!(1); } f,
        { macro_rules! make { ($k:expr) => { #[rowmark::udf] fn f(n: &u64) -> u64 { n * $k } } } make!(1); } f;
    i01_what_a_macro_that_makes_the_function_is_given: Code,
        { macro_rules! make { ($k:expr) => { #[rowmark::udf] fn f(n: &u64) -> u64 { n * $k } } } make!(1 + 2); } f,
        { macro_rules! make { ($k:expr) => { #[rowmark::udf] fn f(n: &u64) -> u64 { n * $k } } } make!(1 + 3); } f;
    i01_setup_of_a_udf_struct: Code,
        {
            #[derive(Serialize)] struct S;
            #[rowmark::udf] impl S { fn setup(&self) -> u64 { 1 } fn call(&self, k: &mut u64, n: &u64) -> u64 { n + *k } }
        } S,
        {
            #[derive(Serialize)] struct S;
            #[rowmark::udf] impl S { fn setup(&self) -> u64 { 2 } fn call(&self, k: &mut u64, n: &u64) -> u64 { n + *k } }
        } S;

    i04_the_functions_name: Parameters,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] fn g(n: &u64) -> u64 { n + 1 } } g;
    i04_an_arguments_type: Code,
        { #[rowmark::udf] fn f(n: &u64) -> bool { *n > 1 } } f,
        { #[rowmark::udf] fn f(n: &u32) -> bool { *n > 1 } } f;
    i04_the_return_type: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] fn f(n: &u64) -> Result<u64, String> { Ok(n + 1) } } f;

    i05_a_literal: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 2 } } f;
    i05_another_spelling_of_a_literal: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1000 } } f,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1_000 } } f;
    i05_a_constant_that_is_listed: Code,
        { const K: u64 = 1; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K } } f,
        { const K: u64 = 2; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K } } f;
    i05_the_type_of_a_constant_that_is_listed: Code,
        { const K: u8 = 1; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K.leading_zeros() as u64 } } f,
        { const K: u64 = 1; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K.leading_zeros() as u64 } } f;
    i05_another_expression_of_the_same_constant: Same,
        { const K: u64 = 4; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K } } f,
        { const K: u64 = 2 + 2; #[rowmark::udf(uses(K))] fn f(n: &u64) -> u64 { n + K } } f;
    i05_a_constant_that_is_not_listed: Same,
        { const K: u64 = 1; #[rowmark::udf] fn f(n: &u64) -> u64 { n + K } } f,
        { const K: u64 = 2; #[rowmark::udf] fn f(n: &u64) -> u64 { n + K } } f;
    i05_a_constant_of_another_crate_that_is_listed: Code,
        { use rowmark_other_crate::v1::RADIUS; #[rowmark::udf(uses(RADIUS))] fn f(n: &f64) -> f64 { n * RADIUS } } f,
        { use rowmark_other_crate::v2::RADIUS; #[rowmark::udf(uses(RADIUS))] fn f(n: &f64) -> f64 { n * RADIUS } } f;
    i05_a_helper_that_is_listed: Code,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 1 } #[rowmark::udf(uses(h))] fn f(n: &u64) -> u64 { h(*n) } } f,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 2 } #[rowmark::udf(uses(h))] fn f(n: &u64) -> u64 { h(*n) } } f;
    i05_a_helper_that_is_not_listed: Same,
        { fn h(n: u64) -> u64 { n + 1 } #[rowmark::udf] fn f(n: &u64) -> u64 { h(*n) } } f,
        { fn h(n: u64) -> u64 { n + 2 } #[rowmark::udf] fn f(n: &u64) -> u64 { h(*n) } } f;
    i05_a_helper_of_a_helper: Code,
        {
            #[rowmark::udf(helper)] fn inner(n: u64) -> u64 { n + 1 }
            #[rowmark::udf(helper, uses(inner))] fn outer(n: u64) -> u64 { inner(n) }
            #[rowmark::udf(uses(outer))] fn f(n: &u64) -> u64 { outer(*n) }
        } f,
        {
            #[rowmark::udf(helper)] fn inner(n: u64) -> u64 { n + 2 }
            #[rowmark::udf(helper, uses(inner))] fn outer(n: u64) -> u64 { inner(n) }
            #[rowmark::udf(uses(outer))] fn f(n: &u64) -> u64 { outer(*n) }
        } f;
    i05_a_helper_of_a_helper_in_another_crate: Code,
        { use rowmark_other_crate::v1::doubled; #[rowmark::udf(uses(doubled))] fn f(n: &u64) -> u64 { doubled(*n) } } f,
        { use rowmark_other_crate::v2::doubled; #[rowmark::udf(uses(doubled))] fn f(n: &u64) -> u64 { doubled(*n) } } f;
    i05_a_helpers_module: Same,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 1 } #[rowmark::udf(uses(h))] fn f(n: &u64) -> u64 { h(*n) } } f,
        {
            mod inner { #[rowmark::udf(helper)] pub(super) fn h(n: u64) -> u64 { n + 1 } }
            use inner::h;
            #[rowmark::udf(uses(h))] fn f(n: &u64) -> u64 { h(*n) }
        } f;
    i05_a_helper_that_a_closure_lists: Code,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 1 } } udf!("f", uses(h), |n: &u64| h(*n)),
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 2 } } udf!("f", uses(h), |n: &u64| h(*n));
    i05_a_name_that_is_imported_from_elsewhere: Same,
        {
            mod a { pub(super) fn score(n: u64) -> u64 { n + 1 } }
            use a::score;
            #[rowmark::udf] fn f(n: &u64) -> u64 { score(*n) }
        } f,
        {
            mod b { pub(super) fn score(n: u64) -> u64 { n + 2 } }
            use b::score;
            #[rowmark::udf] fn f(n: &u64) -> u64 { score(*n) }
        } f;
    i05_a_listed_name_that_is_imported_from_elsewhere: Code,
        {
            mod a { #[rowmark::udf(helper)] pub(super) fn score(n: u64) -> u64 { n + 1 } }
            use a::score;
            #[rowmark::udf(uses(score))] fn f(n: &u64) -> u64 { score(*n) }
        } f,
        {
            mod b { #[rowmark::udf(helper)] pub(super) fn score(n: u64) -> u64 { n + 2 } }
            use b::score;
            #[rowmark::udf(uses(score))] fn f(n: &u64) -> u64 { score(*n) }
        } f;
    i05_the_body_of_a_macro_that_is_used: Same,
        { macro_rules! m { ($n:expr) => { $n + 1 } } #[rowmark::udf] fn f(n: &u64) -> u64 { m!(n) } } f,
        { macro_rules! m { ($n:expr) => { $n + 2 } } #[rowmark::udf] fn f(n: &u64) -> u64 { m!(n) } } f;
    i05_what_a_macro_that_is_used_is_given: Code,
        { #[rowmark::udf] fn f(n: &u64) -> String { format!("{n}!") } } f,
        { #[rowmark::udf] fn f(n: &u64) -> String { format!("{n}?") } } f;
    i05_an_implementation_of_a_trait: Same,
        {
            struct A;
            impl From<u64> for A { fn from(_: u64) -> Self { A } }
            #[rowmark::udf] fn f(n: &u64) -> u64 { let _ = A::from(*n); *n }
        } f,
        {
            struct A;
            impl From<u64> for A { fn from(n: u64) -> Self { assert!(n > 0); A } }
            #[rowmark::udf] fn f(n: &u64) -> u64 { let _ = A::from(*n); *n }
        } f;
    i05_a_type_alias: Same,
        { type Wide = u16; #[rowmark::udf] fn f(n: &u64) -> u64 { *n as Wide as u64 } } f,
        { type Wide = u32; #[rowmark::udf] fn f(n: &u64) -> u64 { *n as Wide as u64 } } f;
    i05_a_static: Same,
        { static K: [u64; 1] = [1]; #[rowmark::udf] fn f(n: &u64) -> u64 { n + K[0] } } f,
        { static K: [u64; 1] = [2]; #[rowmark::udf] fn f(n: &u64) -> u64 { n + K[0] } } f;
    i05_a_file_in_a_constant_that_is_listed: Code,
        { const P: &str = include_str!("main.rs"); #[rowmark::udf(uses(P))] fn f(n: &u64) -> String { format!("{P}{n}") } } f,
        { const P: &str = include_str!("edits.rs"); #[rowmark::udf(uses(P))] fn f(n: &u64) -> String { format!("{P}{n}") } } f;
    i05_a_captured_value: Parameters,
        { fn k() -> u64 { 1 } } udf!("f", captures(k = k()), |n: &u64| n + k),
        { fn k() -> u64 { 2 } } udf!("f", captures(k = k()), |n: &u64| n + k);
    i05_another_expression_of_the_same_captured_value: Same,
        { fn k() -> u64 { 4 } } udf!("f", captures(k = k()), |n: &u64| n + k),
        { fn k() -> u64 { 2 } } udf!("f", captures(k = k() + k()), |n: &u64| n + k);
    i05_the_type_of_a_captured_value: Code,
        { fn k() -> u8 { 1 } } udf!("f", captures(k = k()), |n: &u64| n + u64::from(k.leading_zeros())),
        { fn k() -> u16 { 1 } } udf!("f", captures(k = k()), |n: &u64| n + u64::from(k.leading_zeros()));
    i05_a_captured_value_of_another_type_with_the_same_fields: Code,
        {
            #[derive(Serialize)] struct Linear { k: u64 }
            impl Linear { fn of(&self, n: u64) -> u64 { n + self.k } }
            fn model() -> Linear { Linear { k: 2 } }
        } udf!("f", captures(model = model()), |n: &u64| model.of(*n)),
        {
            #[derive(Serialize)] struct Square { k: u64 }
            impl Square { fn of(&self, n: u64) -> u64 { n * self.k } }
            fn model() -> Square { Square { k: 2 } }
        } udf!("f", captures(model = model()), |n: &u64| model.of(*n));
    i05_a_captured_value_of_a_type_of_the_same_name: Code,
        {
            mod a { #[derive(serde::Serialize)] pub(super) struct Model; impl Model { pub(super) fn of(&self, n: u64) -> u64 { n } } }
        } udf!("f", captures(model = a::Model), |n: &u64| model.of(*n)),
        {
            mod b { #[derive(serde::Serialize)] pub(super) struct Model; impl Model { pub(super) fn of(&self, n: u64) -> u64 { n + 1 } } }
        } udf!("f", captures(model = b::Model), |n: &u64| model.of(*n));
    i05_a_field_of_a_udf_struct: Parameters,
        {
            #[derive(Serialize)] struct S { k: u64 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k } }
        } S { k: 1 },
        {
            #[derive(Serialize)] struct S { k: u64 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k } }
        } S { k: 2 };
    i05_the_type_of_a_field_of_a_udf_struct: Code,
        {
            #[derive(Serialize)] struct S { k: u8 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + u64::from(self.k.leading_zeros()) } }
        } S { k: 1 },
        {
            #[derive(Serialize)] struct S { k: u16 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + u64::from(self.k.leading_zeros()) } }
        } S { k: 1 };
    i05_a_new_field_of_a_udf_struct: Parameters,
        {
            #[derive(Serialize)] struct S { k: u64 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k } }
        } S { k: 1 },
        {
            #[derive(Serialize)] struct S { k: u64, unused: () }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k } }
        } S { k: 1, unused: () };
    i05_a_field_that_is_left_out_by_an_attribute: Same,
        {
            #[derive(Serialize)] struct S { #[serde(skip)] threads: u64 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + 0 * self.threads } }
        } S { threads: 1 },
        {
            #[derive(Serialize)] struct S { #[serde(skip)] threads: u64 }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + 0 * self.threads } }
        } S { threads: 2 };
    i05_another_impl_block_of_a_udf_struct: Same,
        {
            #[derive(Serialize)] struct S;
            impl S { fn k(&self) -> u64 { 1 } }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k() } }
        } S,
        {
            #[derive(Serialize)] struct S;
            impl S { fn k(&self) -> u64 { 2 } }
            #[rowmark::udf] impl S { fn call(&self, n: &u64) -> u64 { n + self.k() } }
        } S;

    i06_a_body_under_a_version: Same,
        { #[rowmark::udf(version = 1)] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf(version = 1)] fn f(n: &u64) -> u64 { n + 2 } } f;
    i06_a_version: Code,
        { #[rowmark::udf(version = 1)] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf(version = 2)] fn f(n: &u64) -> u64 { n + 1 } } f;
    i06_a_version_in_place_of_a_body: Code,
        { #[rowmark::udf] fn f(n: &u64) -> u64 { n + 1 } } f,
        { #[rowmark::udf(version = 1)] fn f(n: &u64) -> u64 { n + 1 } } f;
    i06_a_helper_that_is_listed_under_a_version: Code,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 1 } #[rowmark::udf(version = 1, uses(h))] fn f(n: &u64) -> u64 { h(*n) } } f,
        { #[rowmark::udf(helper)] fn h(n: u64) -> u64 { n + 2 } #[rowmark::udf(version = 1, uses(h))] fn f(n: &u64) -> u64 { h(*n) } } f;

    i10_a_type_argument_of_the_function_around_a_closure: Code,
        {
            trait Model: 'static { fn of(n: u64) -> u64; }
            struct A; impl Model for A { fn of(n: u64) -> u64 { n } }
            fn make<M: Model>() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| M::of(*n)) }
        } make::<A>(),
        {
            trait Model: 'static { fn of(n: u64) -> u64; }
            struct B; impl Model for B { fn of(n: u64) -> u64 { n + 1 } }
            fn make<M: Model>() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| M::of(*n)) }
        } make::<B>();
    i10_a_constant_argument_of_the_function_around_a_closure: Code,
        { fn make<const K: u64>() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| n + K) } } make::<1>(),
        { fn make<const K: u64>() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| n + K) } } make::<2>();
    i10_the_type_whose_method_a_closure_stands_in: Code,
        {
            struct A;
            impl A {
                fn of(n: u64) -> u64 { n }
                fn make() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| Self::of(*n)) }
            }
        } A::make(),
        {
            struct B;
            impl B {
                fn of(n: u64) -> u64 { n + 1 }
                fn make() -> impl Udf<u64, Output = u64> { udf!("f", |n: &u64| Self::of(*n)) }
            }
        } B::make();
    i10_a_type_argument_of_a_udf_struct: Code,
        {
            #[derive(Serialize)] struct S<const K: u64>;
            #[rowmark::udf] impl S<1> { fn call(&self, n: &u64) -> u64 { n + 1 } }
        } S::<1>,
        {
            #[derive(Serialize)] struct S<const K: u64>;
            #[rowmark::udf] impl S<2> { fn call(&self, n: &u64) -> u64 { n + 1 } }
        } S::<2>;
}

/// The bytes that follow were made once and stay: an identity does not depend on the compiler, its version, the target,
/// the profile, the edition, nor on the path, the name or the version of a crate.
#[test]
fn i01_an_identity_is_the_same_whatever_builds_it() {
    #[rowmark::udf(helper)]
    fn scale(n: f64) -> f64 {
        n * 1.5
    }
    const LIMIT: f64 = 100.0;
    #[rowmark::udf(uses(scale, LIMIT))]
    fn capped(words: &Vec<Option<String>>) -> Result<f64, String> {
        let many = words.iter().flatten().collect::<Vec<_>>().len() as f64;
        if many >= LIMIT && !words.is_empty() { Err(format!("{many} words")) } else { Ok(scale(many)) }
    }
    let code = |code: rowmark::udf::Code| code.hash("test").unwrap().to_string();
    assert_eq!(
        code(rowmark::udf::Tracked::code(&scale)),
        "63959a57d21d5c1ddcd0de6d411821609848e7b448165e03994c811e5cd42116"
    );
    assert_eq!(
        code(rowmark::udf::Tracked::code(&capped)),
        "88b3e40582caf9e75ace48b76ba5f6a2eb645d1dc4ea72b8b935c7fb8cc07da0"
    );
}
