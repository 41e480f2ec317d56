//! Applications: which settings a stream has, by the application that it belongs to.
//!
//! A stream's application is the path of its URL without the last part: `live` of `rtmp://host/live/test`, `live/a`
//! of `rtmp://host/live/a/test`, wherever a client puts the border between application and stream name.
//!
//! A section names an application exactly (`live`) or all whose names begin alike (`live/*`, `*`). For each key the
//! most specific section that has it decides: the exact name, then the longest pattern, `*` at last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::choice::{Missing, OnConflict, Record, RecordFormat};
use super::keys::{Key, Slot};
use super::naming::NamePattern;
use super::record::Directory;
use super::value::Setting;
use crate::limits;
use crate::time::Duration;

/// What an application may have of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppSettings {
    /// Frames a stream keeps for players that join later, at most [`limits::RING_FRAMES_MAX`]; 0 means none.
    pub gop_cache: usize,
    /// Bytes of the same, at most [`limits::RING_BYTES_MAX`]; 0: whatever the stream keeps.
    pub gop_cache_bytes: u64,
    /// How old the oldest of them may be, at most [`limits::PATIENCE_MAX`]; zero: as old as the stream's oldest.
    pub gop_cache_time: Duration,
    /// How far behind live a joiner begins, as far as there is a keyframe: at most [`limits::RING_AGE`]. Zero: at the
    /// newest keyframe.
    pub behind: Duration,
    /// How far behind live a player may fall until it jumps, at most [`limits::PATIENCE_MAX`]; zero: as far as the stream
    /// reaches. Less than [`limits::LATENCY_MIN`] is as that.
    pub latency_max: Duration,
    /// Bytes that a stream keeps, within [`limits::RING_BYTES_MIN`] and [`limits::RING_BYTES_MAX`]: a player that is
    /// further behind jumps.
    pub player_bytes: u64,
    /// How often a minute a player may lose frames until it is cut off; 0: as often as it likes.
    pub jumps_per_minute: u32,
    /// Kilobits a second that a publisher may send, over [`limits::BITRATE_WINDOW`]; 0: as many as it likes.
    pub bitrate_max: u32,
    /// How long a frame waits at most for others that leave with it in one write, at most [`limits::MERGE_MAX`]; zero:
    /// it leaves at once. Latency for CPU: see the README.
    pub merge: Duration,
    /// What becomes of a player that comes when nobody publishes its stream.
    pub missing: Missing,
    /// How long it waits at most, up to [`limits::PATIENCE_MAX`]; zero: for as long as it likes.
    pub wait_max: Duration,
    /// What becomes of a publisher that asks for a name which somebody publishes already.
    pub on_conflict: OnConflict,
    /// With [`OnConflict::Resume`]: how long a stream waits for a publisher that vanished without a goodbye, at most
    /// [`limits::GRACE_MAX`]; zero: not at all. It counts as a stream meanwhile.
    pub grace: Duration,
    /// Streams published at a time in one application, at most [`limits::STREAMS_MAX`]; 0 means no limit.
    pub streams: usize,
    /// What is recorded, if there is a directory for it.
    pub record: Record,
    /// Where recordings are; empty: there are none.
    pub record_dir: Directory,
    /// What they are made of.
    pub record_format: RecordFormat,
    /// What they are called there.
    pub record_name: NamePattern,
    /// How long a file gets until the next begins, at the keyframe behind that; zero: as long as the stream.
    pub segment_time: Duration,
    /// How many bytes; 0: any number.
    pub segment_bytes: u64,
    /// How old finished files get; zero: they stay.
    pub record_keep_time: Duration,
    /// How many bytes of finished files are kept, the newest; 0: all.
    pub record_keep_bytes: u64,
    /// Bytes of a recording that wait to be written, within [`limits::RECORD_BUFFER_MIN`] and
    /// [`limits::RECORD_BUFFER_MAX`].
    pub record_buffer: u64,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            gop_cache: limits::RING_FRAMES_DEFAULT,
            gop_cache_bytes: 0,
            gop_cache_time: Duration::ZERO,
            behind: Duration::ZERO,
            latency_max: Duration::ZERO,
            player_bytes: limits::RING_BYTES,
            jumps_per_minute: limits::JUMPS_PER_MINUTE,
            bitrate_max: 0,
            merge: Duration::ZERO,
            missing: Missing::Wait,
            wait_max: Duration::ZERO,
            on_conflict: OnConflict::Refuse,
            grace: limits::GRACE_DEFAULT,
            streams: 0,
            record: Record::All,
            record_dir: Directory::default(),
            record_format: RecordFormat::Flv,
            record_name: NamePattern::default(),
            segment_time: Duration::ZERO,
            segment_bytes: 0,
            record_keep_time: Duration::ZERO,
            record_keep_bytes: 0,
            record_buffer: limits::RECORD_BUFFER,
        }
    }
}

/// The applications of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applications {
    /// What every application does, unless a section of its own says otherwise: the section `*`.
    pub every: AppSettings,
    /// What others say themselves, by name or pattern, and by key.
    own: BTreeMap<String, BTreeMap<&'static str, Setting>>,
}

/// The pattern that is for every application.
pub(super) const EVERY: &str = "*";

/// What a section's name must be, as errors say it.
pub(super) const PATTERN: &str = "an application's name such as \"live\", or how names begin and a star, such as \"live/*\" or \"*\"";

