//! The hash of a piece of code: a canonical walk over its tokens.
//!
//! The preimage is written here and nowhere else, so it does not depend on how a compiler prints
//! tokens. Comments never reach a macro; doc comments arrive as `#[doc …]` and are passed over;
//! white space shows only in the spacing of punctuation, which is folded by cutting runs of
//! adjacent characters into the operators of the Rust reference, longest first.
//!
//! Every token is a kind byte, a length and its text, so that no two token sequences share a
//! preimage. It deliberately does not normalise further: a renamed local or a trailing comma is
//! another code, since a needless recomputation is cheap beside a wrong reuse.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use sha2::{Digest, Sha256};

/// The domain of the hash; its number changes with any change of this module's encoding.
const DOMAIN: &[u8] = b"rowmark code tokens 1\0";

/// Operators of more than one character, longest first (Rust reference, "Punctuation").
const OPERATORS: [&str; 24] = [
    "<<=", ">>=", "...", "..=", "<<", ">>", "&&", "||", "==", "!=", "<=", ">=", "->", "=>", "::", "..", "+=",
    "-=", "*=", "/=", "%=", "^=", "&=", "|=",
];

/// The SHA-256 of the canonical form of `tokens`.
pub(crate) fn hash(tokens: TokenStream) -> [u8; 32] {
    let mut preimage = DOMAIN.to_vec();
    write_stream(tokens, &mut preimage);
    Sha256::digest(&preimage).into()
}

/// Macros whose result depends on more than their tokens: files, the environment, the build's configuration.
const UNSEEN: [&str; 6] = ["include_str", "include_bytes", "include", "env", "option_env", "cfg"];

