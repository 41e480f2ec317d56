//! The walls between the rooms, checked on the source text: who may name whom, and how long things may get.
//!
//! Clippy's fences (`.clippy.toml`) know what a name resolves to; these know where it stands. Code under
//! `#[cfg(test)]`, comments and strings are free.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests read the source tree, and fail by panicking"
)]

#[path = "walls/lexer.rs"]
mod lexer;

use std::fs;
use std::path::Path;

use millstream::planted::Bug;

/// Lines of a file without its tests.
const FILE_LINES: usize = 800;
/// Lines of a function.
const FUNCTION_LINES: usize = 70;

/// Which rooms of the crate a room may name. `lib.rs` and `main.rs` may name all; every room may plant bugs.
const ROOMS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("limits", &["time"]),
    ("config", &["limits", "time"]),
    ("metrics", &[]),
    ("status", &["limits"]),
    ("rtmp", &["limits", "time"]),
    ("media", &["rtmp", "limits", "time"]),
    ("runtime", &["limits", "time"]),
    (
        "server",
        &[
            "media", "rtmp", "runtime", "config", "metrics", "limits", "time",
        ],
    ),
    ("load", &["media", "rtmp", "runtime", "limits", "time"]),
    ("cli", &["config", "load", "status", "limits", "time"]),
    ("planted", &[]),
];

/// Something that may be named only at home.
struct Fence {
    /// A path and everything below it; a capitalised word wherever it stands in a path.
    names: &'static [&'static str],
    /// Where it is checked.
    within: &'static [&'static str],
    /// Where it is at home.
    except: &'static [&'static str],
    /// What to do instead.
    why: &'static str,
}

const SANS_IO: &[&str] = &["src/rtmp/", "src/media/"];
const ROOT: &[&str] = &["src/"];
const BOTH: &[&str] = &["src/", "sim/src/"];
const RUNTIME: &[&str] = &["src/runtime/"];

const FENCES: &[Fence] = &[
    Fence {
        names: &["std::net", "std::fs", "std::thread", "std::time"],
        within: ROOT,
        except: RUNTIME,
        why: "sockets, files, threads and clocks come from the runtime; addresses are core::net, times crate::time",
    },
    Fence {
        names: &["std::process", "std::env"],
        within: ROOT,
        except: &["src/runtime/", "src/main.rs"],
        why: "the process belongs to main and the runtime",
    },
    Fence {
        names: &[
            "smol",
            "async_io",
            "async_net",
            "async_signal",
            "async_channel",
            "rustix",
            "socket2",
            "listenfd",
            "getrandom",
        ],
        within: BOTH,
        except: RUNTIME,
        why: "the real world is the runtime's",
    },
    Fence {
        names: &["std::net", "std::thread", "std::time::Instant"],
        within: &["sim/src/"],
        // The command line may measure how long a sweep takes, and a sweep runs whole worlds side by side.
        except: &[
            "sim/src/commands/",
            "sim/src/sweep.rs",
            "sim/src/planted.rs",
        ],
        why: "the simulator has turmoil's net and clock, and one thread",
    },
    Fence {
        names: &["tokio", "turmoil"],
        within: &["src/", "tests/", "benches/"],
        except: &[],
        why: "tokio and turmoil live in sim/",
    },
    Fence {
        names: &["clap"],
        within: ROOT,
        except: &["src/cli.rs", "src/cli/"],
        why: "the command line is cli.rs",
    },
    Fence {
        names: &[
            "tracing_subscriber",
            "println",
            "eprintln",
            "print",
            "eprint",
        ],
        within: ROOT,
        except: &["src/main.rs"],
        why: "a library logs through tracing; the binary decides where it goes",
    },
    Fence {
        names: &[
            "HashMap",
            "HashSet",
            "RandomState",
            "std::collections::hash_map",
            "std::collections::hash_set",
        ],
        within: BOTH,
        except: &[],
        why: "their order differs from run to run; use BTreeMap, Slab or a sorted Vec",
    },
    Fence {
        names: &[
            "async",
            "await",
            "core::future",
            "std::future",
            "core::task",
            "std::task",
            "async_task",
            "futures_lite",
            "Waker",
        ],
        within: SANS_IO,
        except: &[],
        why: "rtmp and media are sans-IO: bytes in, events out",
    },
    Fence {
        names: &[
            "Mutex",
            "RwLock",
            "Condvar",
            "std::sync::mpsc",
            "OnceLock",
            "LazyLock",
            "std::sync::atomic",
            "core::sync::atomic",
            "RefCell",
            "thread_local",
        ],
        within: SANS_IO,
        except: &[],
        why: "rtmp and media are plain values behind &mut",
    },
    Fence {
        names: &["unsafe"],
        within: &["src/", "sim/"],
        // The tripwire is linked into one test only, and takes the place of two functions of the C library.
        except: &["src/runtime/", "sim/tripwire/src/"],
        why: "only the runtime and the tripwire may need it, each with its safety argument",
    },
    Fence {
        names: &[
            "futures_lite::future::race",
            "tokio::select",
            "smol::future::race",
        ],
        within: BOTH,
        except: &[],
        why: "who wins would not come from the seed; poll in a written order",
    },
];

