//! `#[udf] impl`: a struct with configuration whose method `call` is the function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, ImplItem, ItemImpl, ReceiverKind, Type};

use crate::function::{GENERIC, implement_udf, one_row};
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
    let call = block.items.iter().find_map(|item| match item {
        ImplItem::Fn(method) if method.sig.ident == "call" => Some(&method.sig),
        _ => None,
    });
    let Some(call) = call else {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "expected a method `fn call(&self, row: &Row) -> …` in this block",
        ));
    };
    match call.inputs.first() {
        Some(FnArg::Receiver(receiver)) if matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) => {}
        _ => return Err(syn::Error::new_spanned(&call.inputs, "`call` takes `&self` and one row")),
    }
    let self_type = &block.self_ty;
    let text = name.ident.to_string();
    let code = options.code(quote!(#block))?;
    let udf = implement_udf(
        self_type,
        one_row(call)?,
        &call.output,
        &quote!(<#self_type>::call(self, row)),
        &quote!(::rowmark::udf::Identity::new(#text).parameter("fields", self)),
    );
    Ok(quote! {
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
