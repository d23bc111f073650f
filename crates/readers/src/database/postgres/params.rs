//! Parameters of queries: all as texts, which the server reads as whatever it expects there.

use std::error::Error as StdError;
use std::fmt;
use std::fmt::Write as _;

use postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use rowmark_rows::Value;

/// A parameter. The client logs parameters, so nothing is shown of it.
pub(super) struct Param<'a>(pub(super) &'a Value);

impl fmt::Debug for Param<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(text) = text(self.0)? else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The text of a value, or nothing of a missing one.
pub(super) fn text(value: &Value) -> Result<Option<String>, &'static str> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(bool) => bool.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        Value::List(items) => {
            let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
            format!("{{{}}}", items.join(","))
        }
        _ => return Err("objects cannot be parameters; pass the text of their JSON"),
    }))
}

/// The text of a value in an array.
fn item(value: &Value) -> Result<String, &'static str> {
    Ok(match (value, text(value)?) {
        (_, None) => "null".to_owned(),
        (Value::List(_), Some(array)) => array,
        (_, Some(text)) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    })
}