/// Refuses code whose meaning is not in its tokens, at the place where it is so.
pub(crate) fn check(tokens: TokenStream) -> syn::Result<()> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let is = |offset: usize, sign| matches!(tokens.get(index + offset), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        match token {
            TokenTree::Group(group) => check(group.stream())?,
            TokenTree::Ident(ident)
                if is(1, '!') && !is(2, '=') && UNSEEN.iter().any(|unseen| ident == unseen) =>
            {
                return Err(syn::Error::new(
                    ident.span(),
                    format!(
                        "what `{ident}!` gives can change while the code stays the same; put it in a constant and list that in `uses(…)`, or declare a `version = …`"
                    ),
                ));
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let attribute = match (tokens.get(index + 1), tokens.get(index + 2)) {
                    (Some(TokenTree::Group(group)), _) => group,
                    (_, Some(TokenTree::Group(group))) if is(1, '!') => group,
                    _ => continue,
                };
                if let Some(TokenTree::Ident(path)) = attribute.stream().into_iter().next()
                    && (path == "cfg" || path == "cfg_attr")
                {
                    return Err(syn::Error::new(
                        path.span(),
                        "which code is compiled is not in the tokens; write one function for each configuration, or declare a `version = …`",
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn write_stream(tokens: TokenStream, preimage: &mut Vec<u8>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let [first, after_first @ ..] = rest {
        if let Some(after_doc) = skip_doc(rest) {
            rest = after_doc;
            continue;
        }
        rest = after_first;
        match first {
            TokenTree::Ident(ident) => write_token(b'i', &ident.to_string(), preimage),
            TokenTree::Literal(literal) => write_token(b'l', &literal.to_string(), preimage),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                write_token(b'o', open, preimage);
                write_stream(group.stream(), preimage);
                write_token(b'c', close, preimage);
            }
            TokenTree::Punct(punct) => {
                let mut run = String::from(punct.as_char());
                let mut spacing = punct.spacing();
                while let (Spacing::Joint, [TokenTree::Punct(next), after_next @ ..]) = (spacing, rest) {
                    if next.as_char() == '#' && skip_doc(rest).is_some() {
                        break;
                    }
                    run.push(next.as_char());
                    spacing = next.spacing();
                    rest = after_next;
                }
                write_operators(&run, preimage);
            }
        }
    }
}

/// The tokens after a leading `#[doc …]` or `#![doc …]`, if there is one.
fn skip_doc(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let is = |token: &TokenTree, sign| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
    let (hash, mut rest) = tokens.split_first()?;
    if let Some((bang, after_bang)) = rest.split_first()
        && is(bang, '!')
    {
        rest = after_bang;
    }
    let (attribute, rest) = rest.split_first()?;
    let TokenTree::Group(attribute) = attribute else { return None };
    let path = attribute.stream().into_iter().next();
    let is_doc = is(hash, '#')
        && attribute.delimiter() == Delimiter::Bracket
        && matches!(path, Some(TokenTree::Ident(path)) if path == "doc");
    is_doc.then_some(rest)
}

fn write_operators(mut run: &str, preimage: &mut Vec<u8>) {
    while let Some(first) = run.chars().next() {
        let operator = OPERATORS.iter().find(|operator| run.starts_with(**operator));
        let (token, rest) = run.split_at(operator.map_or(first.len_utf8(), |operator| operator.len()));
        write_token(b'p', token, preimage);
        run = rest;
    }
}

fn write_token(kind: u8, text: &str, preimage: &mut Vec<u8>) {
    preimage.push(kind);
    preimage.extend((text.len() as u64).to_le_bytes());
    preimage.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn compare(same: bool, left: &str, right: &str) {
        let [left_hash, right_hash] = [left, right].map(|code| hash(code.parse().unwrap()));
        assert_eq!(left_hash == right_hash, same, "{left}\n{right}");
    }

    #[test]
    fn white_space_and_comments_do_not_count() {
        compare(true, "a+b", "a + b // sum");
        compare(true, "let x=-1;", "let  x = -1 ;");
        compare(true, "let f=|x|-x;", "let f = |x| -x;");
        compare(true, "if a<-b{c()}", "if a < -b {\n    c()\n}");
        compare(true, "/// Adds.\nfn f() { /** deep */ let x = 1; }", "fn f() { let x = 1; }");
        compare(true, "fn f() { //! inner\n 1 }", "fn f() { 1 }");
        compare(true, "match x { _=>/// note\n #[a] 1 }", "match x { _ => #[a] 1 }");
    }

    #[test]
    fn everything_else_counts() {
        compare(false, "a + b", "a - b");
        compare(false, "1", "2");
        compare(false, "1", "1u8");
        compare(false, "\"1\"", "1");
        compare(false, "a", "r#a");
        compare(false, "a && b", "a & &b");
        compare(false, "f(a b)", "f(ab)");
        compare(false, "(a)", "[a]");
        compare(false, "(a) (b)", "(a (b))");
        compare(false, "a", "a;");
        compare(false, "#[inline] fn f() {}", "fn f() {}");
        compare(false, "'a'", "\"a\"");
        compare(false, "x as u8", "x as u16");
    }

    #[test]
    fn code_whose_meaning_is_not_in_its_tokens_is_refused() {
        for code in [
            "{ include_str!(\"p.txt\") }",
            "a(env!(\"A\"))",
            "if cfg!(debug_assertions) {}",
            "{ #[cfg(unix)] x }",
        ] {
            check_unseen(false, code);
        }
        for code in ["{ env != cfg }", "include(x)", "format!(\"{env}\")", "{ #[allow(x)] y }", "!env"] {
            check_unseen(true, code);
        }
    }

    #[track_caller]
    fn check_unseen(is_fine: bool, code: &str) {
        assert_eq!(super::check(code.parse().unwrap()).is_ok(), is_fine, "{code}");
    }

    #[test]
    fn the_encoding_is_pinned() {
        // Each token is its kind, its length as a little-endian u64 and its text; computed by hand from that.
        let hex: String =
            hash("a >= 1 && !b".parse().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "f7994674132865e92375f29bc65d78eff29c58490d0ef80e6656b684b2b3add1");
    }
}
