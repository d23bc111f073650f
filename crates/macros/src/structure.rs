//! `#[udf] impl`: a struct with configuration whose method `call` is the function.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{FnArg, ImplItem, ItemImpl, ReceiverKind, Signature, Type};

use crate::function::{GENERIC, Implementation, Takes, implement_udf, takes};
use crate::options::Options;

pub(crate) fn expand(options: &Options, block: &ItemImpl) -> syn::Result<TokenStream> {
    if let Some(helper) = &options.helper {
        return Err(syn::Error::new(helper.span(), "only a function can be a helper"));
    }
    if let Some((path, _)) = &block.trait_ {
        return Err(syn::Error::new_spanned(path, "mark an inherent `impl` block with a method `call`"));
    }
    if !block.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&block.generics, GENERIC));
    }
    let name = match &*block.self_ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
    .ok_or_else(|| syn::Error::new_spanned(&block.self_ty, "a UDF struct has a name"))?;
    let Some(call) = method(block, "call")? else {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "expected a method `fn call(&self, row: &Row) -> …` in this block",
        ));
    };
    let setup = method(block, "setup")?;
    let takes = takes(call)?;
    let self_type = &block.self_ty;
    if let Some(setup) = setup
        && (setup.inputs.len() != 1 || matches!(takes, Takes::Row(_)))
    {
        return Err(syn::Error::new_spanned(
            setup,
            "`setup(&self) -> State` makes what each worker keeps between rows, and `call(&self, state: &mut State, \
             row: &Row)` is given it",
        ));
    }
    let text = name.ident.to_string();
    let code = options.code(quote!(#block))?;
    let udf = implement_udf(&Implementation {
        name: &self_type.to_token_stream(),
        takes,
        output: &call.output,
        function: &quote!(<#self_type>::call),
        receiver: Some(quote!(self,)),
        setup: setup.map(|setup| (&setup.output, quote!(<#self_type>::setup(self)))),
        identity: &quote!(::rowmark::udf::Identity::new(#text).parameter("fields", self)),
    });
    Ok(quote! {
        #[allow(clippy::ptr_arg)] // a row may be a `String` or a `Vec`
        #block

        const _: () = {
            impl ::rowmark::udf::Tracked for #self_type {
                fn code(&self) -> ::rowmark::udf::Code {
                    #code
                }
            }

            #udf
        };
    })
}

/// The signature of a method of this name, which takes `&self`.
fn method<'a>(block: &'a ItemImpl, name: &str) -> syn::Result<Option<&'a Signature>> {
    let found = block.items.iter().find_map(|item| match item {
        ImplItem::Fn(method) if method.sig.ident == name => Some(&method.sig),
        _ => None,
    });
    match found.map(|signature| signature.inputs.first()) {
        None => Ok(None),
        Some(Some(FnArg::Receiver(receiver)))
            if matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) =>
        {
            Ok(found)
        }
        Some(_) => {
            Err(syn::Error::new_spanned(found, format!("`{name}` takes `&self`, and then its arguments")))
        }
    }
}
