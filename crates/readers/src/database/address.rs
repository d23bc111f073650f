//! Where a database is, and what of that may be told.
//!
//! An address is never shown as it was given: what is shown is put together from those of its parts that are no secrets,
//! once they have been read without doubt.

use rowmark_hashing::Fingerprint;

use crate::Error;

/// A database's address.
pub(super) enum Address {
    /// A file.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
    /// A server.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Config>),
    /// Nothing that can be opened.
    Unknown {
        /// What can be told of it.
        place: String,
        advice: &'static str,
    },
}

const KNOWN: &str = "an address begins with `sqlite:` or `postgresql:`";

impl Address {
    pub(super) fn of(url: &str) -> Self {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => sqlite(url),
            "postgres" | "postgresql" => postgres(url),
            // The other form of PostgreSQL's addresses: `host=… password=…`.
            _ if is_pairs(url) => postgres(url),
            _ if is_scheme(scheme) => Self::Unknown { place: format!("{scheme}:…"), advice: KNOWN },
            _ => Self::Unknown { place: "an unknown address".to_owned(), advice: KNOWN },
        }
    }

    /// The address without a user, a password or options.
    pub(super) fn place(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => format!("sqlite:{path}"),
            #[cfg(feature = "postgres")]
            Self::Postgres(config) => of_postgres::place(config),
            Self::Unknown { place, .. } => place.clone(),
        }
    }

    /// Adds what decides which database it is, and how it appears to whom.
    pub(super) fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        let fingerprint = fingerprint.with("database", &self.place())?;
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(config) => of_postgres::identify(config, fingerprint),
            _ => Ok(fingerprint),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    const CHARS_MAX: usize = 12;
    (1..=CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_pairs(url: &str) -> bool {
    let key = url.trim_start().split(['=', ' ']).next().unwrap_or_default();
    url.contains('=') && !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(feature = "sqlite")]
fn sqlite(url: &str) -> Address {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    Address::Sqlite(path.strip_prefix("//").unwrap_or(path).to_owned())
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &str) -> Address {
    Address::Unknown { place: "sqlite:…".to_owned(), advice: "turn on the feature `sqlite` to read SQLite" }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Address {
    // What the parser says of an address may have a part of it in it.
    const FORM: &str = "an address is `postgresql://user:password@host:port/database`, in user and password each of \
        `: / ? # @ %` written as `%` and its two hexadecimal digits, and with no other options than the client knows";
    match url.parse::<postgres::Config>() {
        Ok(config) if of_postgres::is_certain(&config) => Address::Postgres(Box::new(config)),
        _ => Address::Unknown { place: "postgresql:…".to_owned(), advice: FORM },
    }
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str) -> Address {
    let advice = "turn on the feature `postgres` to read PostgreSQL";
    Address::Unknown { place: "postgresql:…".to_owned(), advice }
}

#[cfg(feature = "postgres")]
mod of_postgres {
    use postgres::config::{Config, Host};
    use rowmark_hashing::{ContentHash, Fingerprint};

    use crate::Error;

    const PORT: u16 = 5432;

    /// Whether nothing in host and database can be a part of a password in which an `@` was not written as `%40`.
    pub(super) fn is_certain(config: &Config) -> bool {
        let hosts = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => !name.contains(['@', ':', '/']) || name.parse::<std::net::Ipv6Addr>().is_ok(),
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        hosts && !config.get_dbname().unwrap_or_default().contains('@')
    }

    pub(super) fn place(config: &Config) -> String {
        let names = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let mut names: Vec<String> = names.collect();
        if names.is_empty() {
            names = config.get_hostaddrs().iter().map(ToString::to_string).collect();
        }
        // There is a port for each host, or one for all.
        let ports = config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        let hosts: Vec<String> =
            names.iter().enumerate().map(|(index, name)| format!("{name}:{}", port(index))).collect();
        // As the server does where no database is named.
        let database = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
        format!("postgresql://{}{database}", hosts.join(","))
    }

    /// Adds who asks, and with which options: rows may be hidden from some, and names mean other tables to others.
    pub(super) fn identify(config: &Config, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        let options = ContentHash::of(&config.get_options())?;
        Ok(fingerprint.with("user", &config.get_user())?.with_hash(
            "session options",
            options,
            if config.get_options().is_some() { "…" } else { "none" },
        ))
    }
}
