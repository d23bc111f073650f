//! `#[udf] fn`: a function whose code is known.
//!
//! The function becomes a unit struct of the same name that dereferences to it, so that
//! `classify(&review)` is still a call and `.map(classify)` passes a value with an identity.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, GenericParam, ItemFn, ReturnType, Safety, Type};

use crate::options::Options;

pub(crate) fn expand(options: &Options, function: ItemFn) -> syn::Result<TokenStream> {
    check_signature(&function)?;
    let (docs, attributes): (Vec<Attribute>, Vec<Attribute>) =
        function.attrs.iter().cloned().partition(|attribute| attribute.path().is_ident("doc"));
    let ItemFn { vis, sig, block, .. } = &function;
    let name = &sig.ident;
    let text = name.to_string();
    let arguments = sig.inputs.iter().map(argument_type).collect::<syn::Result<Vec<_>>>()?;
    let (lifetimes, output) = (&sig.generics, &sig.output);
    let lifetimes = (!lifetimes.params.is_empty()).then(|| quote!(for #lifetimes));
    let code = options.code(quote!(#(#attributes)* #sig #block))?;
    let udf = if options.helper.is_some() {
        TokenStream::new()
    } else {
        implement_udf(&Implementation {
            name: &name.to_token_stream(),
            takes: takes(&function.sig)?,
            output,
            function: &quote!((**self)),
            receiver: None,
            setup: None,
            identity: &quote!(::rowmark::udf::Identity::new(#text)),
        })
    };
    Ok(quote! {
        #(#docs)*
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug)]
        #vis struct #name;

        const _: () = {
            impl ::core::ops::Deref for #name {
                type Target = #lifetimes fn(#(#arguments),*) #output;

                #[inline]
                fn deref(&self) -> &Self::Target {
                    #(#attributes)*
                    #[allow(clippy::ptr_arg)] // a row may be a `String` or a `Vec`
                    #sig #block

                    const FUNCTION: #lifetimes fn(#(#arguments),*) #output = #name;
                    &FUNCTION
                }
            }

            impl ::rowmark::udf::Tracked for #name {
                fn code(&self) -> ::rowmark::udf::Code {
                    #code
                }
            }

            impl ::rowmark::__private::Serialize for #name {
                fn serialize<S: ::rowmark::__private::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    ::rowmark::__private::serialize_code(self, serializer)
                }
            }

            #udf
        };
    })
}

/// What an implementation of `Udf` or `FoldUdf` is made of.
pub(crate) struct Implementation<'a> {
    /// The type that is the UDF.
    pub(crate) name: &'a TokenStream,
    pub(crate) takes: Takes<'a>,
    pub(crate) output: &'a ReturnType,
    /// What is called, and what it is given before the state and the row.
    pub(crate) function: &'a TokenStream,
    pub(crate) receiver: Option<TokenStream>,
    /// The signature of the method that makes a worker's state, and how it is called.
    pub(crate) setup: Option<(&'a ReturnType, TokenStream)>,
    /// The name and the parameters.
    pub(crate) identity: &'a TokenStream,
}

/// The arguments of a UDF, without `&self`.
#[derive(Clone, Copy)]
pub(crate) enum Takes<'a> {
    Row(&'a Type),
    StateAndRow(&'a Type, &'a Type),
}

