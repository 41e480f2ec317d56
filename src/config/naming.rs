//! What recordings are called: a pattern with the application, the stream and the time, safe against any name that a
//! client can send.
//!
//! What a client chose is spelt with `A-Z a-z 0-9 . _ -` alone: every other byte as `%` and two digits, and so is a dot
//! at its beginning; a long one is cut off and told apart by its hash. No two names are spelt alike, and none leaves its
//! place: what it stands for is one part of a path, never `.`, `..`, empty or hidden.

use core::fmt::{self, Write as _};
use core::str::FromStr;

use sha2::{Digest, Sha256};

use crate::limits;
use crate::time::WallTime;

/// How recordings are called, without the ending: checked when it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamePattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    App,
    Stream,
    Date,
    Time,
    Number,
}

impl Field {
    const ALL: [(&'static str, Self); 5] = [
        ("app", Self::App),
        ("stream", Self::Stream),
        ("date", Self::Date),
        ("time", Self::Time),
        ("n", Self::Number),
    ];
}

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The application.
    pub app: &'a str,
    /// The stream, without the application.
    pub stream: &'a str,
    /// When the file begins.
    pub at: WallTime,
    /// Its number in this recording, from 1.
    pub number: u32,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAPattern;

/// What a pattern must be, as errors say it.
pub(super) const PATTERN: &str = "a name such as \"{app}/{stream}-{date}-{time}\", with {stream} and perhaps {app}, {date}, {time} \
     (UTC) and {n} (a number), each once, between letters, digits, dots, underscores and dashes, and with / between directories";

impl Default for NamePattern {
    fn default() -> Self {
        let text = "{app}/{stream}-{date}-{time}";
        text.parse().unwrap_or(Self {
            text: String::new(),
            parts: Vec::new(),
        })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for NamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let parts = parts(text).ok_or(NotAPattern)?;
        let literal: String = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                // Whatever it stands for is no dot, no slash, and not empty.
                Part::Field(_) => "x",
            })
            .collect();
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('.');
        let has_stream = parts.contains(&Part::Field(Field::Stream));
        let fits = literal.len() <= limits::RECORD_NAME_BYTES;
        if has_stream && fits && literal.split('/').all(is_name) {
            let text = text.to_owned();
            Ok(Self { text, parts })
        } else {
            Err(NotAPattern)
        }
    }
}

fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, behind) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        let plain = |byte: u8| is_plain(byte) || byte == b'/';
        if !literal.bytes().all(plain) {
            return None;
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal.to_owned()));
        }
        let Some(field) = behind.strip_prefix('{') else {
            break;
        };
        let (name, behind) = field.split_once('}')?;
        let (_, field) = Field::ALL.iter().find(|(field, _)| *field == name)?;
        let field = Part::Field(*field);
        if parts.contains(&field) {
            return None;
        }
        parts.push(field);
        rest = behind;
    }
    Some(parts)
}

