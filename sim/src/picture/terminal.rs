//! The picture in a terminal: time runs down, a lane is a column, words stand at the right.

use super::{Broken, Lane, LaneKind, Mark, MarkKind, Picture, Stretch, seconds, words};

/// What keys lanes have above their columns.
const KEYS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// After so many rows the keys stand there again.
const KEYS_EVERY: usize = 40;
/// Columns of the time.
const TIME: usize = 10;
/// The words have at least so many columns.
const WORDS: usize = 30;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// What to show, and how.
#[derive(Clone, Debug)]
pub struct View {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether it shows colours.
    pub colour: bool,
    /// Only these scripts, with what the server says of them; all if empty.
    pub who: Vec<String>,
    /// From this moment on, microseconds.
    pub from: u64,
    /// Until this moment, microseconds.
    pub to: u64,
    /// Every frame for itself.
    pub all: bool,
}

/// The picture's lines, each ended.
pub fn render(picture: &Picture, view: &View) -> String {
    let wanted = |mark: &Mark| {
        (view.from..=view.to).contains(&mark.until.min(view.to).max(mark.at))
            && mark.until >= view.from
            && is_of(mark, picture, &view.who)
    };
    let marks = if view.all {
        picture.marks.clone()
    } else {
        picture.folded()
    };
    let marks: Vec<Mark> = marks.into_iter().filter(wanted).collect();
    let shown = shown(picture, &marks, view);
    let mut page = Page::new(picture, view, shown);
    page.legend();
    let (broken, repeated) = first_of_each(picture, view);
    let mut broken = broken.into_iter().peekable();
    for mark in &marks {
        while let Some(broken) = broken.next_if(|broken| broken.at < mark.at) {
            page.broken(broken);
        }
        page.mark(mark);
    }
    for broken in broken {
        page.broken(broken);
    }
    if repeated > 0 {
        page.line(&format!(
            "{repeated} more violations of these checkers: --all shows them"
        ));
    }
    page.out
}

/// The violations in view, of each checker the first unless all are wanted; and how many that leaves out.
fn first_of_each<'a>(picture: &'a Picture, view: &View) -> (Vec<&'a Broken>, usize) {
    let mut told: Vec<&str> = Vec::new();
    let (mut kept, mut repeated) = (Vec::new(), 0);
    for broken in &picture.broken {
        if !(view.from..=view.to).contains(&broken.at) {
            continue;
        }
        if told.contains(&&*broken.checker) && !view.all {
            repeated += 1;
        } else {
            told.push(&broken.checker);
            kept.push(broken);
        }
    }
    (kept, repeated)
}

/// Whether a mark is of one of these scripts: theirs, or of the server and naming them.
fn is_of(mark: &Mark, picture: &Picture, who: &[String]) -> bool {
    let Some(lane) = picture.lanes.get(mark.lane) else {
        return false;
    };
    let of = |who: &String| {
        lane.name == *who
            || lane
                .name
                .strip_prefix(&**who)
                .is_some_and(|rest| rest.starts_with('/'))
            || (lane.kind == LaneKind::Server
                && mark.text.split([' ', ':']).any(|word| word == who))
    };
    who.is_empty() || lane.kind == LaneKind::World || who.iter().any(of)
}

/// The lanes that have a mark in view, and every shard of the server.
fn shown(picture: &Picture, marks: &[Mark], view: &View) -> Vec<usize> {
    let has_mark = |nth: usize| marks.iter().any(|mark| mark.lane == nth);
    let lanes = picture.lanes.iter().enumerate();
    lanes
        .filter(|(nth, lane)| {
            has_mark(*nth) || (view.who.is_empty() && lane.kind == LaneKind::Server)
        })
        .map(|(nth, _)| nth)
        .collect()
}

struct Page<'a> {
    picture: &'a Picture,
    view: &'a View,
    /// Lanes, from left to right.
    lanes: Vec<usize>,
    /// Columns of a lane.
    pitch: usize,
    rows: usize,
    out: String,
}

