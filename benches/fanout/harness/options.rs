//! The command line.

use std::io;

use super::target::Target;

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Names of scenarios; none is the short look.
    pub(super) scenarios: Vec<String>,
    /// How many players, if it is said.
    pub(super) players: Option<Vec<usize>>,
    /// Rounds, each of all servers.
    pub(super) rounds: usize,
    /// How long each broadcast takes.
    pub(super) seconds: u64,
    /// How long each broadcast has run before it is measured: rings are full then, and memory is not new any more.
    pub(super) warm: u64,
    /// Who is measured.
    pub(super) servers: Vec<Target>,
    /// Merge times, milliseconds.
    pub(super) merges: Vec<u64>,
    /// One JSON object for each measurement, too.
    pub(super) json: bool,
    /// How long players stall, seconds.
    pub(super) stall: u64,
    /// A file of counts that must not grow.
    pub(super) check: Option<String>,
    /// A file to write counts to.
    pub(super) save: Option<String>,
    /// Started by `cargo test`: only see that it runs.
    pub(super) smoke: bool,
}

pub(super) const HELP: &str = "\
cargo bench --bench fanout -- [SCENARIO ...] [KEY=VALUE ...] [--json]

  (none)     a short look: one stream to 200 players, three rounds
  single     one stream to players=10,200,1000,1500,2500
  streams    100 streams, two players each
  merge      cost against merge time, merges=0,5,10,20,50,100,350, to players=500
  shards     one shard and two, players=500
  joining    first frame to who joins in the middle
  sessions   from connect to play to close
  ingest     100 publishers of 500 kbit/s; one of 1 Gbit/s
  record     ten publishers of 20 Mbit/s, recorded or not
  stalled    20 of 50 players do not read for stall=30 s
  memory     of a playing player
  neighbour  what a stream with 10,000 players does to another on its shard
  abuse      what slow, half, many and senseless connections do to 100 players
  counts     system calls and instructions of a delivered frame, under valgrind
  all        everything but counts: about 55 minutes

  rounds=5 seconds=5 warm=0 (8 fills the rings first) servers=floor,backlog,millstream,smol,nginx
  --check FILE   with counts: fail if one of millstream's grew by more than a twentieth against FILE
  --save FILE    with counts: write millstream's to FILE
";

impl Options {
    /// Parses the arguments behind `--`. `None` if help was asked for.
    ///
    /// # Errors
    /// An argument makes no sense.
    pub(super) fn parse(arguments: &[String]) -> io::Result<Option<Self>> {
        let mut options = Self {
            scenarios: Vec::new(),
            players: None,
            rounds: 5,
            seconds: 5,
            warm: 0,
            servers: vec![Target::Floor, Target::MILLSTREAM, Target::Nginx],
            merges: vec![0, 5, 10, 20, 50, 100, 350],
            json: false,
            stall: 30,
            check: None,
            save: None,
            smoke: true,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let wrong = || io::Error::other(format!("cannot use {argument:?}; try -- help"));
            match (argument.as_str(), argument.split_once('=')) {
                // Cargo says so to a bench, and to nothing else.
                ("--bench", _) => options.smoke = false,
                ("help" | "--help" | "-h", _) => return Ok(None),
                ("--json", _) => options.json = true,
                ("--check", _) => {
                    options.check = Some(arguments.next().ok_or_else(wrong)?.clone());
                }
                ("--save", _) => {
                    options.save = Some(arguments.next().ok_or_else(wrong)?.clone());
                }
                (_, Some(("stall", value))) => {
                    options.stall = value.parse().map_err(|_| wrong())?;
                }
                (_, Some(("players", list))) => {
                    options.players = Some(numbers(list).ok_or_else(wrong)?);
                }
                (_, Some(("merges", list))) => {
                    let list = numbers(list).ok_or_else(wrong)?;
                    options.merges = list.into_iter().map(|millis| millis as u64).collect();
                }
                (_, Some(("rounds", value))) => {
                    options.rounds = value.parse().map_err(|_| wrong())?;
                }
                (_, Some(("seconds", value))) => {
                    options.seconds = value.parse().map_err(|_| wrong())?;
                }
                (_, Some(("warm", value))) => {
                    options.warm = value.parse().map_err(|_| wrong())?;
                }
                (_, Some(("servers", list))) => {
                    let servers = list.split(',').map(Target::named).collect::<Option<_>>();
                    options.servers = servers.ok_or_else(wrong)?;
                }
                (name, None) if !name.starts_with('-') => options.scenarios.push(name.to_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(Some(options))
    }
}

fn numbers(list: &str) -> Option<Vec<usize>> {
    list.split(',').map(|number| number.parse().ok()).collect()
}
