//! What a file says, section by section. Every mistake is found, not only the first.

use core::ops::Range;
use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::application::{self, is_pattern};
use super::keys::{KEYS, Key, Section};
use super::place::{ConfigError, nearest, place_in};
use super::value::Written;

/// A file on its way into a configuration.
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) config: &'a mut Config,
    errors: Vec<(usize, String)>,
}

impl<'a> File<'a> {
    pub(super) fn new(name: &'a str, text: &'a str, config: &'a mut Config) -> Self {
        Self {
            name,
            text,
            config,
            errors: Vec::new(),
        }
    }

    /// Lays the file over the configuration; its mistakes in the order of their places.
    pub(super) fn apply(mut self) -> Vec<ConfigError> {
        let (table, broken) = DeTable::parse_recoverable(self.text);
        for error in broken {
            let at = error.span().map_or(0, |span| span.start);
            self.refuse(at, format!("not TOML: {}", error.message().trim_end()));
        }
        // What a broken line leaves is not what was meant: its value is not looked at, only the lines that stand.
        let is_whole = self.errors.is_empty();
        for (name, value) in table.get_ref() {
            self.section(name, value);
        }
        self.errors.sort_by_key(|(at, _)| *at);
        if !is_whole {
            let text = self.text;
            let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count();
            self.errors.dedup_by_key(|(at, _)| line(*at));
        }
        self.errors
            .into_iter()
            .map(|(at, what)| ConfigError {
                place: place_in(self.name, self.text, at),
                what,
            })
            .collect()
    }

    fn refuse(&mut self, at: usize, what: String) {
        self.errors.push((at, what));
    }

    fn section(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let called = name.get_ref().as_ref();
        let Some(section) = Section::ALL
            .into_iter()
            .find(|known| known.name() == called)
        else {
            return self.refuse(name.span().start, stray_section(called));
        };
        match (section, value.get_ref()) {
            (Section::Application, DeValue::Array(entries)) => {
                let mut names = BTreeMap::new();
                for entry in entries {
                    match entry.get_ref() {
                        DeValue::Table(table) => self.application(&entry.span(), table, &mut names),
                        other => {
                            let came = Written::in_toml(other);
                            self.refuse(
                                entry.span().start,
                                format!("expected a section {section}, got {came}"),
                            );
                        }
                    }
                }
            }
            (Section::Application, DeValue::Table(_)) => {
                let what = format!("each application is a section {section}, in two brackets");
                self.refuse(value.span().start.min(name.span().start), what);
            }
            (_, DeValue::Table(table)) => {
                for (name, value) in table {
                    if let Some(key) = self.key(section, name) {
                        self.read(key, value, Key::set);
                    }
                }
            }
            (_, other) => {
                let came = Written::in_toml(other);
                let what = format!("expected a section {section}, got {came}");
                self.refuse(value.span().start, what);
            }
        }
    }

    /// One `[[application]]`. `names` are those before it, with their places.
    fn application(
        &mut self,
        span: &Range<usize>,
        table: &DeTable<'_>,
        names: &mut BTreeMap<String, usize>,
    ) {
        let name = table.get("name");
        let pattern = match name.map(|name| (name.span().start, name.get_ref())) {
            Some((at, DeValue::String(name))) if is_pattern(name) => {
                if let Some(&first) = names.get(name.as_ref()) {
                    let first = place_in(self.name, self.text, first);
                    self.refuse(
                        at,
                        format!("the application {name:?} has a section already, at {first}"),
                    );
                } else {
                    names.insert(name.to_string(), at);
                }
                name.to_string()
            }
            Some((at, other)) => {
                let (expected, came) = (application::PATTERN, Written::in_toml(other));
                self.refuse(at, format!("name: expected {expected}, got {came}"));
                application::EVERY.to_owned()
            }
            None => {
                let expected = application::PATTERN;
                let what = format!("this application has no name: expected name = {expected}");
                self.refuse(span.start, what);
                application::EVERY.to_owned()
            }
        };
        for (name, value) in table {
            if name.get_ref() == "name" {
                continue;
            }
            if let Some(key) = self.key(Section::Application, name) {
                self.read(key, value, |key, config, setting| {
                    config.applications.set(&pattern, key, setting);
                });
            }
        }
    }

    fn key(
        &mut self,
        section: Section,
        name: &Spanned<std::borrow::Cow<'_, str>>,
    ) -> Option<&'static Key> {
        let key = Key::find(section, name.get_ref());
        if key.is_none() {
            self.refuse(name.span().start, stray_key(section, name.get_ref()));
        }
        key
    }

    fn read(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        set: impl FnOnce(&'static Key, &mut Config, super::Setting),
    ) {
        match key.kind.read(&Written::in_toml(value.get_ref())) {
            Ok(setting) => set(key, self.config, setting),
            Err(fault) => {
                let at = fault.at.unwrap_or_else(|| value.span().start);
                self.refuse(at, format!("{}: {}", key.name, fault.what));
            }
        }
    }
}

fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// What to say of a key that its section does not have.
fn stray_key(section: Section, name: &str) -> String {
    let own = || KEYS.iter().filter(|key| key.section == section);
    let names = || {
        let name = (section == Section::Application).then_some("name");
        name.into_iter().chain(own().map(|key| key.name))
    };
    if let Some(meant) = nearest(name, names()) {
        return format!(
            "unknown key `{name}`; did you mean `{meant}`? {section} takes {}",
            listed(names())
        );
    }
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return format!("`{name}` belongs in {}, not in {section}", key.section);
    }
    format!("unknown key `{name}`; {section} takes {}", listed(names()))
}

/// What to say of something at the top of the file that is no section.
fn stray_section(name: &str) -> String {
    if let Some(key) = KEYS
        .iter()
        .find(|key| key.name == name || key.global == name)
    {
        return format!(
            "`{name}` belongs in a section: `{}` in {}",
            key.name, key.section
        );
    }
    let sections = listed(Section::ALL.map(Section::name));
    match nearest(name, Section::ALL.map(Section::name)) {
        Some(meant) => {
            format!("unknown section `{name}`; did you mean `{meant}`? There are {sections}")
        }
        None => format!("unknown section `{name}`; there are {sections}"),
    }
}