impl<'a> Page<'a> {
    fn new(picture: &'a Picture, view: &'a View, lanes: Vec<usize>) -> Self {
        let room = view.width.saturating_sub(TIME + WORDS);
        let pitch = (room / lanes.len().max(1)).clamp(1, 3);
        Self {
            picture,
            view,
            lanes,
            pitch,
            rows: 0,
            out: String::new(),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.view.colour && !text.is_empty() {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Which letter is whose, and what the lines mean.
    fn legend(&mut self) {
        let mut row = String::new();
        for (column, lane) in self.lanes.clone().into_iter().enumerate() {
            let Some(lane) = self.picture.lanes.get(lane) else {
                continue;
            };
            let entry = format!("{} {}   ", self.key(column, lane), lane.name);
            if row.chars().count() + entry.chars().count() > self.view.width {
                let full = core::mem::take(&mut row);
                self.line(&full);
            }
            row += &entry;
        }
        self.line(&row);
        let lines = "┊ connected  ║ publishing  │ playing  ▶ to the server  ◀ from it  ! fault";
        self.line(&self.paint(DIM, &cut(lines, self.view.width)));
    }

    fn key(&self, column: usize, lane: &Lane) -> char {
        match lane.kind {
            LaneKind::World => '*',
            LaneKind::Server => match lane.name.strip_prefix("shard ") {
                Some(number) => number.chars().next_back().unwrap_or('?'),
                None => '=',
            },
            LaneKind::Client => KEYS.chars().nth(column).unwrap_or('+'),
        }
    }

    fn keys(&mut self) {
        let mut row = " ".repeat(TIME);
        for (column, lane) in self.lanes.iter().enumerate() {
            let key = self.picture.lanes.get(*lane);
            row.push(key.map_or(' ', |lane| self.key(column, lane)));
            row += &" ".repeat(self.pitch - 1);
        }
        self.line(&self.paint(BOLD, row.trim_end()));
    }

    /// The time, the lanes as they are at `at` with `draw` over them, and the words.
    fn row(&mut self, at: u64, colour: &str, words: &str, draw: impl FnOnce(&mut [char], &Self)) {
        if self.rows.is_multiple_of(KEYS_EVERY) {
            self.keys();
        }
        self.rows += 1;
        let mut cells = vec![' '; self.lanes.len() * self.pitch];
        for (cell, lane) in cells.iter_mut().step_by(self.pitch).zip(&self.lanes) {
            *cell = self.rest(*lane, at);
        }
        draw(&mut cells, self);
        let cells: String = cells.into_iter().collect();
        let room = self
            .view
            .width
            .saturating_sub(TIME + cells.chars().count() + 1);
        let words = self.paint(colour, &cut(words, room));
        let row = format!("{:>9} {cells} {words}", seconds(at));
        self.line(&row);
    }

    /// How a lane looks while nothing happens in it.
    fn rest(&self, lane: usize, at: u64) -> char {
        let now = self.picture.bars.iter();
        let now = now.filter(|bar| bar.lane == lane && (bar.from..=bar.to).contains(&at));
        match now.map(|bar| bar.stretch).max() {
            Some(Stretch::Connected) => '┊',
            Some(Stretch::Publishing) => '║',
            Some(Stretch::Playing) => '│',
            None => match self.picture.lanes.get(lane).map(|lane| lane.kind) {
                Some(LaneKind::Server) => '·',
                _ => ' ',
            },
        }
    }

    fn column(&self, lane: usize) -> Option<usize> {
        let column = self.lanes.iter().position(|shown| *shown == lane)?;
        Some(column * self.pitch)
    }

    fn mark(&mut self, mark: &Mark) {
        let name = self
            .picture
            .lanes
            .get(mark.lane)
            .map_or("", |lane| &lane.name);
        let words = format!("{name}  {}", words(mark));
        let colour = match mark.kind {
            MarkKind::Fault => YELLOW,
            MarkKind::Sent | MarkKind::Received => DIM,
            _ => "",
        };
        self.row(mark.at, colour, &words, |cells, page| {
            let Some(here) = page.column(mark.lane) else {
                return;
            };
            let there = mark.other.and_then(|other| page.column(other));
            let (at_here, at_there) = match mark.kind {
                MarkKind::Asks | MarkKind::Sent => ('├', '▶'),
                MarkKind::Told | MarkKind::Received => ('◀', '┤'),
                MarkKind::Does => ('●', '●'),
                MarkKind::Fault => ('!', '!'),
            };
            let arrow = !matches!(mark.kind, MarkKind::Does | MarkKind::Fault);
            if let (true, Some(there)) = (arrow, there)
                && let Some(way) = cells.get_mut(here.min(there)..=here.max(there))
            {
                way.fill('─');
                put(cells, there, at_there);
            }
            put(
                cells,
                here,
                if arrow && there.is_none() && at_here == '├' {
                    '▶'
                } else {
                    at_here
                },
            );
        });
    }

    /// In red and in full: this is what one looks for.
    fn broken(&mut self, broken: &Broken) {
        let headline = format!("VIOLATION  {}", broken.checker);
        self.row(broken.at, RED, &headline, |cells, page| {
            for cell in cells.iter_mut().filter(|cell| **cell == ' ') {
                *cell = '╌';
            }
            for lane in &broken.lanes {
                if let Some(column) = page.column(*lane) {
                    put(cells, column, '✗');
                }
            }
        });
        let room = self.view.width.saturating_sub(TIME).max(WORDS);
        for line in wrapped(&broken.what, room) {
            let line = format!("{}{}", " ".repeat(TIME), self.paint(RED, &line));
            self.line(&line);
        }
    }
}

fn put(cells: &mut [char], at: usize, what: char) {
    if let Some(cell) = cells.get_mut(at) {
        *cell = what;
    }
}

/// At most `room` characters; what is cut off leaves an ellipsis.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Broken into lines of at most `room` characters, at spaces where there are any.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else {
            return lines;
        };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::world;

    fn view(width: usize) -> View {
        View {
            width,
            colour: false,
            who: Vec::new(),
            from: 0,
            to: u64::MAX,
            all: false,
        }
    }

    fn picture() -> Picture {
        let text = r#"{"format": 1, "seed": 7, "canary": true, "clients": [
            {"name": "alice", "steps": [{"connect": {}}, {"publish": {"name": "x"}},
                {"send_media": {"frames": 60}}, "close"]},
            {"name": "bob", "start_ms": 50, "steps": [{"connect": {}}, {"play": {"name": "x"}},
                {"wait_for_end": {"within_ms": 9000}}, "close"]}]}"#;
        let scenario: Scenario = serde_json::from_str(text).unwrap();
        Picture::new(&scenario, &world::run_with(&scenario, true))
    }

    #[test]
    fn lanes_runs_and_the_violation_are_shown_and_fit() {
        let picture = picture();
        for width in [80, 120, 200] {
            let text = render(&picture, &view(width));
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert!(text.starts_with("A alice   B bob"), "{text}");
            assert!(text.contains("-> 60 frames of live/x"), "{text}");
            assert!(text.contains("VIOLATION  ordered selection"), "{text}");
            assert!(text.contains('▶') && text.contains('◀'), "{text}");
        }
    }

    #[test]
    fn one_script_a_stretch_of_time_and_every_frame_can_be_asked_for() {
        let picture = picture();
        let bob = View {
            who: vec!["bob".into()],
            ..view(100)
        };
        let text = render(&picture, &bob);
        assert!(
            !text.contains("alice  ") && text.contains("shard 0  play.start live/x by bob"),
            "{text}"
        );
        let late = View {
            from: 3_600_000_000,
            ..view(100)
        };
        assert_eq!(render(&picture, &late).lines().count(), 2);
        // The witness at the end publishes the same name.
        let all = View {
            who: vec!["alice".into()],
            all: true,
            ..view(100)
        };
        let frames = |view| {
            render(&picture, view)
                .matches("-> 1 frame of live/x")
                .count()
        };
        assert_eq!(frames(&all), 60);
    }
}