pub(crate) fn implement_udf(implementation: &Implementation<'_>) -> TokenStream {
    let Implementation { name, takes, output, function, receiver, setup, identity } = implementation;
    let row = match takes {
        Takes::Row(row) | Takes::StateAndRow(_, row) => row,
    };
    let identity = quote! {
        fn identity(&self) -> ::rowmark::udf::Identity {
            #identity.code(::rowmark::udf::Tracked::code(self))
        }
    };
    let (state, setup, state_argument) = match (takes, setup) {
        (Takes::StateAndRow(state, row), None) => {
            let fold = into_result(&quote!(#function(#receiver state, row)));
            return quote! {
                impl ::rowmark::udf::FoldUdf<#state, #row> for #name {
                    fn fold(&self, state: &mut #state, row: &#row) -> ::core::result::Result<(), ::rowmark::BoxError> {
                        #fold
                    }

                    #identity
                }
            };
        }
        (Takes::StateAndRow(..), Some((output, setup))) => {
            (output_row(output), into_result(setup), quote!(state,))
        }
        (Takes::Row(_), _) => (quote!(()), quote!(::core::result::Result::Ok(())), quote!()),
    };
    let output = output_row(output);
    let call = into_result(&quote!(#function(#receiver #state_argument row)));
    quote! {
        impl ::rowmark::udf::Udf<#row> for #name {
            type Output = #output;
            type State = #state;

            fn setup(&self) -> ::core::result::Result<Self::State, ::rowmark::BoxError> {
                #setup
            }

            #[allow(unused_variables)]
            fn call(
                &self,
                state: &mut Self::State,
                row: &#row,
            ) -> ::core::result::Result<Self::Output, ::rowmark::BoxError> {
                #call
            }

            #identity
        }
    }
}

/// The outcome of user code, a row or a `Result` of one, as a `Result` with a boxed error.
fn into_result(call: &TokenStream) -> TokenStream {
    quote! {
        use ::rowmark::__private::{FallibleKind as _, PlainKind as _};
        let outcome = #call;
        (&outcome).__rowmark_kind().into_result(outcome)
    }
}

/// The type of the rows that a function with this return type gives: what is in its `Result`.
fn output_row(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, output) => {
            let is_result = matches!(&**output, Type::Path(path)
                if path.path.segments.last().is_some_and(|segment| segment.ident == "Result"));
            if is_result {
                quote!(<#output as ::rowmark::__private::FallibleKind>::Row)
            } else {
                output.to_token_stream()
            }
        }
    }
}

/// What a signature takes after an optional `&self`: `row: &Row`, or `state: &mut State, row: &Row`.
pub(crate) fn takes(signature: &syn::Signature) -> syn::Result<Takes<'_>> {
    let arguments: Vec<_> = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(referenced(&argument.ty)),
            FnArg::Receiver(_) => None,
        })
        .collect();
    match arguments[..] {
        [Some((row, false))] => Ok(Takes::Row(row)),
        [Some((state, true)), Some((row, false))] => Ok(Takes::StateAndRow(state, row)),
        _ => Err(syn::Error::new_spanned(
            &signature.inputs,
            "a UDF takes one row by reference, as in `row: &Review`, or a state before it, as in `sum: &mut u64, \
             row: &Review`; mark a function with other arguments that UDFs call as `#[udf(helper)]`",
        )),
    }
}

/// What a reference type refers to, and whether it is mutable.
pub(crate) fn referenced(r#type: &Type) -> Option<(&Type, bool)> {
    match r#type {
        Type::Reference(reference) => Some((&reference.elem, reference.mutability.is_some())),
        _ => None,
    }
}

fn argument_type(argument: &FnArg) -> syn::Result<&Type> {
    match argument {
        FnArg::Typed(argument) if !matches!(*argument.ty, Type::ImplTrait(_)) => Ok(&argument.ty),
        FnArg::Typed(argument) => Err(syn::Error::new_spanned(&argument.ty, GENERIC)),
        FnArg::Receiver(receiver) => Err(syn::Error::new_spanned(
            receiver,
            "mark the whole `impl` block with `#[udf]` and name the method `call`",
        )),
    }
}

pub(crate) const GENERIC: &str = "the code of a generic function depends on types that its identity does not \
    see; write one function for each type";

fn check_signature(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(lifetime) if lifetime.bounds.is_empty()) {
            return Err(syn::Error::new_spanned(parameter, GENERIC));
        }
    }
    if let Some(asyncness) = &signature.asyncness {
        return Err(syn::Error::new_spanned(
            asyncness,
            "a UDF is called by a worker thread and cannot be async",
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(syn::Error::new_spanned(abi, "a UDF is a plain Rust function"));
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        return Err(syn::Error::new_spanned(unsafety, "a UDF is called from safe code"));
    }
    Ok(())
}
