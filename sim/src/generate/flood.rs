//! A flood of connections from one address, against a server that bounds them.

use fastrand::Rng;

use crate::scenario::{Connect, Scenario, Script, Step};
use crate::seed::happens;

/// When it begins, milliseconds.
const BEGINS_MS: u64 = 300;
/// How long a flooder stays at most, once it is in.
const STAYS_MS: u64 = 500;
/// What getting in takes besides, on the slowest link of a calm world.
const COMES_MS: u64 = 1_100;
/// How long the server may take to know that the flood is over.
const ENDS_MS: u64 = 2_000;
/// Worlds with more connections than this are full enough.
const CROWD: usize = 60;

/// Sometimes lets a flood come over a calm world: from an address of its own, on which the bounds are what all others may
/// need; and one who comes from there when it is over.
pub(super) fn come(scenario: &mut Scenario, rng: &mut Rng) {
    let hosts = scenario.network.hosts;
    let all = connects(scenario, 0, 1);
    if !happens(rng, 0.3) || all > CROWD {
        return;
    }
    for script in &mut scenario.clients {
        script.host %= hosts;
    }
    let needed = (0..hosts).map(|host| connects(scenario, host, hosts)).max();
    let most = needed.unwrap_or(0) + rng.usize(1..4);
    scenario.server.connections_per_address = Some(most);
    scenario.server.connections = Some(all + most + 4);
    let rate = u32::try_from(most + rng.usize(..3)).ok();
    scenario.server.connects_per_second = rate.filter(|_| happens(rng, 0.4));
    scenario.network.hosts = hosts + 1;
    let times = rng.u64(2..4);
    for n in 0..most + rng.usize(2..6) {
        let mut steps = Vec::new();
        for _ in 0..times {
            let connect = Connect {
                may_be_refused: true,
                ..Connect::default()
            };
            let stay = Step::WaitMs(rng.u64(STAYS_MS / 4..STAYS_MS));
            steps.extend([Step::Connect(connect), stay, Step::Abort]);
        }
        let start_ms = BEGINS_MS + rng.u64(..50);
        scenario
            .clients
            .push(script("flooder", n, hosts, start_ms, steps));
    }
    let over = BEGINS_MS + times * (STAYS_MS + COMES_MS) + ENDS_MS;
    let steps = vec![
        Step::Connect(Connect::default()),
        Step::WaitMs(200),
        Step::Close,
    ];
    scenario
        .clients
        .push(script("latecomer", 0, hosts, over, steps));
}

fn script(what: &str, n: usize, host: usize, start_ms: u64, steps: Vec<Step>) -> Script {
    Script {
        name: format!("{what}-{n}"),
        host,
        start_ms,
        steps,
    }
}

/// How often the clients of one of so many hosts connect.
fn connects(scenario: &Scenario, host: usize, hosts: usize) -> usize {
    let here = scenario
        .clients
        .iter()
        .filter(|script| script.host % hosts == host);
    let steps = here.flat_map(|script| &script.steps);
    steps
        .filter(|step| matches!(step, Step::Connect(_) | Step::ConnectRaw))
        .count()
}
