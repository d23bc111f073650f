//! The hash of a piece of code: a canonical walk over its tokens.
//!
//! The preimage is written here and nowhere else, so it does not depend on how a compiler prints tokens. Every token
//! is a kind byte, a length and its text, and a group has its brackets around what is in it, so that no two token
//! sequences share a preimage but those that mean the same:
//!
//! - comments never reach a macro; doc comments arrive as `#[doc …]` and are passed over;
//! - white space shows only in the spacing of punctuation, which is folded by cutting runs of adjacent characters into
//!   the operators of the Rust reference, longest first. What begins with `>` is cut into single characters: `>>` ends
//!   two lists of type arguments as `> >` does, and elsewhere no second `>` or `=` can follow a `>` that stands alone;
//! - a comma before a closing bracket is passed over, unless it may be what makes a tuple.
//!
//! None of this is done to what another macro is given, since that is free to tell the one from the other. It
//! deliberately does not normalise further: a renamed local is another code, since a needless recomputation is cheap
//! beside a wrong reuse.

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};
use sha2::{Digest, Sha256};

/// The domain of the hash; its number changes with the encoding, unless all codes that could then have had one
/// preimage before and after the change mean the same.
const DOMAIN: &[u8] = b"rowmark code tokens 1\0";

/// Operators of more than one character, longest first (Rust reference, "Punctuation").
const OPERATORS: [&str; 24] = [
    "<<=", ">>=", "...", "..=", "<<", ">>", "&&", "||", "==", "!=", "<=", ">=", "->", "=>", "::", "..", "+=",
    "-=", "*=", "/=", "%=", "^=", "&=", "|=",
];

/// Words before a bracket that begins an expression, a pattern or a type of its own: it holds no arguments.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "auto", "await", "become", "box", "break", "const", "continue", "default",
    "do", "dyn", "else", "enum", "extern", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "raw", "ref", "return", "safe",
    "static", "struct", "trait", "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yeet", "yield",
];

/// Attributes that are given to no macro.
const INERT: [&str; 14] = [
    "allow",
    "clippy",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "forbid",
    "inline",
    "must_use",
    "non_exhaustive",
    "rustfmt",
    "track_caller",
    "warn",
];

/// The SHA-256 of the canonical form of `tokens`.
pub(crate) fn hash(tokens: TokenStream) -> [u8; 32] {
    let mut preimage = DOMAIN.to_vec();
    write_stream(tokens, Commas::Count, false, &mut preimage);
    Sha256::digest(&preimage).into()
}

/// What a comma at the end of a group is.
#[derive(Clone, Copy, PartialEq)]
enum Commas {
    Count,
    /// It counts where the group holds nothing else that tells a tuple.
    MayMakeTuple,
    DoNotCount,
}

/// Writes the tokens of a group. `is_given` says that another macro is given them, and that all of them count as they
/// are.
fn write_stream(tokens: TokenStream, commas: Commas, is_given: bool, preimage: &mut Vec<u8>) {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_given = is_given || has_macro_attribute(&tokens);
    if !is_given && matches!(&tokens[..], [.., last] if is(last, ',')) {
        let is_list = |tokens: &[TokenTree]| {
            tokens.iter().any(|token| is(token, ','))
                && !tokens.iter().any(|token| is(token, '<') || is(token, '|'))
        };
        let before = &tokens[..tokens.len() - 1];
        if commas == Commas::DoNotCount || commas == Commas::MayMakeTuple && is_list(before) {
            tokens.pop();
        }
    }
    let mut rest = tokens.as_slice();
    while let [first, after_first @ ..] = rest {
        if !is_given && let Some(after_doc) = skip_doc(rest) {
            rest = after_doc;
            continue;
        }
        let before = &tokens[..tokens.len() - rest.len()];
        rest = after_first;
        match first {
            TokenTree::Ident(ident) => write_token(b'i', &ident.to_string(), preimage),
            TokenTree::Literal(literal) => write_token(b'l', &literal.to_string(), preimage),
            TokenTree::Group(group) => write_group(group, before, is_given, preimage),
            TokenTree::Punct(punct) => {
                let mut run = String::from(punct.as_char());
                let mut spacing = punct.spacing();
                while let (Spacing::Joint, [TokenTree::Punct(next), after_next @ ..]) = (spacing, rest) {
                    if !is_given && next.as_char() == '#' && skip_doc(rest).is_some() {
                        break;
                    }
                    run.push(next.as_char());
                    spacing = next.spacing();
                    rest = after_next;
                }
                write_operators(&run, is_given, preimage);
            }
        }
    }
}

