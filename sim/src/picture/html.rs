//! The picture as one page for a browser: inline SVG, no network, nothing but this file.

use core::fmt::Write;

use super::{Broken, LaneKind, Mark, MarkKind, Picture, Stretch, seconds, words};
use crate::scenario::{Outcome, Scenario};
use crate::world::Report;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Height of the axis, and of a lane, in pixels.
const TOP: usize = 28;
const LANE: usize = 36;
/// Pixels a second before the script sets another scale.
const SCALE: f64 = 100.0;
/// Characters of a caption in the picture.
const CAPTION: usize = 32;
/// Hues that people can tell apart, one a stream.
const HUES: [u16; 8] = [150, 210, 30, 280, 90, 330, 185, 55];

/// The page. `replay` is the command that shows the same run.
///
/// # Errors
/// The scenario holds a number that JSON has not.
pub fn render(
    picture: &Picture,
    scenario: &Scenario,
    report: &Report,
    replay: &str,
) -> Result<String, String> {
    let marks = picture.folded();
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n");
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<title>Seed {}</title>\n<style>\n{STYLE}</style>\n<body>\n{}{}",
        scenario.seed,
        header(scenario, report, replay),
        violations(&picture.broken)
    );
    page += CONTROLS;
    page += "<div id=\"frame\"><div id=\"names\">";
    for (nth, lane) in picture.lanes.iter().enumerate() {
        let named = picture
            .broken
            .iter()
            .any(|broken| broken.lanes.contains(&nth));
        let class = match (named, lane.kind) {
            (true, _) => "named",
            (_, LaneKind::Client) => "",
            (_, LaneKind::Server) => "server",
            (_, LaneKind::World) => "world",
        };
        let name = escaped(&lane.name);
        let _ = write!(page, "<div class=\"{class}\" title=\"{name}\">{name}</div>");
    }
    page += "</div><div id=\"scroll\">";
    page += &svg(picture, &marks);
    page += "</div></div>\n";
    page += &list(picture, &marks);
    let json = escaped(&scenario.to_json()?);
    let _ = write!(
        page,
        "<details><summary>The scenario</summary><pre>{json}</pre></details>\n\
         <script>\n{SCRIPT}</script>\n</body></html>\n"
    );
    Ok(page)
}

const CONTROLS: &str = r##"<div class="bar">
<button id="farther" title="also: the key -">−</button><button id="closer" title="also: the key +, or Ctrl and the wheel">+</button><button id="whole" title="also: the key 0">the whole run</button>
<label><input type="checkbox" checked data-hides="no-arrows"> commands</label>
<label><input type="checkbox" checked data-hides="no-media"> frames</label>
<label><input type="checkbox" checked data-hides="no-server"> the server's words</label>
<span class="key"><svg width="24" height="12"><rect y="4" width="24" height="4" class="connected"/></svg>connected</span>
<span class="key"><svg width="24" height="14"><rect width="24" height="14" rx="3" fill="hsl(150 45% 72%)"/><path class="sent" d="M4 3v8M8 3v8M12 0v14M16 3v8"/></svg>publishes, frames sent (long: keyframes)</span>
<span class="key"><svg width="24" height="14"><rect width="24" height="14" rx="3" fill="hsl(150 45% 90%)" stroke="hsl(150 35% 60%)"/><path class="got" d="M4 3v8M8 3v8M12 0v14M16 3v8"/></svg>plays, frames received</span>
<span class="key ask"><svg width="12" height="12"><path class="head" d="M1 2h10l-5 8z"/></svg>asks</span>
<span class="key told"><svg width="12" height="12"><path class="head" d="M1 10h10l-5 -8z"/></svg>is told</span>
<span class="key fault"><svg width="14" height="14"><path d="M7 0l7 7l-7 7l-7 -7z"/></svg>fault or loss</span>
<span class="key broken-at"><svg width="14" height="14"><circle cx="7" cy="7" r="7"/><path class="cross" d="M4 4l6 6M10 4l-6 6"/></svg>broken invariant</span>
</div>
"##;