impl NamePattern {
    /// The name of a file: a relative path with `/`, without its ending. None of its parts is longer than 240 bytes.
    pub fn name(&self, naming: &Naming<'_>) -> String {
        let mut name = String::new();
        let (date, time) = date_and_time(naming.at);
        for part in &self.parts {
            let written = match part {
                Part::Text(text) => name.write_str(text),
                Part::Field(Field::App) => name.write_str(&spelt(naming.app)),
                Part::Field(Field::Stream) => name.write_str(&spelt(naming.stream)),
                Part::Field(Field::Date) => write!(name, "{date:08}"),
                Part::Field(Field::Time) => write!(name, "{time:06}"),
                Part::Field(Field::Number) => write!(name, "{:04}", naming.number),
            };
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        name
    }

    /// Whether a file of this name, without its ending, can be one of ours: perhaps with a number behind a name that was
    /// taken (`-2`).
    pub fn is_name(&self, name: &str) -> bool {
        let plain = self.covers(name);
        let (first, number) = name.rsplit_once('-').unwrap_or((name, ""));
        plain || is_number(number) && self.covers(first)
    }

    /// The pattern of what is recorded of one stream: date, time and number are open.
    pub fn of(&self, app: &str, stream: &str) -> Self {
        let parts = self.parts.iter().map(|part| match part {
            Part::Field(Field::App) => Part::Text(spelt(app)),
            Part::Field(Field::Stream) => Part::Text(spelt(stream)),
            part => part.clone(),
        });
        Self {
            text: self.text.clone(),
            parts: parts.collect(),
        }
    }

    /// The directory of all its files, relative and perhaps empty, if there is one: date, time and number may be parts of
    /// directories' names.
    pub fn directory(&self) -> Option<String> {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Field(_) => "{",
        });
        let name: String = parts.collect();
        match name.rsplit_once('/') {
            None => Some(String::new()),
            Some((directory, _)) => (!directory.contains('{')).then(|| directory.to_owned()),
        }
    }

    /// What all names begin with, as far as it does not depend on date, time or number.
    pub fn prefix(&self) -> String {
        let texts = self.parts.iter().map_while(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        });
        texts.collect()
    }

    /// How many directories lie between the pattern's beginning and its files.
    pub fn depth(&self) -> usize {
        self.text.matches('/').count()
    }

    fn covers(&self, name: &str) -> bool {
        let name = name.as_bytes();
        // Where one may be in the name after so many parts.
        let mut places = vec![0];
        for part in &self.parts {
            let mut next: Vec<usize> = Vec::new();
            for at in places {
                let rest = name.get(at..).unwrap_or_default();
                match part {
                    Part::Text(text) if rest.starts_with(text.as_bytes()) => {
                        next.push(at + text.len());
                    }
                    Part::Text(_) => {}
                    Part::Field(field) => {
                        let longest = rest.iter().take_while(|byte| field.has(**byte)).count();
                        let lengths = field.lengths();
                        next.extend(
                            (lengths.start..lengths.end.min(longest + 1)).map(|len| at + len),
                        );
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            places = next;
        }
        places.contains(&name.len())
    }
}

impl Field {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::App | Self::Stream => is_plain(byte) || [b'%', b'~'].contains(&byte),
            Self::Date | Self::Time | Self::Number => byte.is_ascii_digit(),
        }
    }

    fn lengths(self) -> core::ops::Range<usize> {
        match self {
            Self::App | Self::Stream => 1..limits::RECORD_PIECE_BYTES + 1,
            Self::Date => 8..9,
            Self::Time => 6..7,
            Self::Number => 4..11,
        }
    }
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || [b'.', b'_', b'-'].contains(&byte)
}

/// A name of a client's as a piece of a file's name: never empty, never with a dot at its beginning, at most
/// [`limits::RECORD_PIECE_BYTES`]. Other names are spelt otherwise.
pub fn spelt(name: &str) -> String {
    let mut spelt = String::new();
    for (at, byte) in name.bytes().enumerate() {
        if is_plain(byte) && (at > 0 || byte != b'.') {
            spelt.push(char::from(byte));
        } else {
            push_hex(&mut spelt, b'%', byte);
        }
    }
    if spelt.is_empty() {
        // No other name is spelt so: behind its sign there are always two digits.
        return "%".to_owned();
    }
    if spelt.len() > limits::RECORD_PIECE_BYTES {
        spelt.truncate(limits::RECORD_PIECE_BYTES - 33);
        spelt.push('~');
        for byte in Sha256::digest(name.as_bytes()).iter().take(16) {
            push_hex(&mut spelt, 0, *byte);
        }
    }
    spelt
}

fn push_hex(to: &mut String, sign: u8, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    if sign > 0 {
        to.push(char::from(sign));
    }
    for digit in [byte >> 4, byte & 0xF] {
        let digit = DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0');
        to.push(char::from(digit));
    }
}