/// Writes a group that stands behind the tokens `before`.
fn write_group(group: &Group, before: &[TokenTree], is_given: bool, preimage: &mut Vec<u8>) {
    let (open, close, commas) = match group.delimiter() {
        Delimiter::Parenthesis if is_callee(before) => ("(", ")", Commas::DoNotCount),
        Delimiter::Parenthesis => ("(", ")", Commas::MayMakeTuple),
        Delimiter::Brace => ("{", "}", Commas::DoNotCount),
        Delimiter::Bracket => ("[", "]", Commas::DoNotCount),
        Delimiter::None => ("", "", Commas::Count),
    };
    let is_attribute = group.delimiter() == Delimiter::Bracket
        && (matches!(before, [.., hash] if is(hash, '#'))
            || matches!(before, [.., hash, bang] if is(hash, '#') && is(bang, '!')));
    write_token(b'o', open, preimage);
    write_stream(group.stream(), commas, is_given || is_attribute || is_macro(before), preimage);
    write_token(b'c', close, preimage);
}

/// Whether tokens end in what can only be called, or be a pattern or a type, with the bracket that follows.
fn is_callee(tokens: &[TokenTree]) -> bool {
    match tokens {
        [.., quote, TokenTree::Ident(_)] if is(quote, '\'') => false, // `break 'outer (a,)`, `&'a (A,)`
        [.., TokenTree::Ident(name)] => is_name(name),
        _ => false,
    }
}

/// Whether tokens end in `name!`, or `name! name` as in `macro_rules! name`.
fn is_macro(tokens: &[TokenTree]) -> bool {
    let is_macro_name = |token: &TokenTree| match token {
        TokenTree::Ident(name) => is_name(name),
        TokenTree::Group(path) => path.delimiter() == Delimiter::None,
        _ => false,
    };
    match tokens {
        [.., name, bang] if is(bang, '!') => is_macro_name(name),
        [.., name, bang, TokenTree::Ident(_)] if is(bang, '!') => is_macro_name(name),
        _ => false,
    }
}

