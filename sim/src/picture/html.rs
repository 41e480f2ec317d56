//! The picture as one page for a browser: no network, nothing but this file.
use super::Picture;
use crate::scenario::Scenario;
use crate::world::Report;

/// The page.
///
/// # Errors
/// The scenario holds a number that JSON has not.
pub fn render(
    _picture: &Picture,
    scenario: &Scenario,
    _report: &Report,
    _replay: &str,
) -> Result<String, String> {
    scenario.to_json()
}
