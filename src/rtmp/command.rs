//! Commands (types 17 and 20): name, transaction id, command object, arguments; and what they ask for.
//!
//! Arguments are taken as they come: missing ones have their default, numbers may be booleans, and a command that says
//! nothing we understand is [`Request::Unknown`], never an error.

use super::amf::{AmfError, Value, amf0, amf3};
use super::message;
use crate::limits;
use crate::planted::{Bug, planted};

mod connect;
mod fuzz;
mod play;
mod request;
#[cfg(test)]
mod tests;

pub use connect::{CAPS_RECONNECT, ConnectRequest, Enhanced};
#[doc(hidden)]
pub use fuzz::fuzz_command;
pub use play::{Play2, PlayOptions, PlayStart, PublishKind, Transition};
pub use request::Request;

/// One command message.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Which procedure.
    pub name: String,
    /// What its reply repeats; 0: none is wanted.
    pub transaction: f64,
    /// The command object, or null.
    pub object: Value,
    /// What follows it.
    pub arguments: Vec<Value>,
}

/// Why a message is no command. It costs the message, unless a bound was crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// The first value is not a string.
    #[error("peer: expected a command's name, got no string")]
    Name,
    /// A bound of AMF was crossed.
    #[error(transparent)]
    Bound(AmfError),
}

impl Command {
    /// Reads a command of type 20 (AMF0) or 17: there a format byte 0 and then AMF0, or AMF0 without that byte (seen from
    /// Flash gear), or AMF3 throughout. Values that cannot be read end the arguments.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn decode(type_id: u8, payload: &[u8]) -> Result<Self, CommandError> {
        let (values, error) = match (type_id, payload) {
            (message::COMMAND_AMF3, [0, rest @ ..]) if !planted(Bug::Amf3MarkerKept) => {
                amf0::decode_all(rest)
            }
            // 06 is undefined in AMF0, which no command begins with, and a string in AMF3.
            (message::COMMAND_AMF3, [6, ..]) => {
                let (values, error) = amf3::decode_all(payload);
                let values = values.into_iter().map(amf3::Value::into_amf0);
                (values.collect(), error)
            }
            _ => amf0::decode_all(payload),
        };
        if let Some(bound) = error.filter(|e| e.is_bound()) {
            return Err(CommandError::Bound(bound));
        }
        let mut plain = plain(&values).into_iter();
        let Some(Value::String(name)) = plain.next() else {
            return Err(CommandError::Name);
        };
        let transaction = plain.next().and_then(|v| v.as_number());
        Ok(Self {
            name,
            transaction: transaction.unwrap_or(0.0),
            object: plain.next().unwrap_or(Value::Null),
            arguments: plain.collect(),
        })
    }

    /// The payload of a message of type 20.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        amf0::encode(&Value::string(self.name.as_str()), &mut out);
        amf0::encode(&Value::Number(self.transaction), &mut out);
        amf0::encode(&self.object, &mut out);
        for argument in &self.arguments {
            amf0::encode(argument, &mut out);
        }
        out
    }

    /// Argument `index`; null if there is none.
    pub fn argument(&self, index: usize) -> &Value {
        self.arguments.get(index).unwrap_or(&Value::Null)
    }

    /// Whether its sender waits for a reply.
    pub fn wants_reply(&self) -> bool {
        self.transaction != 0.0 && self.transaction.is_finite()
    }

    fn number(&self, index: usize) -> Option<f64> {
        self.argument(index).as_number()
    }

    fn flag(&self, index: usize) -> Option<bool> {
        self.argument(index).as_bool()
    }

    /// A name: a string, perhaps an empty one, or a number written as one. `false` and null are none.
    fn text(&self, index: usize) -> Option<String> {
        name_of(self.argument(index))
    }
}

/// The values without references and AMF3, as far as those can be followed.
fn plain(values: &[Value]) -> Vec<Value> {
    let mut references = limits::COMMAND_REFERENCES;
    let plain = values.iter().map(|value| match value {
        Value::Reference(_) if references == 0 => Value::Null,
        Value::Reference(index) => {
            references -= 1;
            let found = amf0::referenced(values, *index);
            found.cloned().unwrap_or(Value::Null)
        }
        Value::Amf3(inner) => amf3::Value::clone(inner).into_amf0(),
        value => value.clone(),
    });
    plain.collect()
}

fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}
