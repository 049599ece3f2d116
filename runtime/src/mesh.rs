//! All rings of a run: one per ordered pair of shards.
//!
//! A ring holds the credits of all edges for messages and as many for credit returns:
//! `capacity = 2 × edges × credits`. A sender has at most `credits` messages of one edge under way, and a receiver
//! returns a credit at most once per message it took, so a push that finds the ring full is a broken contract and
//! stops the run; nothing is ever dropped and no edge can block another. Memory per shard: `(shards − 1) × capacity ×
//! size of an envelope` for the slots, plus what the credits let travel.

use velostream_exec::shard::Envelope;
use velostream_types::{Fatal, ShardId};

use crate::ring::{Consumer, Producer, ring};

/// One shard's ends of its rings.
pub struct MeshPort {
    shard: ShardId,
    /// Towards each shard; `None` towards itself.
    outgoing: Vec<Option<Producer<Envelope>>>,
    /// From each shard.
    incoming: Vec<Option<Consumer<Envelope>>>,
}

/// Slots of one ring.
pub fn ring_slots(edges: u16, credits: u32) -> usize {
    2 * usize::from(edges.max(1)) * credits.max(1) as usize
}

/// The ports of `shards` shards, by shard.
pub fn connect(shards: u16, slots: usize) -> Vec<MeshPort> {
    let n = usize::from(shards);
    let mut ports: Vec<MeshPort> = (0..shards)
        .map(|s| MeshPort {
            shard: ShardId(s),
            outgoing: (0..n).map(|_| None).collect(),
            incoming: (0..n).map(|_| None).collect(),
        })
        .collect();
    for from in 0..n {
        for to in (0..n).filter(|to| *to != from) {
            let (producer, consumer) = ring(slots);
            ports[from].outgoing[to] = Some(producer);
            ports[to].incoming[from] = Some(consumer);
        }
    }
    ports
}

impl MeshPort {
    /// Moves everything that arrived behind `into`, per sender in order, and says how much that was.
    pub fn drain(&mut self, into: &mut Vec<(ShardId, Envelope)>) -> usize {
        let mut taken = 0;
        for (from, consumer) in self.incoming.iter_mut().enumerate() {
            if let Some(consumer) = consumer {
                taken += consumer.drain(|envelope| into.push((ShardId(from as u16), envelope)));
            }
        }
        taken
    }

    /// TRUE when something arrived that was not drained.
    pub fn has_arrivals(&self) -> bool {
        self.incoming.iter().flatten().any(|consumer| !consumer.is_empty())
    }

    /// Sends one envelope; the receiver sees it after [`MeshPort::publish`].
    pub fn send(&mut self, to: ShardId, envelope: Envelope) -> Result<(), Fatal> {
        let ring = self.outgoing.get_mut(to.index()).and_then(Option::as_mut);
        let Some(ring) = ring else {
            return Err(Fatal::new(format!("shard {} sent to shard {to}, which has no ring", self.shard)));
        };
        ring.push(envelope).map_err(|refused| {
            let edge = match refused {
                Envelope::Msg(edge, _) | Envelope::Credit(edge, _) => edge,
            };
            Fatal::new(format!("shard {} sent more on edge {edge} to shard {to} than its credits allow", self.shard))
        })
    }

    /// Makes everything sent visible and calls `arrived` for each shard that got something.
    pub fn publish(&mut self, mut arrived: impl FnMut(ShardId)) {
        for (to, producer) in self.outgoing.iter_mut().enumerate() {
            if producer.as_mut().is_some_and(Producer::publish) {
                arrived(ShardId(to as u16));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use velostream_exec::operator::Msg;
    use velostream_types::EdgeId;

    use super::*;

    fn watermark(n: i64) -> Envelope {
        Envelope::Msg(EdgeId(0), Msg::Watermark(n))
    }

    #[test]
    fn envelopes_keep_their_order_per_pair() {
        let mut ports = connect(3, ring_slots(1, 4));
        for n in 0..4 {
            ports[0].send(ShardId(2), watermark(n)).unwrap();
            ports[1].send(ShardId(2), watermark(10 + n)).unwrap();
        }
        assert!(!ports[2].has_arrivals(), "nothing is published yet");
        let mut woken = Vec::new();
        ports[0].publish(|s| woken.push(s));
        ports[1].publish(|s| woken.push(s));
        assert_eq!(woken, [ShardId(2), ShardId(2)]);
        let mut got = Vec::new();
        assert_eq!(ports[2].drain(&mut got), 8);
        let seen: Vec<(u16, i64)> = got
            .iter()
            .map(|(from, envelope)| match envelope {
                Envelope::Msg(_, Msg::Watermark(n)) => (from.0, *n),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (0, 3), (1, 10), (1, 11), (1, 12), (1, 13)]);
    }

    #[test]
    fn more_than_the_credits_is_fatal() {
        let mut ports = connect(2, ring_slots(1, 1));
        ports[0].send(ShardId(1), watermark(1)).unwrap();
        ports[0].send(ShardId(1), Envelope::Credit(EdgeId(0), 1)).unwrap();
        let err = ports[0].send(ShardId(1), watermark(2)).unwrap_err();
        assert!(err.message.contains("edge 0") && err.message.contains("credits"), "{err}");
        assert!(ports[0].send(ShardId(0), watermark(2)).is_err());
    }
}
