//! A question is answered once at most, and only who asked is answered.

use std::collections::BTreeMap;

use millstream::time::Instant;

use super::Checker;
use super::chunks::Message;
use super::tap::{Heard, What};

/// Invariant 12 of the reference: every command with a transaction gets at most one `_result` or `_error`, and nothing
/// else gets any.
#[derive(Default)]
pub struct Answers {
    /// Per tapped connection: questions without an answer, by transaction; nothing if nobody can say what it asks.
    open: BTreeMap<String, Option<BTreeMap<u64, u32>>>,
    exercised: u64,
}

fn is_command(message: &Message) -> bool {
    matches!(message.type_id, 17 | 20)
}

fn is_answer(message: &Message) -> bool {
    is_command(message) && matches!(message.name(), Some(b"_result" | b"_error"))
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "one answer a question"
    }

    fn overhear(&mut self, _: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        match &heard.what {
            What::Begins => {
                self.open.insert(who.into(), Some(BTreeMap::new()));
            }
            What::Babbled => {
                self.open.insert(who.into(), None);
            }
            What::Asked(message) if is_command(message) && !is_answer(message) => {
                if let (Some(Some(open)), Some(transaction)) =
                    (self.open.get_mut(who), message.transaction())
                    && transaction != 0.0
                {
                    *open.entry(transaction.to_bits()).or_default() += 1;
                }
            }
            What::Said(message) if is_answer(message) => {
                let Some(Some(open)) = self.open.get_mut(who) else {
                    return Ok(());
                };
                self.exercised += 1;
                let transaction = message.transaction().unwrap_or(f64::NAN);
                match open.get_mut(&transaction.to_bits()) {
                    Some(asked) if *asked > 0 => *asked -= 1,
                    _ => {
                        return Err(format!(
                            "{who} gets an answer to {transaction}, which it has not asked, or once more"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, transaction: f64) -> Message {
        let mut payload = vec![2, 0, name.len() as u8];
        payload.extend(name.as_bytes());
        payload.push(0);
        payload.extend(transaction.to_be_bytes());
        Message {
            type_id: 20,
            stream: 0,
            timestamp: 0,
            payload,
            chunks: 1,
            chunk_size: 128,
        }
    }

    fn judge(history: &[What<'_>]) -> Result<(), String> {
        let mut checker = Answers::default();
        history.iter().try_for_each(|what| {
            let what = match what {
                What::Asked(message) => What::Asked(message),
                What::Said(message) => What::Said(message),
                What::Babbled => What::Babbled,
                _ => What::Begins,
            };
            checker.overhear(Instant::ZERO, "bob", &Heard { sent: 0, what })
        })
    }

    #[test]
    fn a_second_answer_and_one_to_nothing_are_found() {
        let (asks, asks_nothing) = (command("createStream", 2.0), command("deleteStream", 0.0));
        let (result, error) = (command("_result", 2.0), command("_error", 2.0));
        let nothing = command("_result", 0.0);
        use What::{Asked, Begins, Said};
        assert_eq!(judge(&[Begins, Asked(&asks), Said(&result)]), Ok(()));
        let twice = [Begins, Asked(&asks), Said(&result), Said(&error)];
        assert!(judge(&twice).is_err());
        assert!(judge(&[Begins, Said(&result)]).is_err());
        assert!(judge(&[Begins, Asked(&asks_nothing), Said(&nothing)]).is_err());
        assert_eq!(judge(&[Begins, What::Babbled, Said(&result)]), Ok(()));
    }
}
