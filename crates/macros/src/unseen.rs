//! Refuses code whose meaning is not in its tokens.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};

/// Macros whose result depends on more than the tokens that they are given: on files, the environment, the build's
/// configuration, the place of the code, or its white space.
const UNSEEN: [&str; 14] = [
    "include_str",
    "include_bytes",
    "include",
    "env",
    "option_env",
    "cfg",
    "cfg_select",
    "cfg_match",
    "line",
    "column",
    "file",
    "module_path",
    "stringify",
    "debug_assert",
];

/// Refuses code whose meaning is not in its tokens, at the place where it is so.
pub(crate) fn check(tokens: TokenStream) -> syn::Result<()> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let is = |offset: usize, sign| matches!(tokens.get(index + offset), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        match token {
            TokenTree::Group(group) => check(group.stream())?,
            TokenTree::Ident(ident) if is(1, '!') && !is(2, '=') => check_macro(ident)?,
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                match (tokens.get(index + 1), tokens.get(index + 2)) {
                    (Some(TokenTree::Group(group)), _) => check_attribute(group)?,
                    (_, Some(TokenTree::Group(group))) if is(1, '!') => check_attribute(group)?,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_macro(name: &Ident) -> syn::Result<()> {
    let text = name.to_string();
    let text = text.strip_prefix("r#").unwrap_or(&text);
    if !UNSEEN.contains(&text) && !text.starts_with("debug_assert_") {
        return Ok(());
    }
    Err(syn::Error::new(
        name.span(),
        format!(
            "what `{text}!` gives can change while the code stays the same; put it in a constant and list that in `uses(…)`, or declare a `version = …`"
        ),
    ))
}

fn check_attribute(attribute: &Group) -> syn::Result<()> {
    match attribute.stream().into_iter().next() {
        Some(TokenTree::Ident(path)) if path == "cfg" || path == "cfg_attr" => Err(syn::Error::new(
            path.span(),
            "which code is compiled is not in the tokens; write one function for each configuration, or declare a `version = …`",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(is_fine: bool, code: &str) {
        assert_eq!(super::check(code.parse().unwrap()).is_ok(), is_fine, "{code}");
    }

    #[test]
    fn code_whose_meaning_is_not_in_its_tokens_is_refused() {
        for code in [
            "{ include_str!(\"p.txt\") }",
            "a(env!(\"A\"))",
            "r#env!(\"A\")",
            "std::option_env!(\"A\")",
            "if cfg!(debug_assertions) {}",
            "format!(\"{}\", line!())",
            "module_path!()",
            "stringify!(a + b)",
            "debug_assert_eq!(a, b)",
            "cfg_select! { unix => { 1 } _ => { 2 } }",
            "cfg_if! { if #[cfg(unix)] { 1 } else { 2 } }",
            "{ #[cfg(unix)] x }",
            "{ #![cfg_attr(unix, allow(x))] x }",
        ] {
            check(false, code);
        }
    }

    #[test]
    fn what_only_looks_like_it_is_fine() {
        for code in
            ["{ env != cfg }", "include(x)", "format!(\"{env}\")", "{ #[allow(x)] y }", "!env", "line(file)"]
        {
            check(true, code);
        }
    }
}