/// The module path of a file below its crate's `src/`; empty for the crate's roots.
fn module(file: &str) -> Vec<String> {
    let inner = file.split_once("src/").map_or(file, |(_, inner)| inner);
    let stem = inner.trim_end_matches(".rs");
    let mut segments: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if matches!(
        segments.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        segments.pop();
    }
    segments
}

/// A path from the crate's root: `super` and `self` taken away.
fn resolved(module: &[String], segments: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = segments;
    if !matches!(rest.first().map(String::as_str), Some("super" | "self")) {
        return segments.to_vec();
    }
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = tail;
    }
    base.insert(0, "crate".to_owned());
    base.extend_from_slice(rest);
    base
}

fn names(path: &[String], name: &str) -> bool {
    if name.starts_with(char::is_uppercase) {
        return path.iter().any(|segment| segment == name);
    }
    let wanted: Vec<&str> = name.split("::").collect();
    path.len() >= wanted.len() && path.iter().zip(&wanted).all(|(a, b)| a == b)
}

/// Everything in `text` that its place does not allow, each as `file:line: what: why`.
fn offences(file: &str, text: &str) -> Vec<String> {
    let code = lexer::without_tests(&lexer::blank(text));
    let mut found = Vec::new();
    let module = module(file);
    let room = module
        .first()
        .filter(|_| file.starts_with("src/") && file != "src/main.rs");
    let may = room.map(|room| ROOMS.iter().find(|(name, _)| name == room));
    if may == Some(None) {
        found.push(format!(
            "{file}: a new room; say in tests/walls.rs whom it may name"
        ));
    }
    for path in lexer::paths(&code) {
        let segments = resolved(&module, &path.segments);
        if let (Some(Some((room, may))), [root, other, ..]) = (may, &segments[..])
            && root == "crate"
            && ROOMS.iter().any(|(name, _)| name == other)
            && other != room
            && other != "planted"
            && !may.contains(&other.as_str())
        {
            let line = path.line;
            found.push(format!("{file}:{line}: {room} must not name {other}"));
        }
        for fence in FENCES {
            let checked = fence.within.iter().any(|place| file.starts_with(place));
            let at_home = fence.except.iter().any(|place| file.starts_with(place));
            let name = fence.names.iter().find(|name| names(&segments, name));
            if let (true, false, Some(name)) = (checked, at_home, name) {
                found.push(format!("{file}:{}: {name}: {}", path.line, fence.why));
            }
        }
    }
    found.extend(too_long(file, &code));
    found
}

