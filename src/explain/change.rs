//! The first thing that differs between a step and its last run, in words.

use rowmark_hashing::Difference;

/// Says what differs in the identity of a step: `udf classify: body changed`, `captured threshold: 0.5 → 0.7`,
/// `source reviews.csv: content 3fa9… → 81c2…, 2.1 MB → 2.3 MB`.
pub(crate) fn told(step: &str, difference: &Difference) -> String {
    let Difference { label, old, new, .. } = difference;
    let label = label.as_str();
    if let Some(label) = label.strip_prefix("input ") {
        return of_input(label, difference);
    }
    let Some(label) = label.strip_prefix("udf ") else { return difference.to_string() };
    if label.starts_with("captured ") && !label.ends_with(" type") {
        return values(label, difference);
    }
    let is_hidden = |text: &Option<String>| text.as_deref().is_none_or(is_code);
    match label {
        "body" if old.is_some() && new.is_some() => format!("udf {step}: body changed"),
        "body" => format!("udf {step}: a version stands for its body now, or no longer"),
        _ if old.is_some() && new.is_some() && is_hidden(old) && is_hidden(new) => {
            format!("udf {step}: {label} changed")
        }
        _ => format!("udf {step}: {}", values(label, difference)),
    }
}

/// The label is that of the input's component.
fn of_input(label: &str, difference: &Difference) -> String {
    for (branch, name) in [("first ", "first"), ("second ", "second")] {
        if let Some(label) = label.strip_prefix(branch) {
            return format!("the {name} chain of the union: {}", of_input(label, difference));
        }
    }
    match label {
        "source content" | "input content" => source_content(difference),
        "dataset content" => values("dataset", difference),
        "step" => values("the step before", difference),
        _ => match label.strip_suffix(" body") {
            Some(view) if difference.old.is_some() && difference.new.is_some() => {
                format!("{view}: body changed")
            }
            _ => values(label, difference),
        },
    }
}

fn values(label: &str, difference: &Difference) -> String {
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
    format!("{label}: {} → {}", side(&difference.old), side(&difference.new))
}

/// The parts of a file's content are its name, the beginning of its hash and its size.
fn source_content(difference: &Difference) -> String {
    let parts = |text: &Option<String>| {
        text.as_ref().map(|text| text.rsplitn(3, ", ").map(str::to_owned).collect::<Vec<_>>())
    };
    match (parts(&difference.old).as_deref(), parts(&difference.new).as_deref()) {
        (Some([old_size, old_hash, old_name]), Some([new_size, new_hash, new_name])) => {
            let name = changed(old_name, new_name);
            format!("source {name}: content {}, {}", changed(old_hash, new_hash), changed(old_size, new_size))
        }
        _ => values("source: content", difference),
    }
}

fn changed(old: &str, new: &str) -> String {
    if old == new { new.to_owned() } else { format!("{old} → {new}") }
}

/// Whether a text shows nothing but the hash of some code.
fn is_code(text: &str) -> bool {
    let text = text.trim_matches('"');
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use rowmark_hashing::{ContentHash, Fingerprint};

    use super::*;

    #[track_caller]
    fn check(label: &str, old: &str, new: &str, expected: &str) {
        let of = |shown: &str, byte| {
            Fingerprint::new("test").with_hash(label, ContentHash::from_bytes([byte; 32]), shown)
        };
        let difference = of(new, 2).first_difference(&of(old, 1)).unwrap();
        assert_eq!(told("classify", &difference), expected);
    }

    #[test]
    fn each_kind_of_change_is_told_in_words() {
        let code = |digit: &str| format!("\"{}\"", digit.repeat(64));
        check("udf body", "3fa9", "81c2", "udf classify: body changed");
        check("udf captured threshold", "0.5", "0.7", "captured threshold: 0.5 → 0.7");
        check("udf captured k type", "u8", "u16", "udf classify: captured k type: u8 → u16");
        check("udf fields", "{k: 1}", "{k: 2}", "udf classify: fields: {k: 1} → {k: 2}");
        check("udf haversine", &code("a"), &code("b"), "udf classify: haversine changed");
        check("udf RADIUS", "6371.0", "6378.0", "udf classify: RADIUS: 6371.0 → 6378.0");
        check("udf version", "1", "2", "udf classify: version: 1 → 2");
        check(
            "input source content",
            "reviews.csv, 3fa9…, 2.1 MB",
            "reviews.csv, 81c2…, 2.3 MB",
            "source reviews.csv: content 3fa9… → 81c2…, 2.1 MB → 2.3 MB",
        );
        check(
            "input second source content",
            "a, b.csv, 3fa9…, 2 B",
            "c.csv, 81c2…, 2 B",
            "the second chain of the union: source a, b.csv → c.csv: content 3fa9… → 81c2…, 2 B",
        );
        check("input source content", "3fa9", "81c2", "source: content: 3fa9 → 81c2");
        check("input filter few body", "3fa9", "81c2", "filter few: body changed");
        check("input filter few captured k", "1", "2", "filter few captured k: 1 → 2");
        check("output schema", "u8", "u16", "output schema: u8 → u16");
    }
}