fn is_name(ident: &Ident) -> bool {
    KEYWORDS.iter().all(|keyword| ident != keyword)
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether one of these tokens' attributes may be a macro, which is then given what it stands at.
fn has_macro_attribute(tokens: &[TokenTree]) -> bool {
    (0..tokens.len()).filter_map(|at| attribute(&tokens[at..])).any(|(path, _)| {
        let Some(TokenTree::Ident(path)) = path else { return true };
        INERT.iter().all(|inert| path != inert)
    })
}

/// The first token in a leading `#[…]` or `#![…]`, and the tokens after it.
fn attribute(tokens: &[TokenTree]) -> Option<(Option<TokenTree>, &[TokenTree])> {
    let (group, rest) = match tokens {
        [hash, TokenTree::Group(group), rest @ ..] if is(hash, '#') => (group, rest),
        [hash, bang, TokenTree::Group(group), rest @ ..] if is(hash, '#') && is(bang, '!') => (group, rest),
        _ => return None,
    };
    (group.delimiter() == Delimiter::Bracket).then(|| (group.stream().into_iter().next(), rest))
}

/// The tokens after a leading `#[doc …]` or `#![doc …]`, if there is one.
fn skip_doc(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let (path, rest) = attribute(tokens)?;
    matches!(path, Some(TokenTree::Ident(path)) if path == "doc").then_some(rest)
}

fn write_operators(mut run: &str, is_given: bool, preimage: &mut Vec<u8>) {
    while let Some(first) = run.chars().next() {
        let operator = OPERATORS.iter().find(|operator| run.starts_with(**operator));
        let operator = operator.filter(|_| is_given || first != '>');
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

/// The tokens as a text on one line, for a label: with a space only between words, however they were written.
pub(crate) fn text(tokens: TokenStream) -> String {
    let mut text = String::new();
    for token in tokens {
        let piece = match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                format!("{open}{}{close}", self::text(group.stream()))
            }
            token => token.to_string(),
        };
        let is_word = |side: Option<char>| side.is_some_and(|side| side.is_alphanumeric() || side == '_');
        if is_word(text.chars().next_back()) && is_word(piece.chars().next()) {
            text.push(' ');
        }
        text.push_str(&piece);
    }
    text
}

/// The first of the tokens that is this word.
pub(crate) fn find_word(tokens: TokenStream, word: &str) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => find_word(group.stream(), word),
        TokenTree::Ident(ident) => (ident == word).then_some(ident),
        _ => None,
    })
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
        compare(true, "match x { _=>/// note\n #[allow(x)] 1 }", "match x { _ => #[allow(x)] 1 }");
        compare(true, "let x: A<B<C>>=y;", "let x: A<B<C> > = y;");
        compare(true, "fn f()->A<B>{}", "fn f() -> A< B > { }");
        compare(true, "a>=-b", "a >= -b");
        compare(true, "x>>=1", "x >>= 1");
        compare(true, "match x{A::<B>=>1}", "match x { A::<B> => 1 }");
    }

    #[test]
    fn a_comma_before_a_closing_bracket_does_not_count() {
        for (without, with) in [
            ("f(a, b)", "f(\n    a,\n    b,\n)"),
            ("f(a)", "f(a,)"),
            ("x.f(a)", "x.f(a,)"),
            ("fn f(a: A<B, C>) {}", "fn f(a: A<B, C>,) {}"),
            ("[a, b]", "[a, b,]"),
            ("P { x, y: 1 }", "P { x, y: 1, }"),
            ("match x { A => 1, _ => 2 }", "match x { A => 1, _ => 2, }"),
            ("(a, b)", "(a, b,)"),
            ("if !f(a) { g(b) }", "if !f(a,) { g(b,) }"),
            ("Some((a, b))", "Some((a, b,),)"),
        ] {
            compare(true, without, with);
        }
    }

    #[test]
    fn a_comma_that_makes_a_tuple_counts() {
        for (without, with) in [
            ("(a)", "(a,)"),
            ("x = (a)", "x = (a,)"),
            ("return (a)", "return (a,)"),
            ("break 'outer (a)", "break 'outer (a,)"),
            ("let x: &'a (A) = y;", "let x: &'a (A,) = y;"),
            ("let x: (M<A, B>) = y;", "let x: (M<A, B>,) = y;"),
            ("x = (|a, b| a)", "x = (|a, b| a,)"),
            ("struct S(pub(crate) (A));", "struct S(pub(crate) (A,));"),
            ("{} (a)", "{} (a,)"),
            ("#[allow(x)] (a)", "#[allow(x)] (a,)"),
            ("for (a) in b {}", "for (a,) in b {}"),
        ] {
            compare(false, without, with);
        }
    }

    #[test]
    fn what_another_macro_is_given_counts_as_it_is() {
        for (left, right) in [
            ("m!(a)", "m!(a,)"),
            ("m! { f(a) }", "m! { f(a,) }"),
            ("p::m![/** one */ a]", "p::m![/** two */ a]"),
            ("m!(a > > b)", "m!(a >> b)"),
            ("macro_rules! m { (a) => {} }", "macro_rules! m { (a,) => {} }"),
            ("#[m] fn g(a: A) {}", "#[m] fn g(a: A,) {}"),
            ("#[derive(D)] enum E { /** one */ A }", "#[derive(D)] enum E { /** two */ A }"),
            ("#[m(a)] fn g() {}", "#[m(a,)] fn g() {}"),
        ] {
            compare(false, left, right);
        }
        compare(true, "#[derive(D)] struct S; fn f() { }", "#[derive(D)] struct S;  fn f(){}");
        compare(true, "m!(a, b); f(c)", "m!(a , b) ; f(c,)");
    }

    #[test]
    fn everything_else_counts() {
        compare(false, "a + b", "a - b");
        compare(false, "1", "2");
        compare(false, "1", "1u8");
        compare(false, "1.0", "1.");
        compare(false, "\"1\"", "1");
        compare(false, "\"a\"", "r\"a\"");
        compare(false, "\"a\"", "b\"a\"");
        compare(false, "\"a  b\"", "\"a b\"");
        compare(false, "\"// a\"", "\"// b\"");
        compare(false, "a", "r#a");
        compare(false, "a && b", "a & &b");
        compare(false, "a < <T>::b", "a << T > ::b");
        compare(false, "a | |b| c", "a || b | c");
        compare(false, "a > b", "a >> b");
        compare(false, "a >= b", "a >> b");
        compare(false, "f(a b)", "f(ab)");
        compare(false, "(a)", "[a]");
        compare(false, "(a) (b)", "(a (b))");
        compare(false, "f(a)", "f a");
        compare(false, "a", "a;");
        compare(false, "#[inline] fn f() {}", "fn f() {}");
        compare(false, "'a'", "\"a\"");
        compare(false, "'a", "a");
        compare(false, "x as u8", "x as u16");
    }

    #[test]
    fn a_group_without_brackets_counts() {
        let group = |code: &str| Group::new(Delimiter::None, code.parse().unwrap());
        let mut product: TokenStream = TokenTree::from(group("1 + 2")).into();
        product.extend("* 3".parse::<TokenStream>().unwrap());
        assert_ne!(hash(product), hash("1 + 2 * 3".parse().unwrap()), "what is first added is in the group");
    }

    #[test]
    fn a_label_does_not_depend_on_white_space() {
        for (tokens, expected) in
            [("a :: B", "a::B"), ("limits ( 3 , \"x y\" )", "limits(3,\"x y\")"), ("x as  u8", "x as u8")]
        {
            assert_eq!(text(tokens.parse().unwrap()), expected);
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        // Each token is its kind, its length as a little-endian u64 and its text; computed by hand from that.
        let hex: String =
            hash("a >= 1 && !b".parse().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "9f4483626864aef2a3c57ad1293e3cf929edfb4067444201c243a3e3b46e90ff");
    }
}
