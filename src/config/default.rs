//! The printed default: every key with what it is about, what it takes and what it is unless set.

use core::fmt::{self, Write as _};

use super::application::EVERY;
use super::keys::{KEYS, Section};
use super::{Config, Key};

/// Columns of a line of comment.
const WIDTH: usize = 100;

/// A commented file that says every key. Read back it is [`Config::default`].
pub fn default_file() -> String {
    let config = Config::default();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = comment(
        &mut text,
        "The settings of millstream, each with its default. What is left out is as here. The environment goes over \
         the file (MILLSTREAM_ and the key in capitals), and flags go over the environment; millstream check FILE \
         explains what is wrong with a file. SIGHUP has a running server read its file again.",
    );
    for section in Section::ALL {
        let _ = one_section(&mut text, section, &config);
    }
    text.push_str("\n# [[application]]\n# name = \"live/*\"\n# gop_cache = 0\n");
    text
}

fn one_section(text: &mut String, section: Section, config: &Config) -> fmt::Result {
    text.push('\n');
    comment(text, section.about())?;
    writeln!(text, "{section}")?;
    if section == Section::Application {
        writeln!(text, "name = {EVERY:?}")?;
    }
    for key in KEYS.iter().filter(|key| key.section == section) {
        text.push('\n');
        comment(text, key.about)?;
        let mut takes = format!("Takes {}.", key.kind);
        if key.needs_restart {
            takes.push_str(" A change needs a restart.");
        }
        if named_otherwise(key) {
            write!(takes, " Elsewhere: {}, --{}.", key.variable(), key.flag())?;
        }
        comment(text, &takes)?;
        writeln!(text, "{} = {}", key.name, key.value(config))?;
    }
    Ok(())
}

fn named_otherwise(key: &Key) -> bool {
    key.global != key.name
}

/// Writes `words` as lines of comment.
fn comment(text: &mut String, words: &str) -> fmt::Result {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            writeln!(text, "{line}")?;
            line.truncate(1);
        }
        write!(line, " {word}")?;
    }
    writeln!(text, "{line}")
}
