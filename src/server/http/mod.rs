//! The control HTTP server: what operators and their machines ask, and order. It runs on the control thread, as tasks beside
//! the acceptors, and costs the data shards a short answer for each question.
//!
//! * `wire.rs`: hyper's streams over ours, and the bounds of a connection;
//! * `office.rs`: who may ask, and which answer is where;
//! * `rows.rs`: streams and clients as JSON;
//! * `page.rs`: what Prometheus reads.

mod office;
mod page;
mod rows;
mod wire;

pub(super) use office::Office;
pub(super) use wire::accept;

/// Reads the configuration again and puts it in force: the keys that need a restart, or what is wrong.
pub type Reload = Box<dyn Fn() -> Result<Vec<String>, String>>;

/// Where operators come in.
pub struct Http<L> {
    /// Where they connect.
    pub listener: L,
    /// What `POST /api/v1/reload` does, where there is a configuration to read.
    pub reload: Option<Reload>,
}
