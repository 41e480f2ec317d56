//! What a run has shown, for people and for machines.

use core::fmt::{self, Write as _};
use std::collections::BTreeMap;

use serde::Serialize;

use super::histogram::Histogram;
use super::tally::Tally;
use super::{Plan, Role};
use crate::time::Duration;

/// What a run has shown. As JSON: times in milliseconds, under the names of the fields.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `publish` or `play`.
    pub load: &'static str,
    /// Whether all is as it should be: everybody was served to the end, nothing was wrong, nothing is missing.
    pub passed: bool,
    /// Streams published, or players dealt over.
    pub streams: usize,
    /// Publishers or players that were wanted.
    pub connections: usize,
    /// Of these, those that the server let in.
    pub started: u64,
    /// How long it took, ramp included.
    pub seconds: f64,
    /// Bytes written to or read from sockets.
    pub bytes: u64,
    /// The same, per second.
    pub bits_per_second: f64,
    /// Pictures, in messages.
    pub video: u64,
    /// Sound, in messages.
    pub audio: u64,
    /// Pictures that bore a marker.
    pub marked: u64,
    /// Processor time of this process, if the system tells it.
    pub cpu_seconds: Option<f64>,
    /// Of publishers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishReport>,
    /// Of players.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub play: Option<PlayReport>,
    /// Why connections failed, and how many.
    pub failures: BTreeMap<String, u64>,
}

/// What publishers have to tell.
#[derive(Clone, Debug, Serialize)]
pub struct PublishReport {
    /// How late messages left, by their own clock: it grows when this process is short of processor time.
    pub lateness_ms: Times,
    /// The most bytes that waited for the server.
    pub unsent_most: usize,
}

/// What players have to tell.
#[derive(Clone, Debug, Serialize)]
pub struct PlayReport {
    /// Players that got anything.
    pub served: u64,
    /// From publisher to player, by markers; what lay in the server's cache when a player joined is left out.
    pub latency_ms: Times,
    /// Marked pictures from the future: the publisher's clock is another machine's, and the latency worth nothing.
    pub ahead: u64,
    /// From the first packet to the first picture or sound.
    pub first_frame_ms: Times,
    /// From the first packet to the first keyframe.
    pub first_keyframe_ms: Times,
    /// How late this process heard its own alarms: so much of the latency may be its own, short of processor time.
    pub lateness_ms: Times,
    /// Gaps longer than [`PlayReport::stall_ms`].
    pub stalls: u64,
    /// What counts as one.
    pub stall_ms: f64,
    /// The longest of them.
    pub longest_stall_ms: f64,
    /// All of them.
    pub stalled_ms: f64,
    /// Marked pictures that never came.
    pub lost: u64,
    /// Steps of a clock that are longer than [`PlayReport::stall_ms`]: something is missing, or the publisher was silent.
    /// Where there are no markers, nothing else tells of losses.
    pub jumps: u64,
    /// What the server did wrong, and how often.
    pub wrong: BTreeMap<&'static str, u64>,
}