fn header(scenario: &Scenario, report: &Report, replay: &str) -> String {
    let badge = match report.outcome() {
        Outcome::Pass => "<span class=\"badge\">every invariant held</span>".to_owned(),
        Outcome::Fail(checker) => format!(
            "<span class=\"badge broken\">{} failed</span>",
            escaped(&checker)
        ),
    };
    let story = scenario.story.as_deref().unwrap_or_default();
    let fired: Vec<String> = report
        .faults
        .iter()
        .map(|(fault, times)| format!("{times} × {fault}"))
        .collect();
    let fired = if fired.is_empty() {
        "no faults".to_owned()
    } else {
        fired.join(", ")
    };
    format!(
        "<header><h1>Seed {}{badge}</h1>\n<p>{}</p>\n<p>{} shards, tasks in order {}, {} virtual seconds, \
         trace hash {}; {}</p>\n<code class=\"replay\">{}</code></header>\n",
        scenario.seed,
        escaped(story),
        scenario.shards,
        escaped(&format!("{:?}", scenario.order)),
        seconds(picture_end(report)),
        report.trace.hash(),
        escaped(&fired),
        escaped(replay)
    )
}

fn picture_end(report: &Report) -> u64 {
    u64::try_from(report.lasted.as_micros()).unwrap_or(u64::MAX)
}

fn violations(broken: &[Broken]) -> String {
    if broken.is_empty() {
        return String::new();
    }
    let items = broken.iter().enumerate().map(|(nth, broken)| {
        format!(
            "<li data-go=\"{}\"><b>{}. {} s · {}</b>{}</li>\n",
            secs(broken.at),
            nth + 1,
            seconds(broken.at),
            escaped(&broken.checker),
            escaped(&broken.what)
        )
    });
    format!(
        "<section><ul class=\"broken\">{}</ul></section>\n",
        items.collect::<String>()
    )
}

