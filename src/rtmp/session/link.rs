//! One connection behind its handshake: chunks to messages, with control messages acted on at once.

use crate::rtmp::chunk::decoder::{Body, Decoder, Message};
use crate::rtmp::control::{ProtocolControl, UserControl};
use crate::rtmp::message;

use super::error::SessionError;
use super::flow::Flow;
use super::output::Output;

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) decoder: Decoder,
    pub(super) output: Output,
    pub(super) flow: Flow,
}

/// What came. Control has been acted on and is only news.
#[derive(Debug)]
pub(super) enum Incoming {
    Protocol(ProtocolControl),
    User(UserControl),
    Message(Message),
}

impl Link {
    /// `chunk_size`: what received media is laid out for.
    pub(super) fn new(chunk_size: u32) -> Self {
        Self {
            decoder: Decoder::new(chunk_size),
            output: Output::new(),
            flow: Flow::new(),
        }
    }

    /// The next message in `input`, if it is complete. Control messages that say nothing are passed over.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, SessionError> {
        loop {
            let before = input.len();
            let decoded = self.decoder.decode(input);
            self.flow.receive(before - input.len());
            let Some(message) = decoded? else {
                return Ok(None);
            };
            let Body::Plain(payload) = &message.body else {
                return Ok(Some(Incoming::Message(message)));
            };
            match message.type_id {
                message::USER_CONTROL => {
                    if let Some(control) = UserControl::decode(payload) {
                        self.on_user(control);
                        return Ok(Some(Incoming::User(control)));
                    }
                }
                0..=7 => {
                    if let Some(control) = ProtocolControl::decode(message.type_id, payload) {
                        self.on_protocol(control)?;
                        return Ok(Some(Incoming::Protocol(control)));
                    }
                }
                _ => return Ok(Some(Incoming::Message(message))),
            }
        }
    }

    fn on_user(&mut self, control: UserControl) {
        if let UserControl::PingRequest(time) = control {
            self.output.user(UserControl::PingResponse(time));
        }
    }

    fn on_protocol(&mut self, control: ProtocolControl) -> Result<(), SessionError> {
        match control {
            ProtocolControl::SetChunkSize(size) => self.decoder.set_chunk_size(size)?,
            ProtocolControl::Abort(csid) => self.decoder.abort(csid),
            ProtocolControl::WindowAckSize(window) => self.flow.set_window(window),
            ProtocolControl::SetPeerBandwidth { size, limit } => {
                if let Some(window) = self.flow.limit(size, limit) {
                    self.output.protocol(ProtocolControl::WindowAckSize(window));
                }
            }
            // We never wait for one, as OBS and others send none while they publish.
            ProtocolControl::Acknowledgement(_) => {}
        }
        Ok(())
    }

    /// Sends the acknowledgement that is due, if one is. Once per read is enough, and keeps a peer that asks for one
    /// per byte from getting them.
    pub(super) fn acknowledge(&mut self) {
        if let Some(received) = self.flow.due() {
            self.output
                .protocol(ProtocolControl::Acknowledgement(received));
        }
    }
}
