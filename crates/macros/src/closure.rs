//! `udf!`: a closure with a name and with its captures listed.
//!
//! The user's closure is made by an outer one that takes the captured values as its argument and
//! is coerced to a `fn` pointer. A `fn` pointer captures nothing, so the compiler itself refuses
//! a value that is used and not listed.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::parse::{Parse, ParseStream};
use syn::{ExprClosure, LitStr, Pat, ReturnType, Token};

use crate::function::referenced;
use crate::options::Options;

pub(crate) struct Closure {
    name: LitStr,
    options: Options,
    closure: ExprClosure,
}

impl Parse for Closure {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: LitStr = input.parse()?;
        input.parse::<Token![,]>()?;
        let mut options = Options::default();
        while !(input.peek(Token![|]) || input.peek(Token![||]) || input.peek(Token![move])) {
            options.parse_one(input)?;
            input.parse::<Token![,]>()?;
        }
        let closure = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { name, options, closure })
    }
}

pub(crate) fn expand(Closure { name, options, closure }: &Closure) -> syn::Result<TokenStream> {
    if name.value().is_empty() {
        return Err(syn::Error::new(name.span(), "a UDF's name cannot be empty"));
    }
    if let Some(helper) = &options.helper {
        return Err(syn::Error::new(helper.span(), "only a function can be a helper"));
    }
    let inputs: Vec<&Pat> = closure.inputs.iter().collect();
    let (typed, make) = match inputs[..] {
        [Pat::Type(row)] => (row, quote!(closure_of_its_captures)),
        [Pat::Type(state), Pat::Type(row)] if matches!(referenced(&state.ty), Some((_, true))) => {
            (row, quote!(fold_of_its_captures))
        }
        _ => {
            return Err(syn::Error::new_spanned(
                closure,
                "a UDF closure takes one row by reference with its type written, as in `|row: &Review| …`; one that \
                 folds takes its state before it, as in `|sum: &mut u64, row: &Review| …`",
            ));
        }
    };
    if !matches!(referenced(&typed.ty), Some((_, false))) {
        return Err(syn::Error::new_spanned(&typed.ty, "a UDF takes a row by reference, as in `&Review`"));
    }
    for input in &inputs {
        let Pat::Type(typed) = input else { continue };
        if let Some(inferred) = crate::tokens::find_word(typed.ty.to_token_stream(), "_") {
            return Err(syn::Error::new(
                inferred.span(),
                "the types that a UDF closure takes are written out: one that is inferred is not in its code",
            ));
        }
    }
    let arguments = &closure.inputs;
    let body = &closure.body;
    let output = match &closure.output {
        ReturnType::Default => TokenStream::new(),
        output => quote!(#output),
    };
    let body = match &closure.output {
        ReturnType::Default => quote!((|| #body)()),
        _ => quote!((|| #output #body)()),
    };
    let code = options.code(quote!(#closure))?;
    // Which type `Self` is stands around the closure.
    let around = if crate::tokens::find_word(closure.to_token_stream(), "Self").is_some() {
        quote!(.naming_self())
    } else {
        TokenStream::new()
    };
    let captures = options.captures.iter().flat_map(|(_, captures)| captures);
    let (names, values): (Vec<_>, Vec<_>) = captures.map(|capture| (&capture.name, &capture.value)).unzip();
    let values_name = Ident::new("values", Span::mixed_site());
    let parameters = names.iter().enumerate().map(|(index, name)| {
        let (label, index) = (format!("captured {name}"), syn::Index::from(index));
        quote!(.captured(#label, &#values_name.#index))
    });
    Ok(quote! {{
        let #values_name = (#(#values,)*);
        ::rowmark::__private::#make(
            ::rowmark::udf::Identity::new(#name)#(#parameters)*.code(#code)#around,
            #values_name,
            |(#(#names,)*)| move |#arguments| {
                use ::rowmark::__private::{FallibleKind as _, PlainKind as _};
                #[allow(clippy::redundant_closure_call)]
                let outcome = #body;
                (&outcome).__rowmark_kind().into_result(outcome)
            },
        )
    }})
}
