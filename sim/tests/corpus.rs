//! Every scenario of `corpus/seeds/` still comes out as its file says.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "scenarios are files; the server is not involved"
)]

use std::path::PathBuf;

use millstream_sim::scenario::Scenario;
use millstream_sim::world;

#[test]
fn every_seed_of_the_corpus_is_reproduced() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/seeds");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = Scenario::load(&file).unwrap();
        let report = world::run(&scenario);
        let again = format!("replay it: cargo sim replay corpus/seeds/{name}");
        assert_eq!(
            report.outcome(),
            scenario.expect.outcome,
            "{:?}\n{again}",
            report.violations
        );
        if let Some(hash) = &scenario.expect.trace_hash {
            assert_eq!(
                report.trace.hash(),
                *hash,
                "the trace of {name} has drifted; {again}"
            );
        }
    }
}