fn too_long(file: &str, code: &str) -> Vec<String> {
    // Blanked tests leave empty lines at the end; comments count, as a reader has to pass them.
    let lines = code.trim_end().lines().count();
    let mut found = Vec::new();
    if lines > FILE_LINES {
        found.push(format!("{file}: {lines} lines, more than {FILE_LINES}"));
    }
    if file.starts_with("src/") || file.starts_with("sim/src/") {
        for function in lexer::functions(code) {
            if function.lines > FUNCTION_LINES {
                found.push(format!(
                    "{file}:{}: fn {} has {} lines, more than {FUNCTION_LINES}",
                    function.line, function.name, function.lines
                ));
            }
        }
    }
    found
}

/// Calls `visit(path from the root, text)` for every Rust file below `dir`, in order; `tests.rs` and its like
/// stand under a `#[cfg(test)] mod` and are as free as what stands inside one.
fn walk(root: &Path, dir: &str, visit: &mut dyn FnMut(&str, &str)) {
    let Ok(entries) = fs::read_dir(root.join(dir)) else {
        return;
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let path = format!("{dir}/{name}");
        if root.join(&path).is_dir() {
            walk(root, &path, visit);
        } else if path.ends_with(".rs") && !path.ends_with("tests.rs") {
            visit(&path, &fs::read_to_string(root.join(&path)).unwrap());
        }
    }
}

#[test]
fn every_room_keeps_its_walls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut found) = (0, Vec::new());
    for dir in [
        "src",
        "sim/src",
        "sim/tests",
        "sim/tripwire/src",
        "tests",
        "benches",
    ] {
        walk(root, dir, &mut |file, text| {
            files += 1;
            found.extend(offences(file, text));
        });
    }
    assert!(
        files > 10,
        "found only {files} files: is the source tree here?"
    );
    assert!(
        found.is_empty(),
        "{} offences:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Every package below `root` in a Cargo.lock, dev-dependencies and optional ones included.
fn closure(lock: &str, root: &str) -> Vec<String> {
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let mut reached = vec![root.to_owned()];
    let mut at = 0;
    while let Some(name) = reached.get(at).cloned() {
        at += 1;
        for package in packages
            .iter()
            .filter(|p| p["name"].as_str() == Some(&name))
        {
            let below = package.get("dependencies").and_then(|d| d.as_array());
            for dependency in below.into_iter().flatten() {
                // "name", or "name version" where there are several.
                let name = dependency.as_str().unwrap().split(' ').next().unwrap();
                if !reached.iter().any(|known| known == name) {
                    reached.push(name.to_owned());
                }
            }
        }
    }
    reached
}

/// hyper takes some types of tokio's that need no runtime; with any other feature of it, one could start.
#[test]
fn the_server_takes_no_runtime_from_tokio() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "millstream"])
        .args(["--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}|{f}"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.status.success(), "{tree:?}");
    let features = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('|'));
        let found = lines.find(|(package, _)| package.split(' ').next() == Some(name));
        found.map(|(_, features)| features.trim_end_matches(" (*)").split(',').collect())
    };
    let hyper: Vec<&str> = features("hyper").expect("operators' HTTP is there");
    assert_eq!(hyper, ["http1", "server"]);
    let types: Vec<&str> = features("tokio").expect("or the check below would find nothing");
    let harmless = |feature: &&str| ["", "default", "sync"].contains(feature);
    assert!(types.iter().all(harmless), "tokio has {types:?}");
    assert_eq!(features("mio"), None, "no reactor but ours");
}

#[test]
fn the_server_knows_no_simulator() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let server = closure(&lock, "millstream");
    assert!(server.iter().any(|name| name == "async-task"), "{server:?}");
    assert!(
        !server.iter().any(|name| name == "turmoil"),
        "millstream depends on turmoil"
    );
    let sim = closure(&lock, "millstream-sim");
    assert!(
        sim.iter().any(|name| name == "turmoil"),
        "the check above would find nothing"
    );
}

