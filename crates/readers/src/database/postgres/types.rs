//! Which types of PostgreSQL are read, and as what.

use arrow_schema::DataType;
use postgres::types::{Kind as TypeKind, Type};

use crate::database::columns::Shape;

/// How values of a type are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    I16,
    I32,
    I64,
    U32,
    F32,
    F64,
    Numeric,
    Text,
    Bytes,
    Date,
    Time,
    TimeWithZone,
    Timestamp,
    /// An instant, told in UTC.
    TimestampWithZone,
    Interval,
    Uuid,
    Json,
    Jsonb,
    /// An address or a network, and whether it is the latter.
    Inet,
    Array(Box<Kind>),
}

impl Kind {
    /// How values of a type are read, if they are.
    pub(super) fn of(type_of: &Type) -> Option<Self> {
        match type_of.kind() {
            TypeKind::Domain(base) => return Self::of(base),
            TypeKind::Array(item) => return Some(Self::Array(Box::new(Self::of(item)?))),
            TypeKind::Enum(_) => return Some(Self::Text),
            TypeKind::Simple => {}
            _ => return None,
        }
        Some(match *type_of {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::I16,
            Type::INT4 => Self::I32,
            Type::INT8 => Self::I64,
            Type::OID => Self::U32,
            Type::FLOAT4 => Self::F32,
            Type::FLOAT8 => Self::F64,
            Type::NUMERIC => Self::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::XML => Self::Text,
            Type::BYTEA => Self::Bytes,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMETZ => Self::TimeWithZone,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampWithZone,
            Type::INTERVAL => Self::Interval,
            Type::UUID => Self::Uuid,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::INET | Type::CIDR => Self::Inet,
            // Of an extension that comes with the server; on the wire it is a text.
            _ if type_of.name() == "citext" => Self::Text,
            _ => return None,
        })
    }

    /// What the values are as rows have them.
    pub(super) fn shape(&self) -> Shape {
        Shape::Plain(match self {
            Self::Json | Self::Jsonb => return Shape::Any,
            Self::Array(item) => return Shape::List(Box::new(item.shape())),
            Self::Bool => DataType::Boolean,
            Self::I16 => DataType::Int16,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::U32 => DataType::UInt32,
            Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
            Self::Bytes => DataType::LargeBinary,
            _ => DataType::LargeUtf8,
        })
    }
}

/// The type as its users write it.
pub(super) fn name(type_of: &Type) -> String {
    match type_of.kind() {
        TypeKind::Array(item) => format!("{}[]", name(item)),
        _ => type_of.name().to_owned(),
    }
}