/// Whether `name` can be a section's.
pub(super) fn is_pattern(name: &str) -> bool {
    let start = name.strip_suffix('*').unwrap_or(name);
    // No client's application begins or ends with a slash, or has a query; such a section would be for nobody.
    let stray = start.starts_with('/') || (start == name && name.ends_with('/'));
    !start.contains(['*', '?']) && !stray && name.len() <= limits::NAME_BYTES
}

impl Applications {
    /// Notes what section `pattern` says of one key of applications.
    pub(super) fn set(&mut self, pattern: &str, key: &Key, setting: Setting) {
        if pattern == EVERY {
            if let Slot::Application { set, .. } = key.slot {
                set(&mut self.every, setting);
            }
        } else {
            let own = self.own.entry(pattern.to_owned()).or_default();
            own.insert(key.name, setting);
        }
    }

    /// The settings of each section, ready to be looked up.
    pub fn table(&self) -> AppTable {
        let resolved = |pattern: &str| {
            let mut settings = self.every.clone();
            // Patterns that begin a pattern come before it in the order of names, the shortest first.
            let chain = self.own.iter().filter(|(other, _)| covers(other, pattern));
            for (_, own) in chain {
                apply(&mut settings, own);
            }
            if let Some(own) = self.own.get(pattern) {
                apply(&mut settings, own);
            }
            Arc::new(settings)
        };
        let mut table = AppTable {
            every: Arc::new(self.every.clone()),
            ..AppTable::default()
        };
        for pattern in self.own.keys() {
            let settings = resolved(pattern);
            match pattern.strip_suffix('*') {
                Some(start) => table.starts.push((start.to_owned(), settings)),
                None => drop(table.exact.insert(pattern.clone(), settings)),
            }
        }
        table
            .starts
            .sort_by_key(|(start, _)| core::cmp::Reverse(start.len()));
        table
    }
}

/// Whether every application of `narrow` is one of the pattern `wide`, which is not the same.
fn covers(wide: &str, narrow: &str) -> bool {
    let start = narrow.strip_suffix('*').unwrap_or(narrow);
    wide != narrow
        && wide
            .strip_suffix('*')
            .is_some_and(|wide| start.starts_with(wide))
}

fn apply(settings: &mut AppSettings, own: &BTreeMap<&'static str, Setting>) {
    for (name, setting) in own {
        if let Some(key) = Key::of_applications(name)
            && let Slot::Application { set, .. } = key.slot
        {
            set(settings, setting.clone());
        }
    }
}

/// The settings of every application by name, made by [`Applications::table`].
#[derive(Clone, Debug, Default)]
pub struct AppTable {
    exact: BTreeMap<String, Arc<AppSettings>>,
    /// The longest first.
    starts: Vec<(String, Arc<AppSettings>)>,
    every: Arc<AppSettings>,
}

impl AppTable {
    /// One for all.
    pub fn of_every(settings: AppSettings) -> Self {
        Self {
            every: Arc::new(settings),
            ..Self::default()
        }
    }

    /// Gives one application settings of its own.
    pub fn insert(&mut self, application: &str, settings: AppSettings) {
        self.exact
            .insert(application.to_owned(), Arc::new(settings));
    }

    /// What `application` does. Once a publish or play, never per frame.
    pub fn of(&self, application: &str) -> &Arc<AppSettings> {
        self.exact.get(application).unwrap_or_else(|| {
            let mut starts = self.starts.iter();
            let longest = starts.find(|(start, _)| application.starts_with(start));
            longest.map_or(&self.every, |(_, settings)| settings)
        })
    }

    /// What an application does that no other section is for.
    pub fn every(&self) -> &Arc<AppSettings> {
        &self.every
    }

    /// All settings there are.
    pub fn all(&self) -> impl Iterator<Item = &Arc<AppSettings>> {
        let starts = self.starts.iter().map(|(_, settings)| settings);
        self.exact.values().chain(starts).chain([&self.every])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn table(text: &str) -> AppTable {
        let mut config = Config::default();
        config.apply_toml("m.toml", text).unwrap();
        config.applications.table()
    }

    #[test]
    fn the_most_specific_section_decides_key_by_key() {
        let table = table(
            "[[application]]\nname = \"live/*\"\ngop_cache = 2\n\
             [[application]]\nname = \"*\"\ngop_cache = 1\nmerge = \"1ms\"\n\
             [[application]]\nname = \"live/sports/*\"\nmerge = \"3ms\"\n\
             [[application]]\nname = \"live/sports/final\"\ngop_cache = 4\n\
             [[application]]\nname = \"li*\"\nmerge = \"9ms\"\n\
             [[application]]\nname = \"\"\ngop_cache = 7\n",
        );
        for (application, gop_cache, merge) in [
            ("", 7, 1),
            ("other", 1, 1),
            ("live", 1, 9),
            ("live/x", 2, 9),
            ("live/sports", 2, 9),
            ("live/sports/x", 2, 3),
            ("live/sports/final", 4, 3),
            ("live/sports/final/x", 2, 3),
        ] {
            let settings = table.of(application);
            assert_eq!(settings.gop_cache, gop_cache, "{application}");
            assert_eq!(
                settings.merge,
                Duration::from_millis(merge),
                "{application}"
            );
        }
        assert_eq!(table.every().gop_cache, 1);
        assert_eq!(table.all().count(), 6);
    }

    #[test]
    fn names_that_no_application_can_have_are_none() {
        for name in ["", "live", "live/a", "*", "live/*", "li*"] {
            assert!(is_pattern(name), "{name}");
        }
        for name in [
            "*live", "li*ve", "**", "/live", "live/", "/", "/*", "live?a=b",
        ] {
            assert!(!is_pattern(name), "{name}");
        }
    }
}