/// Seconds with microseconds, as the script reads them.
fn secs(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn middle(lane: usize) -> usize {
    TOP + lane * LANE + LANE / 2
}

fn svg(picture: &Picture, marks: &[Mark]) -> String {
    let height = TOP + picture.lanes.len() * LANE;
    let lasted = secs(picture.lasted);
    let ends = marks.iter().map(|mark| mark.until);
    let busy = secs(ends.max().unwrap_or(picture.lasted));
    let width = lasted * SCALE + 160.0;
    let mut svg = format!(
        "<svg id=\"svg\" width=\"{width}\" height=\"{height}\" data-lasted=\"{lasted}\" data-busy=\"{busy}\">"
    );
    for (nth, lane) in picture.lanes.iter().enumerate() {
        let y = TOP + nth * LANE;
        if lane.kind == LaneKind::Server {
            let _ = write!(
                svg,
                "<rect class=\"server-lane\" width=\"100%\" y=\"{y}\" height=\"{LANE}\"/>"
            );
        }
        let _ = write!(
            svg,
            "<line class=\"lane\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>"
        );
    }
    svg += "<g id=\"axis\" class=\"axis\"></g>\n";
    bars(picture, &mut svg);
    for (row, mark) in marks.iter().enumerate() {
        if mark.is_media() {
            frames(mark, row, &mut svg);
        } else {
            moment(mark, row, picture, &mut svg);
        }
    }
    for (nth, broken) in picture.broken.iter().enumerate() {
        violation(nth + 1, broken, height, &mut svg);
    }
    let _ = write!(
        svg,
        "<line id=\"cursor\" y1=\"0\" y2=\"{height}\"/><text id=\"when\" y=\"{}\"></text></svg>",
        TOP - 2
    );
    svg
}

/// Connections as thin lines; publications above them, plays below, a hue for each stream.
fn bars(picture: &Picture, svg: &mut String) {
    let mut names: Vec<&str> = picture.bars.iter().map(|bar| &*bar.label).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    let mut bars: Vec<_> = picture.bars.iter().collect();
    bars.sort_by_key(|bar| bar.stretch);
    for bar in bars {
        let y = middle(bar.lane);
        let nth = names.iter().position(|name| *name == bar.label);
        let hue = HUES[nth.unwrap_or(0) % HUES.len()];
        let (top, height, look) = match bar.stretch {
            Stretch::Connected => (y - 2, 4, "class=\"connected\"".to_owned()),
            Stretch::Publishing => (y - 16, 15, format!("fill=\"hsl({hue} 45% 72%)\" rx=\"3\"")),
            Stretch::Playing => (
                y + 1,
                15,
                format!("fill=\"hsl({hue} 45% 90%)\" stroke=\"hsl({hue} 35% 60%)\" rx=\"3\""),
            ),
        };
        let what = match bar.stretch {
            Stretch::Connected => "connected",
            Stretch::Publishing => "publishes",
            Stretch::Playing => "plays",
        };
        let span = format!(
            "data-from=\"{}\" data-to=\"{}\"",
            secs(bar.from),
            secs(bar.to)
        );
        let name = escaped(&bar.label);
        let _ = write!(
            svg,
            "<rect {span} x=\"{:.1}\" width=\"{:.1}\" y=\"{top}\" height=\"{height}\" {look}>\
             <title>{what} {name} {}..{}</title></rect>",
            secs(bar.from) * SCALE,
            secs(bar.to - bar.from) * SCALE,
            seconds(bar.from),
            seconds(bar.to)
        );
        if !name.is_empty() {
            let _ = writeln!(
                svg,
                "<text class=\"label\" {span} x=\"{:.1}\" y=\"{}\">{name}</text>",
                secs(bar.from) * SCALE + 4.0,
                top + 11
            );
        }
    }
}

/// A run of frames: a stroke each, longer for keyframes. Times go out as the gaps between them, in milliseconds.
fn frames(mark: &Mark, row: usize, svg: &mut String) {
    let sent = mark.kind == MarkKind::Sent;
    let (class, base) = if sent {
        ("sent", middle(mark.lane) - 2)
    } else {
        ("got", middle(mark.lane) + 15)
    };
    let title = escaped(&words(mark));
    let (from, to) = (secs(mark.at), secs(mark.until));
    let hit = base - 12;
    let _ = write!(
        svg,
        "<g data-row=\"{row}\"><title>{title}</title><rect class=\"hit\" data-from=\"{from}\" data-to=\"{to}\" \
         x=\"{:.1}\" width=\"{:.1}\" y=\"{hit}\" height=\"12\"/>",
        from * SCALE,
        ((to - from) * SCALE).max(2.0)
    );
    for (keys, length) in [(false, 4), (true, 10)] {
        let mut gaps: Vec<String> = Vec::new();
        let (mut strokes, mut last) = (String::new(), 0);
        for (at, _) in mark.frames.iter().filter(|(_, key)| *key == keys) {
            gaps.push(format!("{}", (at - last) as f64 / 1e3));
            let _ = write!(strokes, "M{:.1} {base}v-{length}", secs(*at) * SCALE);
            last = *at;
        }
        if !gaps.is_empty() {
            let gaps = gaps.join(" ");
            let _ = write!(
                svg,
                "<path class=\"{class}\" data-ts=\"{gaps}\" data-y=\"{base}\" data-h=\"-{length}\" d=\"{strokes}\"/>"
            );
        }
    }
    svg.push_str("</g>\n");
}

/// Everything that is not a frame.
fn moment(mark: &Mark, row: usize, picture: &Picture, svg: &mut String) {
    let y = middle(mark.lane);
    let server = picture.lanes.get(mark.lane).map(|lane| lane.kind) == Some(LaneKind::Server);
    let there = mark.other.map(middle);
    let (class, drawn) = match mark.kind {
        MarkKind::Asks => ("ask", way(y, there, false)),
        MarkKind::Told => ("told", way(y, there, true)),
        MarkKind::Fault => (
            "fault",
            format!("<path d=\"M0 {}l7 7l-7 7l-7 -7z\"/>", y - 7),
        ),
        _ if server => ("server-word", format!("<circle cy=\"{y}\" r=\"4\"/>")),
        _ => ("does", format!("<circle cy=\"{y}\" r=\"3\"/>")),
    };
    let world = picture.lanes.get(mark.lane).map(|lane| lane.kind) == Some(LaneKind::World);
    let caption = if world && mark.kind == MarkKind::Fault {
        // Neighbours stand at different heights.
        let y = if row.is_multiple_of(2) { y - 7 } else { y + 15 };
        let text: String = mark.text.chars().take(CAPTION).collect();
        format!("<text x=\"9\" y=\"{y}\">{}</text>", escaped(&text))
    } else {
        String::new()
    };
    let at = secs(mark.at);
    let _ = writeln!(
        svg,
        "<g class=\"{class}\" data-row=\"{row}\" data-t=\"{at}\" transform=\"translate({:.1} 0)\">\
         <title>{} {}: {}</title>{drawn}{caption}</g>",
        at * SCALE,
        seconds(mark.at),
        escaped(picture.lanes.get(mark.lane).map_or("", |lane| &lane.name)),
        escaped(&words(mark))
    );
}

/// A line between the client's lane and its shard's, with its head at whoever gets the message.
fn way(client: usize, shard: Option<usize>, to_client: bool) -> String {
    let head = |y: usize, down: bool| {
        if down {
            format!("<path class=\"head\" d=\"M-5 {}h10l-5 8z\"/>", y - 4)
        } else {
            format!("<path class=\"head\" d=\"M-5 {}h10l-5 -8z\"/>", y + 4)
        }
    };
    let Some(shard) = shard else {
        return head(client, !to_client);
    };
    let line = format!("<path class=\"way\" d=\"M0 {client}V{shard}\"/>");
    let (end, start) = if to_client {
        (client, shard)
    } else {
        (shard, client)
    };
    format!(
        "{line}<circle cy=\"{client}\" r=\"2\"/>{}",
        head(end, end > start)
    )
}

fn violation(number: usize, broken: &Broken, height: usize, svg: &mut String) {
    let at = secs(broken.at);
    let _ = write!(
        svg,
        "<g class=\"broken-at\" data-t=\"{at}\" transform=\"translate({:.1} 0)\"><title>{}: {}</title>\
         <line y1=\"18\" y2=\"{height}\"/><circle cy=\"{}\" r=\"8\"/>\
         <text text-anchor=\"middle\" y=\"{}\">{number}</text>",
        at * SCALE,
        escaped(&broken.checker),
        escaped(&broken.what),
        TOP - 10,
        TOP - 6
    );
    for y in broken.lanes.iter().map(|lane| middle(*lane)) {
        let _ = write!(
            svg,
            "<circle cy=\"{y}\" r=\"8\"/><path class=\"cross\" d=\"M-4 {}l8 8m0 -8l-8 8\"/>",
            y - 4
        );
    }
    svg.push_str("</g>\n");
}

/// The same in words, a row each.
fn list(picture: &Picture, marks: &[Mark]) -> String {
    let mut rows: Vec<(u64, String)> = Vec::new();
    for (row, mark) in marks.iter().enumerate() {
        let class = if mark.kind == MarkKind::Fault {
            "fault"
        } else {
            ""
        };
        let who = picture.lanes.get(mark.lane).map_or("", |lane| &lane.name);
        rows.push((
            mark.at,
            format!(
                "<tr id=\"r{row}\" class=\"{class}\" data-go=\"{}\"><td>{}<td>{}<td>{}</tr>\n",
                secs(mark.at),
                seconds(mark.at),
                escaped(who),
                escaped(&words(mark))
            ),
        ));
    }
    for (nth, broken) in picture.broken.iter().enumerate() {
        rows.push((
            broken.at,
            format!(
                "<tr id=\"rv{nth}\" class=\"broken\" data-go=\"{}\"><td>{}<td>{}<td>{}</tr>\n",
                secs(broken.at),
                seconds(broken.at),
                escaped(&broken.checker),
                escaped(&broken.what)
            ),
        ));
    }
    rows.sort_by_key(|(at, _)| *at);
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    format!(
        "<details id=\"events\" open><summary>What happened, in words (a click shows where)</summary>\
         <div id=\"list\"><table>{rows}</table></div></details>\n"
    )
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;

    #[test]
    fn a_page_is_one_file_with_the_violation_the_script_and_the_command() {
        let text = r#"{"format": 1, "seed": 7, "canary": true, "story": "a < b", "clients": [
            {"name": "alice", "steps": [{"connect": {}}, {"publish": {"name": "x"}},
                {"send_media": {"frames": 60}}, "close"]},
            {"name": "bob", "start_ms": 50, "steps": [{"connect": {}}, {"play": {"name": "x"}},
                {"wait_for_end": {"within_ms": 9000}}, "close"]}]}"#;
        let scenario: Scenario = serde_json::from_str(text).unwrap();
        let report = world::run_with(&scenario, true);
        let picture = Picture::new(&scenario, &report);
        let page = render(&picture, &scenario, &report, "cargo sim replay x.json").unwrap();
        for needle in [
            "cargo sim replay x.json",
            "a &lt; b",
            "ordered selection failed",
            "publishes live/x",
            "plays live/x",
            "class=\"broken-at\"",
            "&quot;send_media&quot;",
        ] {
            assert!(page.contains(needle), "no {needle} in the page");
        }
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
