//! What stands in the brackets: `uses(…)`, `version = …`, `helper`, `captures(…)`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Expr, Ident, LitInt, Token, parenthesized};

/// Options of `#[udf(…)]` and of `udf!`.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) helper: Option<Ident>,
    pub(crate) captures: Option<(Ident, Punctuated<Capture, Token![,]>)>,
    uses: Vec<Expr>,
    version: Option<LitInt>,
}

/// A captured value: `name`, or `name = expression`.
pub(crate) struct Capture {
    pub(crate) name: Ident,
    pub(crate) value: Expr,
}

impl Parse for Capture {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            input.parse()?
        } else {
            syn::parse2(name.to_token_stream())?
        };
        Ok(Self { name, value })
    }
}

impl Options {
    /// Parses one option.
    pub(crate) fn parse_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let keyword: Ident = input.parse()?;
        match keyword.to_string().as_str() {
            "helper" => self.helper = Some(keyword),
            "uses" => {
                let list;
                parenthesized!(list in input);
                self.uses.extend(list.parse_terminated(Expr::parse, Token![,])?);
            }
            "version" => {
                input.parse::<Token![=]>()?;
                self.version = Some(input.parse()?);
            }
            "captures" => {
                let list;
                parenthesized!(list in input);
                self.captures = Some((keyword, list.parse_terminated(Capture::parse, Token![,])?));
            }
            _ => {
                return Err(syn::Error::new(
                    keyword.span(),
                    "expected `uses(…)`, `version = …`, `helper` or (in `udf!`) `captures(…)`",
                ));
            }
        }
        Ok(())
    }

    /// An expression of type `rowmark::udf::Code`: the body's hash, or the version in place of
    /// it, and what the code uses.
    pub(crate) fn code(&self, body: TokenStream) -> syn::Result<TokenStream> {
        let code = if let Some(version) = &self.version {
            quote!(::rowmark::udf::Code::version(#version))
        } else {
            crate::unseen::check(body.clone())?;
            let bytes = crate::tokens::hash(body);
            quote!(::rowmark::udf::Code::body([#(#bytes),*]))
        };
        let uses = self.uses.iter().map(|used| {
            let label = crate::tokens::text(used.to_token_stream());
            quote_spanned!(used.span()=> .uses(#label, &#used))
        });
        Ok(quote!(#code #(#uses)*))
    }
}

impl Parse for Options {
    /// Parses the options of the attribute.
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            options.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let Some((captures, _)) = &options.captures {
            return Err(syn::Error::new(captures.span(), "only `udf!` closures capture values"));
        }
        Ok(options)
    }
}