/// Every `planted(` of a file, as line and bug; or what is wrong with it.
fn planted_sites(file: &str, text: &str) -> Vec<Result<(usize, Bug), String>> {
    let code = lexer::without_tests(&lexer::blank(text));
    let lines = code.lines().zip(1..);
    lines
        .filter_map(|(line, number)| {
            let (_, rest) = line.split_once("planted(")?;
            let named = rest.strip_prefix("Bug::").and_then(|r| r.split_once(')'));
            let bug = named.and_then(|(name, _)| {
                let mut all = Bug::ALL.iter();
                all.find(|known| format!("{known:?}") == name)
            });
            let condition = ["if ", "&&", "||", "::from("]
                .iter()
                .any(|word| line.contains(word));
            let site = || format!("{file}:{number}: ");
            Some(match bug {
                Some(bug) if condition => Ok((number, *bug)),
                Some(_) => Err(site() + "a planted bug is a condition of one line"),
                None => Err(site() + "no such bug"),
            })
        })
        .collect()
}

#[test]
fn planted_bugs_have_one_site_each_in_their_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sites, mut found) = (Vec::new(), Vec::new());
    walk(root, "src", &mut |file, text| {
        if file == "src/planted.rs" {
            return;
        }
        for site in planted_sites(file, text) {
            match site {
                Ok((_, bug)) => sites.push((bug, file.to_owned())),
                Err(offence) => found.push(offence),
            }
        }
    });
    for bug in Bug::ALL {
        let at: Vec<_> = sites.iter().filter(|(known, _)| known == bug).collect();
        let [(_, file)] = at[..] else {
            found.push(format!("{bug} has {} sites, not one", at.len()));
            continue;
        };
        // The bounds are in one room and heeded in the others.
        if bug.room() != "limits" && !file.starts_with(&format!("src/{}", bug.room())) {
            found.push(format!("{bug} is of {}, and stands in {file}", bug.room()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let offence = planted_sites(
        "x",
        "fn f() { planted(Bug::TwoClaims); g(planted(Bug::None)) }",
    );
    assert!(offence[0].is_err());
}

#[test]
fn bugs_are_planted_on_demand_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let features = |manifest: &str| -> toml::Table {
        let text = fs::read_to_string(root.join(manifest)).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        manifest["features"].as_table().unwrap().clone()
    };
    let server = features("Cargo.toml");
    assert!(server.contains_key("planted-bugs"));
    let sim = features("sim/Cargo.toml");
    let wanted = |features: &toml::Table, of: &str| -> Vec<String> {
        let others = features.iter().filter(|(name, _)| *name != of);
        let lists = others.filter_map(|(_, list)| list.as_array()).flatten();
        lists
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    for name in wanted(&server, "")
        .into_iter()
        .chain(wanted(&sim, "planted"))
    {
        assert!(!name.contains("planted"), "another feature asks for {name}");
    }
}

/// File, text, and what must be said of it.
const PLANTED: &[(&str, &str, &str)] = &[
    (
        "src/rtmp/x.rs",
        "use std::net::TcpStream;",
        "src/rtmp/x.rs:1: std::net",
    ),
    (
        "src/rtmp/x.rs",
        "use std::{io, net::{IpAddr, TcpStream}};",
        "std::net",
    ),
    (
        "src/rtmp/x.rs",
        "\n\nfn f() { ::std :: fs::read(); }",
        "src/rtmp/x.rs:3: std::fs",
    ),
    (
        "src/rtmp/x.rs",
        "use crate::media::Stream;",
        "rtmp must not name media",
    ),
    (
        "src/rtmp/chunk/x.rs",
        "use super::super::super::media;",
        "rtmp must not name media",
    ),
    (
        "src/rtmp/mod.rs",
        "use super::{time, server::Shard};",
        "rtmp must not name server",
    ),
    (
        "src/media/x.rs",
        "type R = crate::runtime::Executor;",
        "media must not name runtime",
    ),
    (
        "src/media/x.rs",
        "pub async fn f() {}",
        "src/media/x.rs:1: async",
    ),
    ("src/media/x.rs", "use core::task::Context;", "core::task"),
    ("src/media/x.rs", "use std::cell::RefCell;", "RefCell"),
    (
        "src/time.rs",
        "use crate::limits;",
        "time must not name limits",
    ),
    (
        "src/server/x.rs",
        "let t = std::time::Instant::now();",
        "std::time",
    ),
    ("src/server/x.rs", "use async_io::Async;", "async_io"),
    (
        "src/server/x.rs",
        "use std::collections::HashMap;",
        "HashMap",
    ),
    ("src/server/x.rs", "println!(\"{}\", 1)", "println"),
    (
        "src/runtime/x.rs",
        "use crate::server::Shard;",
        "runtime must not name server",
    ),
    ("src/runtime/x.rs", "use tokio::net::TcpStream;", "tokio"),
    ("src/novel/x.rs", "", "a new room"),
    (
        "sim/src/x.rs",
        "let t = std::time::Instant::now();",
        "std::time::Instant",
    ),
    ("sim/src/x.rs", "use smol::Timer;", "smol"),
    ("src/config/x.rs", "unsafe { }", "unsafe"),
    ("sim/tests/x.rs", "unsafe { }", "unsafe"),
];

#[test]
fn planted_offences_are_found() {
    for (file, text, message) in PLANTED {
        let found = offences(file, text);
        assert!(
            found.iter().any(|offence| offence.contains(message)),
            "{file}: {text}: {found:?}"
        );
    }
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES));
    assert!(offences("src/time.rs", &long)[0].contains("fn f has 72 lines"));
    let long = "const A: u8 = 1;\n".repeat(FILE_LINES + 1);
    assert!(offences("src/time.rs", &long)[0].contains("801 lines"));
}

/// File and text that nothing must be said of.
const INNOCENT: &[(&str, &str)] = &[
    (
        "src/rtmp/x.rs",
        "// std::net and HashMap\n/* async /* Mutex */ await */ /// crate::media\nfn f() {}",
    ),
    (
        "src/rtmp/x.rs",
        "const A: &str = \"std::net \\\" HashMap\"; const B: &str = r#\"async \" Mutex\"#;",
    ),
    (
        "src/rtmp/x.rs",
        "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' || c == '{' } // async",
    ),
    (
        "src/rtmp/x.rs",
        "use core::net::SocketAddr; use crate::{limits, time::Instant}; use super::wire;",
    ),
    (
        "src/rtmp/x.rs",
        "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; fn g() { async {} } }",
    ),
    (
        "src/media/x.rs",
        "use crate::rtmp::wire; fn synchronous_asynchrony(unsafety: u8) {}",
    ),
    (
        "src/server/x.rs",
        "type R = crate::runtime::smol::Socket; use super::super::runtime::smol;",
    ),
    (
        "src/runtime/x.rs",
        "use std::net::TcpListener; use smol::Async;",
    ),
    (
        "src/main.rs",
        "use millstream::server; fn main() { std::process::exit(1) }",
    ),
    (
        "src/lib.rs",
        "pub mod server; pub use crate::server::Server;",
    ),
    (
        "sim/src/x.rs",
        "use tokio::net; use millstream::server; use crate::time; use std::time::Duration;",
    ),
];

#[test]
fn innocent_text_is_not() {
    for (file, text) in INNOCENT {
        assert_eq!(offences(file, text), Vec::<String>::new(), "{file}: {text}");
    }
    let tested = format!(
        "fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "// a\n".repeat(2_000)
    );
    assert_eq!(offences("src/time.rs", &tested), Vec::<String>::new());
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let code = lexer::blank(
        "trait T { fn none(&self) -> [u8; 2]; fn some() {\n let s = \"}\";\n } }\nfn later(a: [u8; 4])\n{\n{ }\n}\n",
    );
    let measured: Vec<_> = lexer::functions(&code)
        .into_iter()
        .map(|function| (function.name, function.line, function.lines))
        .collect();
    assert_eq!(
        measured,
        [("some".to_owned(), 1, 3), ("later".to_owned(), 4, 4)]
    );
}
