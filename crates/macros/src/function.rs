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
        let call = quote!((**self)(row));
        implement_udf(
            name,
            one_row(&function.sig)?,
            output,
            &call,
            &quote!(::rowmark::udf::Identity::new(#text)),
        )
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

/// The `impl Udf` of a type: `call` is the expression that computes `row`, `identity` its name and
/// parameters.
pub(crate) fn implement_udf(
    name: &impl ToTokens,
    row: &Type,
    output: &ReturnType,
    call: &TokenStream,
    identity: &TokenStream,
) -> TokenStream {
    let output = output_row(output);
    quote! {
        impl ::rowmark::udf::Udf<#row> for #name {
            type Output = #output;

            fn call(&self, row: &#row) -> ::core::result::Result<Self::Output, ::rowmark::BoxError> {
                use ::rowmark::__private::{FallibleKind as _, PlainKind as _};
                let outcome = #call;
                (&outcome).__rowmark_kind().into_result(outcome)
            }

            fn identity(&self) -> ::rowmark::udf::Identity {
                #identity.code(::rowmark::udf::Tracked::code(self))
            }
        }
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

/// The row type of a signature with one argument `row: &Row` after an optional `&self`.
pub(crate) fn one_row(signature: &syn::Signature) -> syn::Result<&Type> {
    let mut arguments = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    });
    match (arguments.next(), arguments.next()) {
        (Some(Type::Reference(reference)), None) if reference.mutability.is_none() => Ok(&reference.elem),
        _ => Err(syn::Error::new_spanned(
            &signature.inputs,
            "a UDF takes one row by reference, as in `row: &Review`; mark a function with other arguments that UDFs call as `#[udf(helper)]`",
        )),
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
