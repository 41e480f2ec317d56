//! What may stand behind a key: its kind, with bounds; from what was written to a value within them, and back.

use core::fmt;
use core::net::SocketAddr;
use core::ops::Range;
use std::borrow::Cow;

use toml::de::DeValue;

use super::choice::{Backend, LogFormat, LogLevel, Missing, OnConflict, Record, RecordFormat};
use super::http::{HttpListen, Token};
use super::naming::{self, NamePattern};
use super::record::Directory;
use crate::limits;
use crate::time::Duration;

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number.
    Whole {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A time, as `"500ms"`, `"5s"`, `"2m"`, `"12h"`, `"30d"`.
    Time {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Bytes, as `1048576`, `"512KiB"`, `"32MiB"`, `"4GiB"`.
    Size {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// True or false.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An address and port, or several.
    Addresses,
    /// An address and port, `auto` or `off`.
    HttpListen,
    /// A secret text, or none.
    Token,
    /// A directory, or none.
    Directory,
    /// What files are called.
    Pattern,
}

/// A value within the bounds of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Of [`Kind::Whole`].
    Whole(u64),
    /// Of [`Kind::Time`].
    Time(Duration),
    /// Of [`Kind::Size`].
    Size(u64),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Word`].
    Word(&'static str),
    /// Of [`Kind::Addresses`]; at least one.
    Addresses(Vec<SocketAddr>),
    /// Of [`Kind::HttpListen`].
    HttpListen(HttpListen),
    /// Of [`Kind::Token`].
    Token(Token),
    /// Of [`Kind::Directory`].
    Directory(Directory),
    /// Of [`Kind::Pattern`].
    Pattern(NamePattern),
}

/// As the file spells it.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "\"{}\"", Spelt(*time)),
            Self::Size(bytes) => write!(f, "{}", Bytes(*bytes)),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Word(word) => write!(f, "{word:?}"),
            Self::HttpListen(place) => write!(f, "\"{place}\""),
            Self::Token(token) => write!(f, "\"{token}\""),
            Self::Directory(path) => write!(f, "{:?}", path.to_string()),
            Self::Pattern(pattern) => write!(f, "\"{pattern}\""),
            Self::Addresses(addresses) => match addresses.as_slice() {
                [one] => write!(f, "\"{one}\""),
                many => {
                    let many: Vec<_> = many.iter().map(|one| format!("\"{one}\"")).collect();
                    write!(f, "[{}]", many.join(", "))
                }
            },
        }
    }
}

/// A time in the largest unit that has no remainder.
struct Spelt(Duration);

impl fmt::Display for Spelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis >= 86_400_000 && millis.is_multiple_of(86_400_000) {
            write!(f, "{}d", millis / 86_400_000)
        } else if millis >= 60_000 && millis.is_multiple_of(60_000) {
            write!(f, "{}m", millis / 60_000)
        } else if millis.is_multiple_of(1_000) {
            write!(f, "{}s", millis / 1_000)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

/// The accepted values, as errors and the printed default say them.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Time { min, max } => write!(
                f,
                "a time from \"{}\" to \"{}\", such as \"50ms\", \"5s\" or \"2m\"",
                Spelt(*min),
                Spelt(*max)
            ),
            Self::Size { min, max } => write!(
                f,
                "bytes such as 65536 or \"64KiB\" (KiB, MiB or GiB) from {} to {}",
                Bytes(*min),
                Bytes(*max)
            ),
            Self::Flag => f.write_str("true or false"),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                match words.split_last() {
                    Some((last, [])) => f.write_str(last),
                    Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
                    None => Ok(()),
                }
            }
            Self::Addresses => f.write_str("an address and port such as 0.0.0.0:1935 or [::]:1935"),
            Self::HttpListen => {
                f.write_str("\"auto\", \"off\", or an address and port such as 127.0.0.1:8935")
            }
            Self::Directory => f.write_str("the path of a directory, or nothing for none"),
            Self::Pattern => f.write_str(naming::PATTERN),
            Self::Token => write!(
                f,
                "from {} to {} visible ASCII characters without quotes and backslashes, or nothing for no token",
                limits::HTTP_TOKEN_MIN,
                limits::HTTP_TOKEN_MAX
            ),
        }
    }
}

/// A value as it was written, whichever layer it came from.
pub(super) enum Written<'a> {
    Whole(i128),
    Flag(bool),
    Text(Cow<'a, str>),
    /// With each element's place in the text.
    List(Vec<(Range<usize>, Self)>),
    /// Anything no key takes, by its name.
    Other(&'static str),
}

impl<'a> Written<'a> {
    pub(super) fn in_toml(value: &'a DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(Cow::Borrowed(text)),
            DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Self::Other("a number beyond all bounds"), Self::Whole),
            DeValue::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| (item.span(), Self::in_toml(item.get_ref())))
                    .collect(),
            ),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// In a variable or a flag, where all is text.
    pub(super) fn in_text(kind: Kind, text: &'a str) -> Self {
        let plain = || Self::Text(Cow::Borrowed(text));
        match kind {
            Kind::Flag => text.parse().map_or_else(|_| plain(), Self::Flag),
            Kind::Whole { .. } => text.parse().map_or_else(|_| plain(), Self::Whole),
            _ => plain(),
        }
    }
}

/// In an error.
impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) if items.is_empty() => f.write_str("an empty list"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Why a value was refused, and where in the text if that is not the value's own start.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) at: Option<usize>,
}

impl Kind {
    /// The value of a flag's text.
    ///
    /// # Errors
    /// What was expected, and what came.
    pub fn read_text(self, text: &str) -> Result<Setting, String> {
        self.read(&Written::in_text(self, text))
            .map_err(|fault| fault.what)
    }

    /// The value that was written, if it is one of this kind's.
    pub(super) fn read(self, written: &Written<'_>) -> Result<Setting, Fault> {
        let refuse = |came: &Written<'_>| Fault {
            what: match self {
                // A secret that is not right yet is a secret.
                Self::Token => format!("expected {self}"),
                _ => format!("expected {self}, got {came}"),
            },
            at: None,
        };
        let setting = match (self, written) {
            (Self::Whole { .. }, Written::Whole(number)) => {
                u64::try_from(*number).ok().map(Setting::Whole)
            }
            (Self::Time { .. }, Written::Text(text)) => time(text).map(Setting::Time),
            (Self::Size { .. }, Written::Whole(number)) => {
                u64::try_from(*number).ok().map(Setting::Size)
            }
            (Self::Size { .. }, Written::Text(text)) => size(text).map(Setting::Size),
            (Self::Flag, Written::Flag(flag)) => Some(Setting::Flag(*flag)),
            (Self::Word(words), Written::Text(text)) => {
                let mut words = words.iter();
                words.find(|word| *word == text).copied().map(Setting::Word)
            }
            (Self::HttpListen, Written::Text(text)) => text.parse().ok().map(Setting::HttpListen),
            (Self::Token, Written::Text(text)) => Token::new(text).map(Setting::Token),
            (Self::Directory, Written::Text(text)) => Directory::new(text).map(Setting::Directory),
            (Self::Pattern, Written::Text(text)) => text.parse().ok().map(Setting::Pattern),
            (Self::Addresses, Written::Text(text)) => {
                text.parse().ok().map(|one| Setting::Addresses(vec![one]))
            }
            (Self::Addresses, Written::List(items)) => {
                let mut addresses = Vec::new();
                for (span, item) in items {
                    match item {
                        Written::Text(text) if text.parse::<SocketAddr>().is_ok() => {
                            addresses.extend(text.parse::<SocketAddr>());
                        }
                        _ => {
                            let at = Some(span.start);
                            return Err(Fault { at, ..refuse(item) });
                        }
                    }
                }
                Some(Setting::Addresses(addresses))
            }
            _ => None,
        };
        setting
            .filter(|setting| self.admits(setting))
            .ok_or_else(|| refuse(written))
    }

    /// Whether `setting` is of this kind and within its bounds.
    pub fn admits(self, setting: &Setting) -> bool {
        match (self, setting) {
            (Self::Whole { min, max }, Setting::Whole(number)) => (min..=max).contains(number),
            // More than milliseconds the file cannot say.
            (Self::Time { min, max }, Setting::Time(time)) => (min..=max).contains(time),
            (Self::Size { min, max }, Setting::Size(bytes)) => (min..=max).contains(bytes),
            (Self::Flag, Setting::Flag(_)) => true,
            (Self::Word(words), Setting::Word(word)) => words.contains(word),
            (Self::Addresses, Setting::Addresses(addresses)) => !addresses.is_empty(),
            (Self::HttpListen, Setting::HttpListen(_)) | (Self::Token, Setting::Token(_)) => true,
            (Self::Directory, Setting::Directory(_)) | (Self::Pattern, Setting::Pattern(_)) => true,
            _ => false,
        }
    }
}

fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let count: u64 = count.parse().ok()?;
    count.checked_mul(millis).map(Duration::from_millis)
}

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

fn size(text: &str) -> Option<u64> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes); // of a variable or flag
    }
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(*factor)
}

/// Bytes as the file spells them, in the largest unit that they are whole in.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        match UNITS.iter().rev().find(whole) {
            Some((unit, factor)) => write!(f, "\"{}{unit}\"", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A field that a [`Setting`] is kept in.
pub(super) trait Field {
    /// The field's value.
    fn get(&self) -> Setting;
    /// Takes a value of the field's kind; a key's table names kind and field together, so another does not come.
    fn set(&mut self, setting: Setting);
}

macro_rules! fields {
    ($($type:ty: $variant:ident ($get:expr, $set:expr);)+) => {$(
        impl Field for $type {
            fn get(&self) -> Setting {
                Setting::$variant($get(self))
            }
            fn set(&mut self, setting: Setting) {
                if let Setting::$variant(value) = setting
                    && let Some(value) = $set(value)
                {
                    *self = value;
                }
            }
        }
    )+};
}

fields! {
    usize: Whole (|field: &Self| *field as u64, |value| Self::try_from(value).ok());
    u32: Whole (|field: &Self| u64::from(*field), |value| Self::try_from(value).ok());
    u64: Size (Self::clone, Some);
    bool: Flag (Self::clone, Some);
    Duration: Time (Self::clone, Some);
    Vec<SocketAddr>: Addresses (Self::clone, Some);
    Backend: Word (|field: &Self| field.word(), Self::spelt);
    HttpListen: HttpListen (Self::clone, Some);
    Token: Token (Self::clone, Some);
    LogFormat: Word (|field: &Self| field.word(), Self::spelt);
    LogLevel: Word (|field: &Self| field.word(), Self::spelt);
    Missing: Word (|field: &Self| field.word(), Self::spelt);
    OnConflict: Word (|field: &Self| field.word(), Self::spelt);
    Record: Word (|field: &Self| field.word(), Self::spelt);
    RecordFormat: Word (|field: &Self| field.word(), Self::spelt);
    Directory: Directory (Self::clone, Some);
    NamePattern: Pattern (Self::clone, Some);
}
