//! Where operators ask, and what they must show.

use core::fmt;
use core::hint::black_box;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::str::FromStr;

use crate::limits;

/// What [`HttpListen::Auto`] stands for.
pub const HTTP_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_935));

/// Where operators ask by HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpListen {
    /// On [`HTTP_DEFAULT`], or nowhere if that is taken: nobody asked for it.
    Auto,
    /// Nowhere.
    Off,
    /// There. Port 0 takes a free one.
    At(SocketAddr),
}

/// As the configuration spells it.
impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for HttpListen {
    type Err = core::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::At),
        }
    }
}

/// A secret, or none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Token(String);

impl Token {
    /// The token `text`: from [`limits::HTTP_TOKEN_MIN`] to [`limits::HTTP_TOKEN_MAX`] visible ASCII characters that need
    /// no escape in a file; empty for none.
    pub fn new(text: &str) -> Option<Self> {
        let long = (limits::HTTP_TOKEN_MIN..=limits::HTTP_TOKEN_MAX).contains(&text.len());
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte);
        (text.is_empty() || long && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `shown` is it. How long that takes says nothing of how much of it is right.
    pub fn is(&self, shown: &[u8]) -> bool {
        let mine = self.0.as_bytes();
        let pairs = mine.iter().zip(shown.iter().chain(core::iter::repeat(&0)));
        let wrong = pairs.fold(0, |wrong, (a, b)| black_box(wrong | (a ^ b)));
        !mine.is_empty() && wrong == 0 && shown.len() == mine.len()
    }
}

/// As the configuration spells it. What is written to logs is [`Token`]'s other form.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For logs: whether there is one.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "none" } else { "(secret)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_alone() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in [
            "",
            "0123456789abcdeg",
            "0123456789abcde",
            "0123456789abcdef0",
        ] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert!(!Token::default().is(b""), "no token lets nobody in");
        for bad in ["short", "0123456789abcde f", "0123456789abcde\"f"] {
            assert!(Token::new(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{token:?}"), "(secret)");
    }
}
