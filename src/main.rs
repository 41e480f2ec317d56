//! The server binary: arguments → [`Config`] → server → wait.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use millstream::cli::{self, Command, LoadFlags, Sources};
use millstream::config::{self, Config, LogFormat, LogLevel};
use millstream::runtime::fetch;
use millstream::{Server, limits, load, runtime, status};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    // Names and values that are no UTF-8 are none of ours.
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let command = match cli::parse(std::env::args_os(), environment) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command {
        Command::Serve(sources) => match sources.configure(read) {
            Ok(config) => serve(config, sources),
            Err(error) => refuse(&error),
        },
        Command::Check { file } => check(&file),
        Command::Status { place, watch } => show(&place, watch),
        Command::PrintDefault => {
            let _ = io::stdout().write_all(config::default_file().as_bytes());
            ExitCode::SUCCESS
        }
        Command::Load(flags) => be_load(&flags),
    }
}

/// Progress goes to stderr, the report to stdout.
fn be_load(flags: &LoadFlags) -> ExitCode {
    let options = match flags.options() {
        Ok(options) => options,
        Err(error) => return refuse(&error),
    };
    let terminal = io::stderr().is_terminal();
    let progress = move |line: &str| {
        // A terminal's line is written over: to its beginning, and clear what was longer.
        let _ = match terminal {
            true => write!(io::stderr(), "\r{line}\x1b[K"),
            false => writeln!(io::stderr(), "{line}"),
        };
    };
    let report = load::start(&options, progress);
    if terminal {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let report = match report {
        Ok(report) => report,
        Err(error) => return refuse(&error),
    };
    let said = match flags.json() {
        true => serde_json::to_string_pretty(&report).map(|json| json + "\n"),
        false => Ok(report.summary()),
    };
    match said {
        Ok(said) => drop(io::stdout().write_all(said.as_bytes())),
        Err(error) => return refuse(&error),
    }
    match report.passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn read(path: &str) -> io::Result<String> {
    runtime::launch::read_file(Path::new(path))
}

fn check(file: &str) -> ExitCode {
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            return refuse(&format_args!(
                "cannot read the configuration file {file}: {error}"
            ));
        }
    };
    let (good, said) = cli::check(file, &text);
    let _ = io::stdout().write_all(said.as_bytes());
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Shows streams and clients, once or until somebody ends it.
fn show(place: &status::Place, watch: bool) -> ExitCode {
    loop {
        let page = |path| {
            let body = fetch::get(&place.authority, path, place.token.as_deref());
            body.map_err(|error| format!("no answer from {}: {error}", place.authority))
        };
        let table = page("/api/v1/streams").and_then(|streams| {
            let clients = page("/api/v1/clients")?;
            status::table(&streams, &clients)
        });
        // While it watches, the server may come and go.
        let text = match table {
            Ok(table) => table,
            Err(error) if watch => format!("{error}\n"),
            Err(error) => return refuse(&error),
        };
        let clear = if watch { status::CLEAR } else { "" };
        let said = io::stdout().write_all(format!("{clear}{text}").as_bytes());
        if !watch || said.and_then(|()| io::stdout().flush()).is_err() {
            return ExitCode::SUCCESS;
        }
        fetch::pause(limits::STATUS_INTERVAL);
    }
}

fn serve(config: Config, sources: Sources) -> ExitCode {
    log(config.log, config.log_format);
    let builder = Server::builder().config(config.clone());
    let reread = move || sources.configure(read).map_err(|error| error.to_string());
    let builder = builder.stop_on_signals().reload_on_hangup(reread);
    let server = match builder.as_service().start() {
        Ok(server) => server,
        Err(error) => return refuse(&error),
    };
    // Who closed our stdout has no use for the banner; that is no reason to end.
    let _ = io::stdout()
        .write_all(cli::banner(&config, server.local_addrs(), server.http_addr()).as_bytes());
    let _ = io::stdout().flush();
    match server.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// One sentence, and the exit code of a start that failed.
fn refuse(error: &dyn Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "millstream: {error}");
    ExitCode::FAILURE
}

/// Sends the log to stderr.
fn log(level: LogLevel, format: LogFormat) {
    let filter = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(filter)
        .with_writer(io::stderr)
        // It would complain by `eprintln!`, which panics when stderr is closed too.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_ansi(false).init(),
    }
}