/// Percentiles, in milliseconds; none where there was nothing to count.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: Option<f64>,
    /// Nine of ten.
    pub p90: Option<f64>,
    /// 99 of 100.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        let percentile = |percent| histogram.percentile(percent).map(millis);
        Self {
            count: histogram.count(),
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: percentile(50).map(|_| millis(histogram.max())),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(p50), Some(p90), Some(p99), Some(max)) = (self.p50, self.p90, self.p99, self.max)
        else {
            return f.write_str("nothing to count");
        };
        write!(
            f,
            "p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms"
        )
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, tally: &Tally, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let connections = plan.connections();
        let everybody = connections as u64;
        let all_well = tally.failures.is_empty() && tally.started == everybody;
        let (load, passed, publish, play) = match plan.role {
            Role::Publish { .. } => {
                let publish = PublishReport {
                    lateness_ms: Times::of(&tally.delays),
                    unsent_most: tally.unsent_most,
                };
                let passed = all_well && tally.video + tally.audio > 0;
                ("publish", passed, Some(publish), None)
            }
            Role::Play { stall, .. } => {
                let faultless = tally.wrong.is_empty() && tally.lost == 0;
                let passed = all_well && faultless && tally.served == everybody;
                ("play", passed, None, Some(play(tally, stall)))
            }
        };
        Self {
            load,
            passed,
            streams: plan.streams,
            connections,
            started: tally.started,
            seconds,
            bytes: tally.bytes,
            bits_per_second: tally.bytes as f64 * 8.0 / seconds.max(0.001),
            video: tally.video,
            audio: tally.audio,
            marked: tally.marked,
            cpu_seconds: None,
            publish,
            play,
            failures: tally.failures.clone(),
        }
    }

    /// The same for a person, in some lines.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, to: &mut String) -> fmt::Result {
        let (who, did) = match self.publish {
            Some(_) => ("publishers", "published"),
            None => ("players", "played"),
        };
        let streams = count(self.streams as u64, "stream");
        let (started, wanted, seconds) = (self.started, self.connections, self.seconds);
        writeln!(
            to,
            "{started} of {wanted} {who} {did} {streams} for {seconds:.1} s"
        )?;
        let rate = self.bits_per_second / 1e6;
        let messages = (self.video + self.audio) as f64 / seconds.max(0.001);
        writeln!(
            to,
            "  throughput      {rate:.1} Mbit/s, {messages:.0} messages/s"
        )?;
        if let Some(publish) = &self.publish {
            writeln!(to, "  lateness        {}", publish.lateness_ms)?;
            writeln!(
                to,
                "  waited to leave at most {} kB",
                publish.unsent_most / 1_000
            )?;
        }
        if let Some(play) = &self.play {
            self.write_play(play, to)?;
        }
        if let Some(cpu) = self.cpu_seconds {
            let share = cpu / seconds.max(0.001) * 100.0;
            writeln!(
                to,
                "  processor       {share:.0}% of a core, by this process"
            )?;
        }
        for (reason, times) in &self.failures {
            writeln!(to, "  failed          {times}× {reason}")?;
        }
        to.push_str(match self.passed {
            true => "passed\n",
            false => "FAILED\n",
        });
        Ok(())
    }

    fn write_play(&self, play: &PlayReport, to: &mut String) -> fmt::Result {
        match play.latency_ms.count {
            0 => writeln!(
                to,
                "  latency         no markers to tell it; see millstream load publish"
            )?,
            _ => writeln!(to, "  latency         {}", play.latency_ms)?,
        }
        writeln!(to, "  own lateness    {}", play.lateness_ms)?;
        if play.ahead > 0 {
            let ahead = count(play.ahead, "picture");
            writeln!(
                to,
                "                  {ahead} from the future: the clocks disagree"
            )?;
        }
        writeln!(to, "  first frame     {}", play.first_frame_ms)?;
        writeln!(to, "  first keyframe  {}", play.first_keyframe_ms)?;
        let (above, longest) = (play.stall_ms, play.longest_stall_ms);
        write!(to, "  stalls          {} above {above:.0} ms", play.stalls)?;
        match play.stalls {
            0 => to.push('\n'),
            _ => writeln!(to, ", the longest {longest:.0} ms")?,
        }
        writeln!(
            to,
            "  losses          {} of {}",
            play.lost,
            count(play.marked_of(self), "marked picture")
        )?;
        if play.jumps > 0 {
            let jumps = count(play.jumps, "step");
            writeln!(to, "  clock           {jumps} above {above:.0} ms")?;
        }
        let silent = self.connections as u64 - play.served.min(self.connections as u64);
        if silent > 0 {
            writeln!(to, "  nothing came    to {}", count(silent, "player"))?;
        }
        for (what, times) in &play.wrong {
            writeln!(to, "  wrong           {times}× {what}")?;
        }
        Ok(())
    }
}

impl PlayReport {
    /// Marked pictures that came or should have come.
    fn marked_of(&self, report: &Report) -> u64 {
        report.marked + self.lost
    }
}

fn play(tally: &Tally, stall: Duration) -> PlayReport {
    PlayReport {
        served: tally.served,
        latency_ms: Times::of(&tally.delays),
        ahead: tally.ahead,
        first_frame_ms: Times::of(&tally.first_frame),
        first_keyframe_ms: Times::of(&tally.first_key),
        lateness_ms: Times::of(&tally.alarms),
        stalls: tally.stalls,
        stall_ms: millis(stall),
        longest_stall_ms: millis(tally.longest_stall),
        stalled_ms: millis(tally.stalled),
        lost: tally.lost,
        jumps: tally.jumps,
        wrong: tally.wrong.clone(),
    }
}

fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// One line of progress; `bytes` in the last second.
pub(super) fn line(plan: &Plan, tally: &Tally, elapsed: Duration, bytes: u64) -> String {
    let mut line = String::new();
    let seconds = elapsed.as_secs();
    let (started, wanted) = (tally.started, plan.connections());
    let rate = bytes as f64 * 8.0 / 1e6;
    let (delay, verb) = match plan.role {
        Role::Publish { .. } => ("late", "publish"),
        Role::Play { .. } => ("latency", "play"),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "{seconds:>4} s  {started}/{wanted} {verb}  {rate:.1} Mbit/s"
    );
    if let (Some(p50), Some(p99)) = (tally.latest.percentile(50), tally.latest.percentile(99)) {
        let _ = write!(
            line,
            "  {delay} p50 {:.1} p99 {:.1} ms",
            millis(p50),
            millis(p99)
        );
    }
    for (number, what) in [
        (tally.stalls, "stalls"),
        (tally.lost, "lost"),
        (tally.wrong.values().sum(), "wrong"),
        (tally.failed(), "failed"),
    ] {
        if number > 0 {
            let _ = write!(line, "  {number} {what}");
        }
    }
    line
}