/// Year, month and day, and hour, minute and second, as decimal digits of one number each. UTC.
fn date_and_time(at: WallTime) -> (u64, u64) {
    let seconds = at.0 / 1_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: leap days come last in a year that begins in March.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = (era * 400 + year + next).min(9_999);
    let date = year * 10_000 + month * 100 + day;
    (
        date,
        second / 3_600 * 10_000 + second / 60 % 60 * 100 + second % 60,
    )
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> NamePattern {
        text.parse().unwrap()
    }

    fn name(pattern: &NamePattern, app: &str, stream: &str) -> String {
        pattern.name(&Naming {
            app,
            stream,
            at: WallTime(1_785_578_523_000_000),
            number: 7,
        })
    }

    #[test]
    fn names_are_what_the_pattern_says() {
        assert_eq!(
            name(&NamePattern::default(), "live", "cam1"),
            "live/cam1-20260801-100203"
        );
        let numbered = pattern("rec_{stream}.{n}");
        assert_eq!(name(&numbered, "live", "a b"), "rec_a%20b.0007");
        assert_eq!(spelt(""), "%");
        assert_eq!(spelt(".."), "%2E.");
        assert_eq!(spelt("live/a"), "live%2Fa");
        assert_eq!(spelt("50%"), "50%25");
        assert_eq!(spelt(&"x".repeat(100)).len(), limits::RECORD_PIECE_BYTES);
    }

    #[test]
    fn the_recordings_of_one_stream_are_known_by_their_names() {
        let cam = NamePattern::default().of("live", "c m");
        assert_eq!(cam.directory().unwrap(), "live");
        for (name, is_its) in [
            ("live/c%20m-20260801-100203", true),
            ("live/c%20m-20260801-100203-2", true),
            ("live/c%20m-20260801-100203-20260801-100204", false),
            ("live/cam-20260801-100203", false),
            ("other/c%20m-20260801-100203", false),
        ] {
            assert_eq!(cam.is_name(name), is_its, "{name}");
        }
        let daily = pattern("{app}/{date}/{stream}-{time}");
        assert_eq!(daily.of("a", "b").directory(), None);
        assert_eq!(pattern("{stream}{n}").of("a", "b").directory().unwrap(), "");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date, time) in [
            (0, 19_700_101, 0),
            (951_782_399, 20_000_228, 235_959),
            (951_782_400, 20_000_229, 0),
            (951_868_800, 20_000_301, 0),
            (1_735_689_599, 20_241_231, 235_959),
            (4_107_542_400, 21_000_301, 0),
        ] {
            let told = date_and_time(WallTime(seconds * 1_000_000));
            assert_eq!(told, (date, time), "{seconds}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "{app}",
            "x",
            "/{stream}",
            "{stream}/",
            "a//{stream}",
            ".{stream}",
            "a/.b/{stream}",
            "../{stream}",
            "{stream}{stream}",
            "{stream",
            "{year}{stream}",
            "a b{stream}",
            "{stream}%",
            "\\{stream}",
            "{}{stream}",
        ] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
        let long = format!("{{stream}}{}", "x".repeat(limits::RECORD_NAME_BYTES));
        assert!(long.parse::<NamePattern>().is_err());
        for text in [
            "{stream}",
            "{app}/{stream}/{date}/{n}",
            "a..b{stream}",
            "{stream}.{app}",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn only_names_of_the_pattern_are_ours() {
        let default = NamePattern::default();
        for ours in [
            "live/cam1-20260801-100203",
            "live/cam1-20260801-100203-2",
            "%/a-b%20-20260801-100203-99",
        ] {
            assert!(default.is_name(ours), "{ours}");
        }
        for other in [
            "cam1-20260801-100203",
            "live/cam1",
            "live/x/cam1-20260801-100203",
            "live/cam1-20260801-10020",
            "live/cam 1-20260801-100203",
            "live/cam1-20260801-100203-12345",
            "holiday",
            "",
            "live/-20260801-100203",
        ] {
            assert!(!default.is_name(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_directory(app in ".{0,40}", stream in any::<String>(), n in any::<u32>(), at in any::<u64>()) {
            for text in ["{app}/{stream}-{date}-{time}", "{stream}", "{app}{stream}{date}{time}{n}", "a/{app}/b.{stream}"] {
                let pattern = pattern(text);
                let name = pattern.name(&Naming { app: &app, stream: &stream, at: WallTime(at), number: n });
                for part in Path::new(&name).components() {
                    let Component::Normal(part) = part else { panic!("{name}") };
                    let part = part.to_str().unwrap();
                    prop_assert!(!part.starts_with('.') && part.len() <= 240, "{}", name);
                }
                prop_assert!(name.bytes().all(|b| is_plain(b) || b"%~/".contains(&b)));
                prop_assert_eq!(name.split('/').count(), pattern.depth() + 1);
                prop_assert!(pattern.is_name(&name), "{}", name);
                let numbered = format!("{name}-2");
                prop_assert!(pattern.is_name(&numbered));
            }
        }

        #[test]
        fn two_names_are_never_spelt_alike(one in any::<String>(), other in "[.%/~a ]{0,3}|.{0,90}") {
            prop_assume!(one != other);
            prop_assert_ne!(spelt(&one), spelt(&other));
            let default = NamePattern::default();
            prop_assert_ne!(name(&default, "live", &one), name(&default, "live", &other));
            prop_assert_ne!(name(&default, &one, &other), name(&default, &other, &one));
        }
    }
}
