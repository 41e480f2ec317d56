//! `sim show`: a run as a timeline, in the terminal or as a page.

use std::io::Write;
use std::path::PathBuf;

use millstream_sim::picture::{Picture, html, terminal};
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::{generate, world};

use super::{Verdict, files};

/// Columns where there is no terminal to ask.
const WIDTH: usize = 120;

#[derive(clap::Args)]
pub(crate) struct Show {
    /// A scenario, e.g. corpus/seeds/first-broadcast.json
    #[arg(required_unless_present = "seed", conflicts_with = "seed")]
    file: Option<PathBuf>,
    /// The scenario of this seed instead.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: has one frame altered, so that the run must fail.
    #[arg(long, requires = "seed")]
    canary: bool,
    /// Only this script, and what the server says of it; may be repeated.
    #[arg(long, value_name = "NAME")]
    who: Vec<String>,
    /// From this second on.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    from: f64,
    /// Up to this second.
    #[arg(long, value_name = "SECONDS", default_value_t = f64::MAX, hide_default_value = true)]
    to: f64,
    /// Every frame on its own line.
    #[arg(long)]
    all: bool,
    /// Columns; the terminal's if not given.
    #[arg(long)]
    width: Option<usize>,
    /// Writes one self-contained page with the whole picture instead.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Show {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let (mut scenario, replay) = match (&self.file, self.seed) {
            (Some(file), _) => {
                let replay = format!("cargo sim replay {}", file.display());
                (Scenario::load(file)?, replay)
            }
            (None, seed) => {
                let seed = seed.unwrap_or_default();
                let canary = if self.canary { " --canary" } else { "" };
                let replay = format!("cargo sim run --seed {seed}{canary}");
                (generate::scenario(seed), replay)
            }
        };
        scenario.canary |= self.canary;
        let report = world::run_with(&scenario, true);
        let picture = Picture::new(&scenario, &report);
        if let Some(file) = &self.html {
            let page = html::render(&picture, &scenario, &report, &replay)?;
            files::replace(file, &page)?;
            println!("{}: open it in a browser", file.display());
            return Ok(Verdict::Expected);
        }
        let out = console::Term::stdout();
        let columns = out
            .size_checked()
            .map_or(WIDTH, |(_, columns)| columns.into());
        let view = terminal::View {
            width: self.width.unwrap_or(columns).max(40),
            colour: console::colors_enabled(),
            who: self.who.clone(),
            from: micros(self.from),
            to: micros(self.to),
            all: self.all,
        };
        let mut text = terminal::render(&picture, &view);
        text += &match report.outcome() {
            Outcome::Pass => "every invariant held".to_owned(),
            Outcome::Fail(checker) => format!("{checker:?} failed"),
        };
        text += &format!("; trace hash {}\n  {replay}\n", report.trace.hash());
        // A reader that closes the pipe early has seen enough.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        Ok(Verdict::Expected)
    }
}

/// Microseconds of so many seconds.
fn micros(seconds: f64) -> u64 {
    // Casts of floats saturate.
    #[expect(clippy::cast_sign_loss, reason = "negative times are the start")]
    let micros = (seconds * 1e6).max(0.0) as u64;
    micros
}
