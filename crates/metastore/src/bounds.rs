//! The bounds of texts in records, and the checks that keep them.

use crate::{Error, Result};

/// The longest name of a job, a step, a table or a dataset, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest text of an error or a reason, in bytes; a longer one is cut when it is recorded.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Checks a name: not empty, not too long, without a NUL byte (which ends a name in a key).
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::Invalid { field, reason: "is empty" });
    }
    if name.contains('\0') {
        return Err(Error::Invalid { field, reason: "has a NUL character in it" });
    }
    check_length(field, name, NAME_BYTES_MAX)
}

/// Checks that a text has at most `length_max` bytes.
pub(crate) fn check_length(field: &'static str, text: &str, length_max: usize) -> Result<()> {
    if text.len() > length_max {
        return Err(Error::TooLong { field, length: text.len(), length_max });
    }
    Ok(())
}

/// Cuts a text to [`TEXT_BYTES_MAX`], between two characters, and marks the cut with an ellipsis.
pub(crate) fn cut_text(text: &str) -> String {
    const MARK: char = '…';
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let room = TEXT_BYTES_MAX - MARK.len_utf8();
    let end = (0..=room).rfind(|&end| text.is_char_boundary(end)).unwrap_or(0);
    let mut cut = text[..end].to_owned();
    cut.push(MARK);
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_text_fits_and_begins_as_the_whole(text in "[aäあ🦀]{0,3000}") {
            let cut = cut_text(&text);
            prop_assert!(cut.len() <= TEXT_BYTES_MAX);
            match cut.strip_suffix('…') {
                Some(beginning) => {
                    prop_assert!(text.starts_with(beginning));
                    prop_assert!(cut.len() > TEXT_BYTES_MAX - 4);
                }
                None => prop_assert_eq!(cut, text),
            }
        }
    }

    #[test]
    fn names_are_bounded() {
        assert!(check_name("job name", &"a".repeat(NAME_BYTES_MAX)).is_ok());
        for name in ["", "a\0b", &"a".repeat(NAME_BYTES_MAX + 1)] {
            let error = check_name("job name", name).unwrap_err();
            assert!(error.to_string().starts_with("the job name "), "{error}");
        }
    }
}
